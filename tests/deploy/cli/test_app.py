"""All commands alike: light to start, and an error is one line or one document."""

import json
import subprocess
import sys

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


def test_with_json_an_error_is_json_too() -> None:
    result = run("build", "--model", "x5plus", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["kind"] == "UsageError"
