"""Load a weights file, or a model's own weights, as float32 tensors with origin and digest."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from calib.arrays import Float32
from calib.digest import sha256_bytes
from calib.errors import WeightsError
from calib.files import read_whole
from deploy.artifacts.weights_record import WeightsRecord
from deploy.ncnn.read import attach_weights, parse_param
from deploy.network.architecture import SRVGGActivation
from deploy.network.known_models import WEIGHTS_PACKAGE, ModelEntry, released_as
from deploy.network.weights.download import cached_file
from deploy.network.weights.file_kinds import require_weights_file
from deploy.network.weights.find_network import find_network
from deploy.network.weights.ncnn_layers import require_known_layers
from deploy.network.weights.ncnn_state_dict import ncnn_network
from deploy.network.weights.read_safetensors import read_safetensors
from deploy.network.weights.saved_tensors import Entries
from deploy.network.weights.trusted import Trusted, trusted_download, trusted_pair

_TORCH_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin")
_ZIP_START = b"PK\x03\x04"
_JSON_START = b"{"
_PICKLE_START = b"\x80"
_SAFETENSORS_HEADER_OFFSET = 8


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a network and where they came from.

    Attributes:
        tensors: finite float32 arrays by state dict key.
        origin: where the weights came from, without machine paths.
        sha256: of the file that holds the weights (of an ncnn pair: the ``.bin``).
        files: sha256 of every file that was read, by file name.
        official: whether the file is the official release to the byte; ``None`` where that
            cannot be said, because no hash is known or the file is a conversion.
        activation: what stands behind the convolutions, where the file says it: an ncnn pair of an
            SRVGGNetCompact does, a state dict does not.
        notes: what was decided in reading, for the user to know.
    """

    tensors: Mapping[str, Float32] = field(repr=False)
    origin: str
    sha256: str
    files: Mapping[str, str]
    official: bool | None = None
    activation: SRVGGActivation | None = None
    notes: tuple[str, ...] = ()

    def record(self) -> WeightsRecord:
        """Return where the weights came from."""
        released = released_as(self.sha256)
        return WeightsRecord(self.origin, self.sha256, dict(self.files), self.official, released)


def load_model_checkpoint(entry: ModelEntry, weights: Path | None = None) -> Checkpoint:
    """Load the weights of a model: the file given, or those at hand.

    Args:
        entry: the model.
        weights: a file of the user; ``None`` looks into the weights package and then for a
            downloaded official file.

    Raises:
        WeightsError: there are no weights at hand, the file cannot be used, or one that is at hand
            is not the one that the model's name stands for.
    """
    if weights is not None:
        return _judged(load_checkpoint(weights), entry)
    if (pair := packaged_pair(entry)) is not None:
        origin = f"package {WEIGHTS_PACKAGE} {version(WEIGHTS_PACKAGE)}, {pair.name}"
        return replace(load_checkpoint(pair, trusted_pair(entry)), origin=origin)
    if (cached := cached_file(entry)) is not None:
        origin = f"official file {entry.official_file} of release {entry.release}"
        found = load_checkpoint(cached, trusted_download(entry))
        return _judged(replace(found, origin=origin), entry)
    missing = "" if entry.packaged_stem is None else f"the package {WEIGHTS_PACKAGE} is damaged or "
    raise WeightsError(
        f"no weights at hand for {entry.name!r}: {missing}no official file was downloaded; run "
        f"'esrdeploy models --download {entry.name}', or get {entry.official_url()} and name it "
        "with --weights"
    )


def weights_at_hand(entry: ModelEntry) -> str | None:
    """Return which weights ``load_model_checkpoint`` would take, without reading them."""
    if packaged_pair(entry) is not None:
        return f"package {WEIGHTS_PACKAGE}"
    return None if cached_file(entry) is None else "downloaded"


def load_checkpoint(path: Path, trusted: Trusted | None = None) -> Checkpoint:
    """Read a weights file of any form known here.

    Args:
        path: a ``.pth``, a ``.safetensors``, or either file of an ncnn pair whose two files
            differ in their suffix only.
        trusted: what the files must be to be parsed; ``None``: whatever they are.

    Returns:
        The tensors under the state dict keys of BasicSR, whatever the file called them.

    Raises:
        WeightsError: the file is missing, corrupt, of no known form, or holds a value that is
            not finite.
    """
    trusted = trusted or Trusted()
    if is_ncnn_pair(path):
        halves = path.with_suffix(".param"), path.with_suffix(".bin")
        checkpoint = _read_ncnn_pair(*halves, trusted)
    else:
        entries, digest = load_entries(path, trusted)
        found = find_network(entries, path.name)
        checkpoint = Checkpoint(
            found.tensors, f"file {path.name}", digest, {path.name: digest}, notes=found.notes
        )
    require_finite(checkpoint.tensors, path.name)
    return checkpoint


def is_ncnn_pair(path: Path) -> bool:
    """Tell whether a file is one of the two of an ncnn pair."""
    beside = path.suffix == ".bin" and path.with_suffix(".param").is_file()
    return path.suffix == ".param" or beside


def load_entries(path: Path, trusted: Trusted | None = None) -> tuple[Entries, str]:
    """Return everything that a ``.pth`` or ``.safetensors`` names, and the file's sha256.

    Raises:
        WeightsError: the file is missing, corrupt, of no known form, or not the trusted one.
    """
    content = _content(path, trusted or Trusted())
    return _read_single_file(content, path), sha256_bytes(content)


def packaged_pair(entry: ModelEntry) -> Path | None:
    """Return the ``.bin`` of the model's ncnn pair in the weights package, if it is there.

    The package is found, not imported: it holds nothing but files.
    """
    spec = find_spec(WEIGHTS_PACKAGE.replace("-", "_"))
    if entry.packaged_stem is None or spec is None:
        return None
    for folder in spec.submodule_search_locations or ():
        binary = Path(folder) / "models" / f"{entry.packaged_stem}.bin"
        if binary.is_file():
            return binary
    return None


def _judged(checkpoint: Checkpoint, entry: ModelEntry) -> Checkpoint:
    if entry.sha256 is None:
        return checkpoint
    return replace(checkpoint, official=checkpoint.sha256 == entry.sha256)


def _read_ncnn_pair(param: Path, binary: Path, trusted: Trusted) -> Checkpoint:
    _require_other_half(param, binary)
    text = _content(param, trusted)
    require_weights_file(text, param)
    layers = parse_param(text.decode("utf-8", errors="replace"), param.name)
    require_known_layers(layers, param.name)  # before the other file: its absence matters less
    _require_other_half(binary, param)
    content = _content(binary, trusted)
    require_weights_file(content, binary)
    found = ncnn_network(attach_weights(layers, content, binary.name), param.name)
    digest = sha256_bytes(content)
    files = {param.name: sha256_bytes(text), binary.name: digest}
    return Checkpoint(
        found.tensors, f"file {binary.name}", digest, files, activation=found.activation
    )


def _require_other_half(path: Path, other: Path) -> None:
    if not path.is_file() and other.is_file():
        raise _half_a_pair(other, path)


def _half_a_pair(path: Path, missing: Path) -> WeightsError:
    return WeightsError(
        f"{path.name} has no {missing.name} beside it; an ncnn pair is two files of one name: put "
        f"the {missing.suffix} there"
    )


def _read_single_file(content: bytes, path: Path) -> Entries:
    require_weights_file(content, path)
    if path.suffix == ".bin" and not content.startswith((_ZIP_START, _PICKLE_START)):
        raise _half_a_pair(path, path.with_suffix(".param"))
    start = _SAFETENSORS_HEADER_OFFSET
    if path.suffix == ".safetensors" or content[start : start + 1] == _JSON_START:
        return read_safetensors(content, path.name)
    if path.suffix in _TORCH_SUFFIXES or content.startswith(_ZIP_START):
        # torch takes seconds to import, and most weights are read without it.
        from deploy.network.weights.read_pth import read_torch_file  # noqa: PLC0415  # see above

        return read_torch_file(content, path.name)
    raise WeightsError(
        f"{path.name} is of no form known here; expected .pth, .safetensors, or an ncnn pair "
        ".param / .bin"
    )


def _content(path: Path, trusted: Trusted) -> bytes:
    """Return what a file holds, which is the trusted one where there is such."""
    if path.is_dir():
        raise WeightsError(f"{path} is a folder; name the file of weights in it")
    try:
        content = read_whole(path)
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {error.strerror or error}") from error
    trusted.require(path, content)
    return content


def require_finite(tensors: Mapping[str, Float32], source: str) -> None:
    """Refuse weights that are no numbers.

    Raises:
        WeightsError: there is one; the message names its tensor.
    """
    for name, tensor in tensors.items():
        bad = int(tensor.size - np.isfinite(tensor).sum())
        if bad:
            raise WeightsError(
                f"{source}: tensor {name!r} holds {bad} values that are NaN or infinite; "
                "expected finite weights"
            )
