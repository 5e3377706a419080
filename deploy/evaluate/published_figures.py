"""Quote what VastAI's model zoo publishes of a model.

The vendor table has the columns flops(G), params(M), PSNR, SSIM and shape, for DIV2K's
validation images by the protocol of `deploy.evaluate.protocols`. What is known of it here are the
cost of two models and what int8 (percentile, per channel) loses against float; its absolute PSNR
and SSIM are over other images than a part of DIV2K, so they could not be compared anyway. A
figure that is not known is ``None`` and shows as a dash.
"""

from dataclasses import dataclass

SOURCE = "VastAI model zoo, super resolution, Real-ESRGAN"


@dataclass(frozen=True)
class Published:
    """The vendor's figures of one model at 3x128x128.

    Attributes:
        gflops: the column flops(G).
        int8_psnr_less_float_db: PSNR of int8 less PSNR of float, in dB.
        int8_ssim_less_float: the same of SSIM.
    """

    gflops: float | None = None
    int8_psnr_less_float_db: float | None = None
    int8_ssim_less_float: float | None = None


PUBLISHED = {
    "x4plus": Published(
        gflops=653.675, int8_psnr_less_float_db=-0.214, int8_ssim_less_float=-0.040
    ),
    "x4plus-anime-6b": Published(
        gflops=208.149, int8_psnr_less_float_db=-0.509, int8_ssim_less_float=-0.045
    ),
    "realesrnet-x4plus": Published(int8_psnr_less_float_db=-0.308, int8_ssim_less_float=-0.025),
}


def published(model: str) -> Published:
    """Return what is published of a model; every figure is ``None`` where nothing is."""
    return PUBLISHED.get(model, Published())
