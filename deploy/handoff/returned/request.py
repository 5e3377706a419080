"""Say what of a vendor's outputs is to be judged, and against what."""

from dataclasses import dataclass, field
from pathlib import Path

from deploy.artifacts.precision import ModelPrecision
from deploy.handoff.acceptance import Scales
from deploy.handoff.bundle_manifest import VendorRecord
from deploy.handoff.returned.files import OutputFormat


@dataclass(frozen=True)
class ReturnedRequest:
    """What to judge.

    Attributes:
        folder: with the vendor's output files.
        bundle: that they were made from, zip or folder.
        vendor: whose they are; ``None`` where the bundle is for one vendor.
        precision: that the vendor's model was built in.
        profile: of our int8 to compare with; ``None`` takes the vendor's first.
        hr: folder of HR photographs of the golden inputs, if there is one.
        reading: what the files do not say themselves.
        maker: whose they are, where it is no vendor of the bundle's.
        scales: that its int8 model was quantized with; ``None``: as the vendor's tools do.
        names: of the golden inputs that were run; ``None``: all.
    """

    folder: Path
    bundle: Path
    vendor: str | None = None
    precision: ModelPrecision = "int8"
    profile: str | None = None
    hr: Path | None = None
    reading: OutputFormat = field(default_factory=OutputFormat)
    maker: VendorRecord | None = None
    scales: Scales | None = None
    names: tuple[str, ...] | None = None
