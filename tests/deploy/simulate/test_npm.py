"""Packages of npm are those that were pinned, or nothing."""

import base64
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from calib.errors import ToolchainError
from deploy.simulate.npm import NpmPackage, fetch_npm_package

NPM = """#!/bin/sh
[ "$1 $2 $3" = "pack --ignore-scripts runtime@1.0.0" ] && cp "{archive}" runtime-1.0.0.tgz
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NpmPackage:
    """A package that a stand-in for npm gives."""
    archive = tmp_path / "given.tgz"
    with tarfile.open(archive, "w:gz") as packed:
        member = tarfile.TarInfo("package/dist/run.mjs")
        member.size = 2
        packed.addfile(member, io.BytesIO(b"ok"))
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(NPM.format(archive=archive))
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:/usr/bin:/bin")
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    return NpmPackage("runtime", "1.0.0", f"sha512-{digest}")


def test_a_package_is_unpacked_under_its_name(package: NpmPackage, tmp_path: Path) -> None:
    fetch_npm_package(package, tmp_path / "npm", tmp_path / "log", 20.0)
    assert (tmp_path / "npm" / "runtime" / "dist" / "run.mjs").read_bytes() == b"ok"


def test_another_digest_is_refused(package: NpmPackage, tmp_path: Path) -> None:
    with (tmp_path / "given.tgz").open("ab") as archive:
        archive.write(b"more")
    with pytest.raises(ToolchainError, match=r"npm gave another runtime@1\.0\.0: found sha512-"):
        fetch_npm_package(package, tmp_path / "npm", tmp_path / "log", 20.0)
    assert not (tmp_path / "npm").exists()


def test_a_package_that_npm_cannot_fetch_is_one_line(package: NpmPackage, tmp_path: Path) -> None:
    other = NpmPackage("other", "1.0.0", package.integrity)
    with pytest.raises(ToolchainError, match=r"fetch other@1\.0\.0 failed, exit code 1"):
        fetch_npm_package(other, tmp_path / "npm", tmp_path / "log", 20.0)


def test_without_npm_that_is_said(
    package: NpmPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolchainError, match=r"runtime@1\.0\.0 is fetched with npm, which is not"):
        fetch_npm_package(package, tmp_path / "npm", tmp_path / "log", 20.0)
