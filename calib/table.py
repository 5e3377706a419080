"""Write and read calibration tables: the statistics of a graph's tensors over a set of images.

A table is two files: ``NAME.json``, which a person can read (digests of graph and images, and
for each tensor its extremes, percentile ranges and grid), and ``NAME.npz`` beside it with the
histograms' counts and the per-channel figures, the tensors' arrays one after another in the
JSON's order. The JSON holds a digest of the arrays, so neither file passes with another's half.
Any percentile and any target can be derived from a table without an image.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from pathlib import Path
from typing import Any

import numpy as np

from calib.archive import content_digest, read_archive, write_archive
from calib.channels import BINS, ChannelHistograms
from calib.digest import canonical_json, sha256_bytes
from calib.errors import CalibrationError, StaleTableError
from calib.files import write_atomically
from calib.histogram import Histogram
from calib.statistics import TensorStatistics

__all__ = ["CalibrationTable", "TensorStatistics", "merge_tables", "pack", "unpack"]

Array = np.ndarray[Any, np.dtype[Any]]

SCHEMA = "esrdeploy.calibration/2"
_SHOWN_PERCENTILES = (99.9, 99.99, 99.999)
_ARRAYS = {
    "counts": np.int64,
    "channel_minimum": np.float32,
    "channel_maximum": np.float32,
    "channel_counts": np.int32,
    "channel_mean_sum": np.int64,
}


@dataclass(frozen=True, eq=False)
class CalibrationTable:
    """What calibration knows of a graph.

    Attributes:
        graph_digest: of the graph that was run (:func:`calib.graph.graph_digest`).
        images: record of the images that were run (:meth:`calib.dataset.PatchSet.record`).
        tensors: statistics by tensor, in the order they were asked for.
    """

    graph_digest: str
    images: Mapping[str, Any]
    tensors: Mapping[str, TensorStatistics]

    @cached_property
    def digest(self) -> str:
        """Sha256 of the JSON file, which holds a digest of everything else."""
        return sha256_bytes(self._json)

    def require_graph(self, digest: str) -> None:
        """Make sure that the table was made from the graph with ``digest``.

        Raises:
            StaleTableError: it was not; the message holds both digests.
        """
        if digest != self.graph_digest:
            raise StaleTableError(
                f"the calibration table was made from graph {self.graph_digest}, "
                f"this graph is {digest}; calibrate again"
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
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise CalibrationError(f"calibration table {path}: {error}") from error
        schema = content.get("schema") if isinstance(content, dict) else None
        if schema != SCHEMA:
            raise CalibrationError(f"{path} has the schema {schema!r}, expected {SCHEMA!r}")
        arrays, _ = read_archive(path.with_suffix(".npz"))
        found, expected = content_digest(arrays), content.get("arrays_sha256")
        if found != expected:
            raise CalibrationError(
                f"{path.with_suffix('.npz').name} has the content digest {found}, "
                f"{path.name} expects {expected}; the two do not belong together"
            )
        try:
            table = cls(
                content["graph_digest"], content["images"], unpack(content["tensors"], arrays)
            )
        except (KeyError, TypeError) as error:
            raise CalibrationError(f"{path} lacks or misuses the entry {error}") from error
        if table._json != canonical_json(content):
            raise CalibrationError(f"{path} contradicts its histograms; calibrate again")
        return table

    @cached_property
    def _packed(self) -> tuple[list[dict[str, Any]], dict[str, Array]]:
        return pack(self.tensors)

    @cached_property
    def _json(self) -> bytes:
        records, arrays = self._packed
        for record, statistics in zip(records, self.tensors.values(), strict=True):
            record["ranges"] = {f"{p:g}": list(statistics.range(p)) for p in _SHOWN_PERCENTILES}
        return canonical_json(
            {
                "schema": SCHEMA,
                "graph_digest": self.graph_digest,
                "images": dict(self.images),
                "arrays_sha256": content_digest(arrays),
                "tensors": records,
            }
        )


def merge_tables(tables: Sequence[CalibrationTable], images: Mapping[str, Any]) -> CalibrationTable:
    """Return the table of all images together, exactly as if they had been run in one go.

    Args:
        tables: tables of one graph and one list of tensors, over disjoint images.
        images: the record of the whole set.

    Raises:
        StaleTableError: the tables come from different graphs.
        CalibrationError: none are given, or tensors or images do not add up.
    """
    if not tables:
        raise CalibrationError("no calibration tables to merge")
    for table in tables[1:]:
        table.require_graph(tables[0].graph_digest)
        if list(table.tensors) != list(tables[0].tensors):
            raise CalibrationError("the tables to merge hold different tensors")
    expected = _patch_digests([images])
    if _patch_digests([table.images for table in tables]) != expected:
        raise CalibrationError(
            f"the images of the tables to merge are not the {len(expected)} of the whole set"
        )
    tensors = {
        name: reduce(TensorStatistics.merge, (table.tensors[name] for table in tables))
        for name in tables[0].tensors
    }
    return CalibrationTable(tables[0].graph_digest, images, tensors)


def pack(
    tensors: Mapping[str, TensorStatistics],
) -> tuple[list[dict[str, Any]], dict[str, Array]]:
    """Return statistics as one JSON-able record per tensor, and a few long arrays."""
    records = [
        {
            "name": name,
            "minimum": statistics.minimum,
            "maximum": statistics.maximum,
            "count": statistics.histogram.total,
            "observations": statistics.observations,
            "exponent": statistics.histogram.exponent,
            "first_bin": statistics.histogram.first_bin,
            "bins": len(statistics.histogram.counts),
            "channels": len(statistics.channel_mean_sum),
        }
        for name, statistics in tensors.items()
    ]
    parts: dict[str, list[Array]] = {
        "counts": [s.histogram.counts for s in tensors.values()],
        "channel_minimum": [s.channels.minimum for s in tensors.values()],
        "channel_maximum": [s.channels.maximum for s in tensors.values()],
        "channel_counts": [s.channels.counts.reshape(-1) for s in tensors.values()],
        "channel_mean_sum": [s.channel_mean_sum for s in tensors.values()],
    }
    return records, {
        name: np.concatenate(parts[name], dtype=dtype) for name, dtype in _ARRAYS.items()
    }


def unpack(
    records: Iterable[Mapping[str, Any]], arrays: Mapping[str, Array]
) -> dict[str, TensorStatistics]:
    """Return the statistics that :func:`pack` took apart.

    Raises:
        CalibrationError: records and arrays contradict one another.
        KeyError: a record lacks an entry.
    """
    found = {name: (array.dtype, array.ndim) for name, array in arrays.items()}
    if found != {name: (np.dtype(dtype), 1) for name, dtype in _ARRAYS.items()}:
        raise CalibrationError(f"the table's arrays are {found}, expected 1-D {list(_ARRAYS)}")
    records = list(records)
    bins, channels = sum(r["bins"] for r in records), sum(r["channels"] for r in records)
    sizes = {"counts": bins, "channel_counts": channels * BINS}
    for name in _ARRAYS:
        size = sizes.get(name, channels)
        if len(arrays[name]) != size:
            raise CalibrationError(f"{name} has {len(arrays[name])} values, expected {size}")
    channel_counts = arrays["channel_counts"].reshape(-1, BINS)
    tensors: dict[str, TensorStatistics] = {}
    first_bin, first_channel = 0, 0
    for record in records:
        last_bin, last_channel = first_bin + record["bins"], first_channel + record["channels"]
        statistics = TensorStatistics(
            histogram=Histogram(
                record["minimum"],
                record["maximum"],
                record["exponent"],
                record["first_bin"],
                arrays["counts"][first_bin:last_bin],
            ),
            observations=record["observations"],
            channels=ChannelHistograms(
                arrays["channel_minimum"][first_channel:last_channel],
                arrays["channel_maximum"][first_channel:last_channel],
                channel_counts[first_channel:last_channel],
            ),
            channel_mean_sum=arrays["channel_mean_sum"][first_channel:last_channel],
        )
        _require_consistent(record, statistics)
        tensors[record["name"]] = statistics
        first_bin, first_channel = last_bin, last_channel
    if len(tensors) != len(records):
        raise CalibrationError("a tensor is listed twice in the calibration table")
    return tensors


def _require_consistent(record: Mapping[str, Any], statistics: TensorStatistics) -> None:
    extremes = (statistics.channels.minimum.min(), statistics.channels.maximum.max())
    consistent = (
        statistics.histogram.total == record["count"]
        and statistics.observations > 0
        and record["count"] % (statistics.observations * record["channels"]) == 0
        and tuple(map(float, extremes)) == (statistics.minimum, statistics.maximum)
        and len(set(statistics.channels.counts.sum(axis=1))) == 1
    )
    if not consistent:
        raise CalibrationError(
            f"counts and channel figures of tensor {record['name']!r} contradict its record"
        )


def _patch_digests(records: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted(patch["sha256"] for record in records for patch in record["patches"])
