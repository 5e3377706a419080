"""Make the virtual environments of toolchains, in this user's cache, one for each set of pins.

An environment has its name from what is installed into it, so a change of pins is another one. It
counts as made when its ``installed.json`` is there, which is written last; whatever else is found
under its name is made anew, and what fails while it is made is removed.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from calib.digest import canonical_json, sha256_bytes
from calib.files import make_folder, write_atomically
from calib.user_cache import user_cache
from deploy.progress import Progress
from deploy.simulate.npm import fetch_npm_package
from deploy.simulate.step import Step, run_step
from deploy.simulate.toolchain import Environment

_MARK = "installed.json"
_PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "--retries", "2", "install")


def toolchains_folder() -> Path:
    """Return where this user's environments lie."""
    return user_cache("toolchains")


@dataclass(frozen=True)
class Place:
    """Where an environment is, or will be.

    Attributes:
        environment: what is installed into it.
        folder: its own.
        base: the Python that it is made from; ``None`` where it is there.
    """

    environment: Environment
    folder: Path
    base: Path | None = None

    @classmethod
    def of(cls, toolchain: str, environment: Environment) -> "Place":
        """Return the place of an environment of a toolchain."""
        content = {**_content(environment), "pythons": environment.pythons}
        key = sha256_bytes(canonical_json(content))[:12]
        return cls(environment, toolchains_folder() / f"{toolchain}-{key}")

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def made(self) -> bool:
        """Whether it is there, whole."""
        return (self.folder / _MARK).is_file() and self.python.exists()

    def made_from(self, base: Path) -> "Place":
        """Return the same place, to be made from a Python."""
        return replace(self, base=base)


def make_environment(place: Place, log: Path, limit_s: float, progress: Progress) -> None:
    """Make an environment, unless it is there.

    Args:
        place: of the environment, with the Python to make it from.
        log: what the installation says goes there.
        limit_s: how long each step may take.
        progress: told what is going on.

    Raises:
        ToolchainError: a package cannot be installed.
        UsageError: the folder cannot be written.
    """
    make_folder(place.folder.parent)
    with FileLock(place.folder.with_suffix(".lock")):
        if place.made:
            return
        assert place.base is not None  # found before anybody was asked
        with _whole(place.folder):
            steps = list(_steps(place, place.base, log, limit_s))
            packages = place.environment.npm
            count = len(steps) + len(packages)
            with progress.stage(f"installing {place.folder.name}", count) as advance:
                for step in steps:
                    run_step(step)
                    advance()
                for package in packages:
                    own = log.with_name(f"{log.stem}-{package.name}{log.suffix}")
                    fetch_npm_package(package, place.folder / "npm", own, limit_s)
                    advance()
            write_atomically(place.folder / _MARK, canonical_json(_content(place.environment)))


def _content(environment: Environment) -> dict[str, Any]:
    """Return what is installed, as a JSON-able mapping."""
    content: dict[str, Any] = {"pins": environment.pins, "bare": environment.bare}
    if environment.npm:
        content["npm"] = [package.integrity for package in environment.npm]
    return content


@contextmanager
def _whole(folder: Path) -> Iterator[None]:
    """Let a folder be there whole or not at all."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _steps(place: Place, base: Path, log: Path, limit_s: float) -> Iterator[Step]:
    environment = place.environment
    with_pip = () if environment.pins else ("--without-pip",)
    commands: list[tuple[str, tuple[str | Path, ...]]] = [
        ("make its environment", (base, "-m", "venv", *with_pip, place.folder))
    ]
    if environment.pins:
        commands.append(("install", (place.python, *_PIP, *environment.pins)))
    if environment.bare:
        commands.append(("install", (place.python, *_PIP, "--no-deps", *environment.bare)))
    for number, (title, command) in enumerate(commands):
        yield Step(
            f"{place.folder.name}: {title}",
            command,
            place.folder.parent,
            log.with_name(f"{log.stem}-{number}{log.suffix}"),
            limit_s,
        )
