"""Hold what came of a handoff: the bundle, and what is to be said of it."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deploy.artifacts.parity_record import VerifiedOn
from deploy.handoff.acceptance import LEAST_INT8_DB
from deploy.handoff.bundle_manifest import BundleManifest
from deploy.handoff.proof import Proof
from deploy.network.known_models import trained_by_real_esrgan


@dataclass(frozen=True)
class HandoffOutcome:
    """A finished bundle.

    Attributes:
        path: of the zip.
        sha256: of the zip.
        manifest: what is in it.
        proofs: what the vendors' engines made of it.
        verified_on: the pictures that the build was verified on; ``None`` where on none.
    """

    path: Path
    sha256: str
    manifest: BundleManifest
    proofs: tuple[Proof, ...]
    verified_on: VerifiedOn | None

    @property
    def golden_text(self) -> str:
        """Whose pictures the golden vectors are of, and how to take one's own where none is."""
        text = f"golden vectors are of {self.manifest.golden_pictures}"
        if any(vector.origin == "folder" for vector in self.manifest.golden):
            return f"{text}: those are in the bundle"
        if self.verified_on is None or self.verified_on.choice == "sample":
            return text
        return (
            f"{text}; the build was verified on {self.verified_on}: --images DIR with their folder "
            "makes golden vectors of them, and puts them into the bundle"
        )

    @property
    def pictures_text(self) -> str:
        """Who needs calibration pictures that are not in the bundle; empty where nobody does."""
        takers = [vendor.name for vendor in self.manifest.vendors if vendor.quantizes_itself]
        if not takers or self.manifest.calibration_pictures:
            return ""
        return (
            f"where tools of {' and '.join(takers)} quantize by themselves, they take your "
            "calibration pictures, which are not in the bundle: send their folder, or put the "
            "pictures in with --include-images --calib DIR"
        )

    @property
    def licence_text(self) -> str:
        """How to state the licence of weights of which none is known; empty where one is."""
        manifest = self.manifest
        if manifest.weights_licence or trained_by_real_esrgan(manifest.weights.sha256):
            return ""
        return (
            "LICENSES.md says of the weights 'licence not known': they are of no known release; "
            "--weights-licence TEXT states theirs"
        )

    @property
    def below_limit_texts(self) -> tuple[str, ...]:
        """On which golden inputs our own int8 is below what a return needs, one line a target."""
        lines = []
        for profile in self.manifest.int8_models:
            golden = self.manifest.golden
            low = [vector.name for vector in golden if vector.psnr_db[profile] < LEAST_INT8_DB]
            if low:
                lines.append(
                    f"int8 {profile} is below {LEAST_INT8_DB:g} dB on {len(low)} of {len(golden)} "
                    f"golden inputs ({', '.join(low)}): whoever runs it well is refused there; "
                    "calibrate on such pictures, or choose others with --images"
                )
        return tuple(lines)

    @property
    def contents(self) -> dict[str, tuple[int, int]]:
        """How many files and bytes are for every vendor, and how many for each."""
        common = "for every vendor"
        counted = {common: (0, 0), **{f"{one.name}/": (0, 0) for one in self.manifest.vendors}}
        for file in self.manifest.files:
            folder = file.path.partition("/")[0] + "/"
            part = folder if folder in counted else common
            files, size_bytes = counted[part]
            counted[part] = (files + 1, size_bytes + file.size_bytes)
        return counted

    def record(self) -> dict[str, Any]:
        """Return everything as a JSON-able mapping."""
        return {
            "path": str(self.path),
            "sha256": self.sha256,
            "size_bytes": self.path.stat().st_size,
            "contents": [
                {"in_the_bundle": part, "files": files, "size_bytes": size_bytes}
                for part, (files, size_bytes) in self.contents.items()
            ],
            "golden_pictures": self.golden_text,
            "missing_pictures": self.pictures_text or None,
            "below_limit": list(self.below_limit_texts),
            "missing_licence": self.licence_text or None,
            "proofs": [asdict(proof) for proof in self.proofs],
            "manifest": self.manifest.record(),
        }
