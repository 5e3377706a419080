"""Keep what a calibration has done so far in a file that survives SIGKILL at any moment.

The file holds the statistics of the finished images and which images those are. It is written
whole after each image and replaced at once, so there is always one complete state on disk: at
worst the image at hand is run again. It names the job it belongs to (graph, tensors, images,
runtime version); a journal of another job is put aside with a warning, never mixed in.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calib.archive import read_archive, write_archive
from calib.errors import CalibrationError
from calib.records import Count, decode, encode
from calib.statistics import TensorStatistics
from calib.tensor_records import TensorRecord, pack, unpack

SCHEMA: Literal["esrdeploy.journal/2"] = "esrdeploy.journal/2"

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class JournalRecord:
    """What stands in a journal beside the arrays.

    Attributes:
        job: what identifies the job.
        done: positions of the finished images.
        tensors: what the arrays hold.
        schema: version of the format.
    """

    job: Mapping[str, str]
    done: tuple[Count, ...]
    tensors: tuple[TensorRecord, ...]
    schema: Literal["esrdeploy.journal/2"] = SCHEMA


@dataclass(frozen=True)
class Journal:
    """The state file of one calibration job.

    Attributes:
        path: where it lies.
        job: what identifies the job, digests and versions by what they are of.
    """

    path: Path
    job: Mapping[str, str]

    def write(self, done: Collection[int], tensors: Mapping[str, TensorStatistics]) -> None:
        """Replace the state: the images finished, by position, and their joint statistics.

        Raises:
            UsageError: the file cannot be written.
        """
        records, arrays = pack(tensors)
        record = encode(JournalRecord(dict(self.job), tuple(sorted(done)), records))
        # Not compressed: it is written once an image and lives as long as the job.
        write_archive(self.path, arrays, record=record, compress=False)

    def read(self) -> tuple[set[int], dict[str, TensorStatistics]]:
        """Return the state; nothing done if there is no usable journal of this job."""
        if not self.path.exists():
            return set(), {}
        try:
            arrays, content = read_archive(self.path)
            record = decode(content or b"", JournalRecord, "it", CalibrationError, "calibrate anew")
            self._require_job(record)
            return set(record.done), unpack(record.tensors, arrays)
        except CalibrationError as error:
            _LOG.warning("starting anew, not from the journal %s: %s", self.path, error)
            return set(), {}

    def _require_job(self, record: JournalRecord) -> None:
        for name, expected in self.job.items():
            found = record.job.get(name)
            if found != expected:
                raise CalibrationError(f"it was made with {name} {found}, this job has {expected}")
