"""Run what a bundle holds with the vendors' own engines, where they are installed."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from calib.errors import VerificationError
from deploy.handoff.bundle_manifest import GoldenVector
from deploy.handoff.golden import Agreement, agreement
from deploy.handoff.vendor import Engine, Vendor
from deploy.progress import Progress


@dataclass(frozen=True)
class Proof:
    """What a vendor's engine made of the bundle here.

    Attributes:
        vendor: name of the vendor.
        engine: what was run.
        agreement: with the golden arrays; ``None``: it was not run.
        detail: against what, or why it was not run.
    """

    vendor: str
    engine: str
    agreement: Agreement | None
    detail: str

    @property
    def text(self) -> str:
        """What came out, for people."""
        if self.agreement is None:
            return f"not run, {self.detail}"
        found, needed_db = self.agreement, self.agreement.psnr_db - self.agreement.margin_db
        return f"{found.psnr_db:.1f} dB {self.detail}, expected at least {needed_db:.1f} dB"


def prove(
    root: Path, model: str, vendor: Vendor, engine: Engine, golden: Sequence[GoldenVector]
) -> Proof:
    """Run one engine over golden vectors.

    Args:
        root: of an unpacked bundle.
        model: name of the network.
        vendor: whose engine it is.
        engine: what to run.
        golden: the vectors to run it on.

    Raises:
        VerificationError: the engine refuses its files, or gives another shape or NaN.
    """
    if find_spec(engine.package) is None:
        reason = f"{engine.package} is not installed: pip install 'esrdeploy[{engine.extra}]'"
        return Proof(vendor.name, engine.name, None, reason)
    found = agreement(engine.load(root, model), root, engine.kind, golden, engine.required_db)
    return Proof(
        vendor.name, engine.name, found, f"from {engine.kind} on {found.pictures} pictures"
    )


def prove_bundle(
    root: Path,
    model: str,
    vendors: Sequence[Vendor],
    golden: Sequence[GoldenVector],
    progress: Progress,
) -> tuple[Proof, ...]:
    """Run what the bundle holds with each vendor's own engine, where it is installed."""
    proofs = []
    for vendor in vendors:
        for engine in vendor.engines:
            title = f"{vendor.name}: running {engine.name}"
            with progress.stage(title, 1) as advance:
                proof = prove(root, model, vendor, engine, golden[:_PROOF_PICTURES])
                advance()
            if proof.agreement is not None and not proof.agreement.holds:
                raise VerificationError(
                    f"{vendor.name}: {engine.name} reaches {proof.text}; the bundle is not written"
                )
            proofs.append(proof)
    return tuple(proofs)


_PROOF_PICTURES = 2
