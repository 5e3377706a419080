"""A signal ends a command, also while it waits for what does not listen."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# Stands for a long inference: the main thread waits in C, where Python hears of no signal.
DEAF = """
import signal
import threading
from functools import partial
from calib.files import temporary_folder
from deploy.cli.entry import say_stopped
from deploy.cli.stopping import stopping

# Ignored in what a shell starts with '&', this test run among it.
signal.signal(signal.SIGINT, signal.default_int_handler)

class Deaf(threading.Thread):
    def run(self):
        while True:
            threading.Event().wait()

with stopping(partial(say_stopped, ["build", "--json"])), temporary_folder("deaf") as folder:
    thread = Deaf(daemon=False)
    thread.start()
    said = False
    while True:
        try:
            if not said:
                said = True
                print(folder, flush=True)
            thread.join()
        except KeyboardInterrupt:
            pass
"""


@pytest.mark.parametrize(
    ("number", "code", "kind"),
    [(signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Terminated")],
    ids=["SIGINT", "SIGTERM"],
)
def test_what_does_not_unwind_is_ended(number: signal.Signals, code: int, kind: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DEAF],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        assert folder.is_dir()
        process.send_signal(number)
        try:
            stdout, stderr = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == code
    assert json.loads(stdout)["error"]["kind"] == kind
    assert stderr.count("esrdeploy: ") == 1
    assert "run the same command again" in stderr
    assert not folder.exists()


# Stands for what torch and others do when Python ends.
SLOW_END = """
import atexit
import signal
import sys
import time
from calib.files import temporary_folder
from deploy.cli.stopping import interrupted_code, say_once, stopping

atexit.register(time.sleep, 600)
say = lambda code: print("stopped", code)
with stopping(say):
    try:
        with temporary_folder("slow"):
            signal.raise_signal(signal.SIGTERM)
    except KeyboardInterrupt:
        say_once(say)
        sys.exit(interrupted_code())
"""


def test_what_has_unwound_does_not_wait_for_the_end_of_python() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SLOW_END], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (143, "stopped 143\n", "")


def test_a_build_that_is_terminated_says_how_to_go_on(tiny_weights: Path, tmp_path: Path) -> None:
    command = ["build", "--model", "tiny", "--weights", str(tiny_weights), "--out", str(tmp_path)]
    code = "from deploy.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        while "calibrating" not in (line := process.stderr.readline()):
            assert line, "ended before it calibrated"
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert said.splitlines()[-1].startswith("esrdeploy: terminated before it was done")
    assert "Traceback" not in said
    assert not list(tmp_path.glob("tiny/manifest.json"))
