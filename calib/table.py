"""Keep the statistics of a graph's tensors over a set of images as a table on disk.

A table is two files: ``NAME.json``, which a person can read (digests of graph and images, and
for each tensor its extremes, percentile ranges and grid), and ``NAME.npz`` beside it with the
histograms' counts and the per-channel figures, the tensors' arrays one after another in the
JSON's order. The JSON holds a digest of the arrays, so neither file passes with another's half.
Any percentile and any target can be derived from a table without an image, at any input size: what
counts is how values are distributed, and the table says at which size that was seen.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from calib.archive import content_digest, read_archive, write_archive
from calib.arrays import AnyArray
from calib.digest import sha256_bytes
from calib.errors import CalibrationError, StaleTableError
from calib.files import write_atomically
from calib.images_record import ImagesRecord
from calib.records import Sha256, encode, read
from calib.statistics import TensorStatistics
from calib.tensor_records import TensorRecord, pack, unpack

__all__ = ["CalibrationTable", "TensorStatistics"]

SCHEMA: Literal["esrdeploy.calibration/4"] = "esrdeploy.calibration/4"
_SHOWN_PERCENTILES = (99.9, 99.99, 99.999)


@dataclass(frozen=True, eq=False)
class CalibrationTable:
    """What calibration knows of a graph.

    Attributes:
        network_digest: of the graph that was run (:func:`calib.graph.network_digest`); it is the
            same at any input size.
        images: the images that were run (:meth:`calib.dataset.PatchSet.record`), and at which
            size.
        tensors: statistics by tensor, in the order they were asked for.
    """

    network_digest: str
    images: ImagesRecord
    tensors: Mapping[str, TensorStatistics]

    @cached_property
    def digest(self) -> str:
        """Sha256 of the JSON file, which holds a digest of everything else."""
        return sha256_bytes(self._json)

    def require_network(self, digest: str) -> None:
        """Make sure that the table was made from the network with ``digest``, at whatever size.

        Raises:
            StaleTableError: it was not; the message holds both digests.
        """
        if digest != self.network_digest:
            raise StaleTableError(
                f"the calibration table was made from network {self.network_digest}, "
                f"this network is {digest}; calibrate again"
            )

    def save(self, path: Path) -> tuple[Path, Path]:
        """Write ``path`` (``.json``) and the ``.npz`` beside it; return both.

        Raises:
            UsageError: a file cannot be written.
        """
        arrays_path = path.with_suffix(".npz")
        write_archive(arrays_path, self._packed[1], compress=True)
        write_atomically(path, self._json)
        return path, arrays_path

    @classmethod
    def load(cls, path: Path) -> "CalibrationTable":
        """Read a table that :meth:`save` wrote.

        Raises:
            CalibrationError: a file is missing, damaged, of another schema, or not the other's.
        """
        document = read(path, TableDocument, CalibrationError, "calibrate again")
        arrays, _ = read_archive(path.with_suffix(".npz"))
        found, expected = content_digest(arrays), document.arrays_sha256
        if found != expected:
            raise CalibrationError(
                f"{path.with_suffix('.npz').name} has the content digest {found}, "
                f"{path.name} expects {expected}; the two do not belong together"
            )
        try:
            tensors = unpack(document.tensors, arrays)
        except CalibrationError as error:
            raise CalibrationError(f"{path}: {error}; calibrate again") from error
        table = cls(document.network_digest, document.images, tensors)
        pairs = zip(document.tensors, table._document.tensors, strict=True)
        for position, (shown, follows) in enumerate(pairs):
            if shown != follows:
                raise CalibrationError(
                    f"{path}: tensors[{position}] contradicts its histogram; calibrate again"
                )
        return table

    @cached_property
    def _packed(self) -> tuple[tuple[TensorRecord, ...], dict[str, AnyArray]]:
        return pack(self.tensors)

    @cached_property
    def _document(self) -> "TableDocument":
        records, arrays = self._packed
        shown = tuple(
            ShownTensor(
                **asdict(record),
                ranges={f"{p:g}": statistics.range(p) for p in _SHOWN_PERCENTILES},
            )
            for record, statistics in zip(records, self.tensors.values(), strict=True)
        )
        return TableDocument(self.network_digest, self.images, content_digest(arrays), shown)

    @cached_property
    def _json(self) -> bytes:
        return encode(self._document)


@dataclass(frozen=True)
class ShownTensor(TensorRecord):
    """A tensor as the JSON file shows it.

    Attributes:
        ranges: low and high end by two-sided percentile, for people.
    """

    ranges: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class TableDocument:
    """What the JSON file of a table says.

    Attributes:
        network_digest: of the graph that was run, whatever its input size.
        images: the images that were run.
        arrays_sha256: digest of the arrays beside it.
        tensors: in the order of the arrays.
        schema: version of the format.
    """

    network_digest: Sha256
    images: ImagesRecord
    arrays_sha256: Sha256
    tensors: tuple[ShownTensor, ...]
    schema: Literal["esrdeploy.calibration/4"] = SCHEMA
