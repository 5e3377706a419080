"""Say what it costs a build to have few pictures, from its manifest alone."""

from collections.abc import Iterator

from calib.held_back import ENOUGH, FEW, ONE_IN
from calib.images_record import ImagesSummary, photographs_in
from deploy.artifacts.manifest import Manifest
from deploy.artifacts.parity_record import VerifiedOn

# What 1, 2 and 4 pictures of DIV2K cost beside 50: parity of the int8 file, mean and lowest, on 14
# photographs of other kinds. 8 and 16 cost less than 0.1 dB on the mean.
_COSTS = ((1, 1.1, 4.4), (2, 0.8, 4.3), (4, 0.5, 1.7))


def picture_warnings(manifest: Manifest) -> tuple[str, ...]:
    """Return one line for each way in which a build had too few pictures."""
    if manifest.calibration is None:
        return ()
    return tuple(warnings_of(manifest.calibration.images, manifest.verified_on))


def warnings_of(calibrated_on: ImagesSummary, verified_on: VerifiedOn | None) -> Iterator[str]:
    """Say which pictures are too few, one line each.

    Args:
        calibrated_on: the pictures behind the calibration table.
        verified_on: those that were compared on; ``None`` where nothing was.
    """
    count, own = calibrated_on.count, calibrated_on.origin == "folder"
    asked = calibrated_on.requested or count
    if count < ENOUGH or (own and count < asked):
        wanted = f" where --calib-count takes {asked}" if count < asked else ""
        held = ""
        if verified_on is not None and verified_on.choice == "held-back" and count < asked:
            back = photographs_in(verified_on.images)
            held = f" ({back} {'is' if back == 1 else 'are'} held back)"
        yield (
            f"calibrated on {count} picture{'s' if count > 1 else ''}{wanted}{held}: what they "
            f"do not show is clipped{_cost(count)}; {_remedy(count)}"
        )
    if verified_on is not None and verified_on.choice != "sample":
        judged = photographs_in(verified_on.images)
        if judged < FEW:
            yield (
                f"judged on {judged} photograph{'s' if judged > 1 else ''} of your own, which says "
                "little of others: 'esrdeploy compare FOLDER' asks every one, at its own size"
            )
    judged_on_sample = verified_on is not None and verified_on.choice == "sample"
    if own and count < ONE_IN and judged_on_sample:
        yield (
            f"too few pictures to hold any back ({ONE_IN} are enough for one): judged on the "
            "embedded sample instead; --verify-images DIR names others"
        )


def _remedy(count: int) -> str:
    """Say what to do about so few pictures."""
    return "give more of them" if count < ENOUGH else "more of them would change little"


def _cost(count: int) -> str:
    """Return what so few pictures cost, as far as it was measured."""
    for most, mean_db, worst_db in _COSTS:
        if count <= most:
            return (
                f" (animevideov3 for ort, on other photographs: {mean_db} dB of parity less than "
                f"with 50, {worst_db} dB on the worst)"
            )
    if count < ENOUGH:
        return ""
    return " (animevideov3 for ort, on other photographs: less than 0.1 dB of the mean parity)"
