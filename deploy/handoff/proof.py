"""Run what a bundle holds with the vendors' own engines, where they are installed."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from calib.errors import VerificationError
from calib.extras import install_command
from deploy.handoff.golden_set import Agreement, GoldenSet, agreement
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
        known = f"{needed_db:.1f} dB show that it is the same model"
        return f"{found.psnr_db:.1f} dB {self.detail}, {known}"


def prove(golden: GoldenSet, model: str, vendor: Vendor, engine: Engine) -> Proof:
    """Run one engine over golden vectors.

    Args:
        golden: the vectors to run it on, in an unpacked bundle.
        model: name of the network.
        vendor: whose engine it is.
        engine: what to run.

    Raises:
        VerificationError: the engine refuses its files, or gives another shape or NaN.
    """
    if find_spec(engine.package) is None:
        reason = f"{engine.package} is not installed: {install_command(engine.extra)}"
        return Proof(vendor.name, engine.name, None, reason)
    run = engine.load(golden.root, model, golden.form)
    found = agreement(run, golden, engine.kind, engine.required_db)
    return Proof(
        vendor.name, engine.name, found, f"from {engine.kind} on {found.pictures} pictures"
    )


def prove_bundle(
    golden: GoldenSet, model: str, vendors: Sequence[Vendor], progress: Progress
) -> tuple[Proof, ...]:
    """Run what the bundle holds with each vendor's own engine, where it is installed."""
    proofs = []
    for vendor in vendors:
        for engine in vendor.engines:
            title = f"{vendor.name}: running {engine.name}"
            with progress.stage(title, 1) as advance:
                proof = prove(golden.first(_PROOF_PICTURES), model, vendor, engine)
                advance()
            if proof.agreement is not None and not proof.agreement.holds:
                raise VerificationError(
                    f"{vendor.name}: {engine.name} reaches {proof.text}; the bundle is not written"
                )
            proofs.append(proof)
    return tuple(proofs)


_PROOF_PICTURES = 2
