"""All commands alike: light to start, and an error is one line or one document."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from deploy.cli import app
from deploy.handoff.vendors import vendors
from quant.targets import ALIASES, PROFILES
from tests.deploy.builds import run

HEAVY = ("torch", "onnxruntime", "onnx", "cv2", "skimage", "numpy", "scipy")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom deploy.cli import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "wrong",
    [
        ["--model", "x5plus"],
        ["--target", "abacus"],
        ["--target", "tensorrt", "--trunk", "int16"],
        ["--full-integer", "--tail", "float"],
        ["--target", "qnn-w8a16", "--min-parity", "40"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_built_is_refused_without_torch(wrong: list[str]) -> None:
    command = ["build", "--model", "x4plus", *wrong]
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom deploy.cli import app\n"
        f"code = CliRunner().invoke(app, {command}).exit_code\n"
        "print(code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]


def test_help_names_the_targets_and_their_aliases() -> None:
    (option,) = [
        item
        for item in typer.main.get_command(app).commands["build"].params
        if item.name == "target"
    ]
    assert set(re.findall(r"[a-z0-9-]+", option.help)) >= {*PROFILES, *ALIASES}
    assert option.show_default == "ort"
    (vendor,) = [
        item
        for item in typer.main.get_command(app).commands["handoff"].params
        if item.name == "vendor"
    ]
    known = {name for item in vendors().values() for name in (item.name, *item.aliases)}
    assert set(re.findall(r"[a-z0-9-]+", vendor.help)) >= known


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["line", "document"])
def test_an_interrupted_command_says_so(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> list[Path]:
        raise KeyboardInterrupt

    monkeypatch.setattr("deploy.artifacts.find_build.find_builds", interrupted)
    result = run("report", tmp_path, *options)
    assert result.exit_code == 130
    assert result.stderr.startswith("esrdeploy: interrupted before it was done")
    assert "Traceback" not in result.stderr
    document = json.loads(result.stdout) if options else None
    assert document is None or document["error"]["kind"] == "Interrupted"


def test_ctrl_c_in_a_real_process_leaves_one_document(tiny_weights: Path, tmp_path: Path) -> None:
    command = ["build", "--model", "tiny", "--weights", str(tiny_weights), "--json"]
    code = (
        "import signal, sys; from deploy.cli import main; sys.argv[0] = 'esrdeploy'\n"
        # Ignored in what a shell starts with '&', this test run among it.
        "signal.signal(signal.SIGINT, signal.default_int_handler); main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, *command, "--out", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        while "exporting" not in (line := process.stderr.readline()):
            assert line, "ended before it exported"
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate()
    assert process.returncode == 130
    document = json.loads(stdout)
    assert document["error"]["kind"] == "Interrupted"
    assert "Traceback" not in stderr


def test_with_json_an_error_is_json_too() -> None:
    result = run("build", "--model", "x5plus", "--json")
    assert result.exit_code == 2
    document = json.loads(result.stdout)
    assert document["error"]["kind"] == "UsageError"
    assert document["schema"] == "esrdeploy.cli.error/1"
