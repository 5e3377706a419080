"""The same inputs give the same bytes, wherever and whenever: builds and bundles.

The other commands that write are held to it by ``python tools/check_determinism.py``.
"""

from pathlib import Path

from tools.check_determinism import SETTINGS, digests, run_commands


def test_settings_do_not_matter(
    built: Path, small_build: Path, vacc_only: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    build = ["--model", "tiny", "--weights", str(tiny_weights), "--calib-count", "4"]
    bundle = str(out / vacc_only.name)
    commands = [
        ["build", *build, "--out", str(out)],
        ["handoff", "--vendor", "vacc", str(small_build), "--out", bundle],
    ]
    run_commands(SETTINGS[1], out, commands)
    found = digests(out)
    assert len(found) > 8
    assert found.pop(vacc_only.name) == digests(vacc_only.parent)[vacc_only.name]
    assert found == {f"tiny/{name}": digest for name, digest in digests(built).items()}
