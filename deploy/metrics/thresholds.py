"""Set what each picture of a file must reach, and say why a limit that looks low is where it is."""

from collections.abc import Iterable, Mapping

from calib.output_kind import OutputKind
from deploy.artifacts.parity_record import Threshold
from deploy.artifacts.precision import ModelPrecision

THRESHOLDS: Mapping[ModelPrecision, Threshold] = {  # of pictures
    # Two float32 engines differ by summation order alone, far above 100 dB.
    "fp32": Threshold(psnr_db=100.0, ssim=0.9999),
    # Half a unit in the last place of fp16 through some hundred layers.
    "fp16": Threshold(psnr_db=55.0, ssim=0.995),
    # Under 27 dB an 8-bit build shows grain and colour shifts that the eye finds.
    "int8": Threshold(psnr_db=27.0, ssim=0.6),
}
MAP_THRESHOLDS: Mapping[ModelPrecision, Threshold] = {
    # Summation order alone, as for pictures.
    "fp32": Threshold(psnr_db=100.0, ssim=None),
    # fp16 keeps 11 bits: 66 dB of one rounding, less what some dozen layers add up to.
    "fp16": Threshold(psnr_db=50.0, ssim=None),
    # Noise of a tenth of the map. Whoever reads its sign, as of logits, errs where it is near 0.
    "int8": Threshold(psnr_db=20.0, ssim=None),
}

_LIMIT_REASONS: Mapping[Threshold, str] = {
    THRESHOLDS["int8"]: (
        "27 dB and SSIM 0.6 of int8 are low on purpose: below them grain and shifted colours are "
        "plain to see; SSIM falls first in flat areas, by grain that is hardly seen there"
    ),
    MAP_THRESHOLDS["int8"]: "20 dB of a map of int8 are low on purpose: noise of a tenth of it",
}


def limit_reasons(limits: Iterable[Threshold]) -> tuple[str, ...]:
    """Return why limits that look low are where they are, one line each, for whoever reads them."""
    return tuple(_LIMIT_REASONS[one] for one in dict.fromkeys(limits) if one in _LIMIT_REASONS)


def threshold_of(precision: ModelPrecision, kind: OutputKind) -> Threshold:
    """Return what each output of a file must reach."""
    return (THRESHOLDS if kind == "picture" else MAP_THRESHOLDS)[precision]
