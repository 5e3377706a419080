"""Define the one error tree of esrdeploy.

    EsrdeployError                 base: one clear line for the user, never a traceback
    ├── InputError                 bad usage or bad input, exit code 2
    │   ├── UsageError             an option or argument that cannot be honoured
    │   ├── WeightsError           a checkpoint that is missing, corrupt or of another network
    │   │   ├── UnknownArchitectureError   a network's, but of no architecture here
    │   │   └── DiscriminatorError         a discriminator's, where a generator's is expected
    │   ├── ImageError             a file that does not decode as a picture
    │   ├── ImageSetError          a folder that does not hold the images asked for
    │   ├── GraphError             an ONNX graph this tool cannot take
    │   ├── CalibrationError       statistics that cannot be used (NaN, none observed)
    │   ├── StaleTableError        a calibration table made from another graph or other images
    │   └── ToolchainError         a vendor's toolchain that cannot be installed, or failed
    └── VerificationError          an artifact that is not what it claims to be, exit code 1

Each message says what was found, what was expected and what to do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class EsrdeployError(Exception):
    """Base of every error that esrdeploy raises on purpose.

    Attributes:
        exit_code: process exit status that the command line returns for it.
    """

    exit_code = 2


class InputError(EsrdeployError):
    """Bad usage or bad input."""


class UsageError(InputError):
    """An option or argument cannot be honoured."""


class WeightsError(InputError):
    """A checkpoint is missing, corrupt, or holds another network."""


class UnknownArchitectureError(WeightsError):
    """A checkpoint holds a network of no architecture that is built here."""


class DiscriminatorError(WeightsError):
    """A checkpoint holds a discriminator where a generator is expected."""


class ImageError(InputError):
    """A file does not decode as a picture."""


class ImageSetError(InputError):
    """A folder does not hold the images that were asked for."""


class GraphError(InputError):
    """An ONNX graph is not one this tool can take."""


class CalibrationError(InputError):
    """Calibration statistics cannot be used."""


class StaleTableError(CalibrationError):
    """A calibration table was made from another graph or from other images."""


class ToolchainError(InputError):
    """A vendor's toolchain cannot be installed, failed, or did not end in time."""


class VerificationError(EsrdeployError):
    """An artifact is not what it claims to be."""

    exit_code = 1


@contextmanager
def named(file: Path, kind: type[EsrdeployError]) -> Iterator[None]:
    """Let errors of a kind that are raised within name the file that they are about.

    Args:
        file: what was given.
        kind: of the errors; one whose message names the file already passes as it is.
    """
    try:
        yield
    except kind as error:
        if f"{file.stem}." in str(error):
            raise
        raise type(error)(f"{file}: {error}") from error
