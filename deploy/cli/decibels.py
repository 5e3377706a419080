"""Spell decibels for people."""


def decibels(value: float) -> str:
    """Return a PSNR as it is shown.

    >>> decibels(41.239), decibels(200.0)
    ('41.24', 'identical')
    """
    from deploy.metrics.psnr_ssim import CEILING_DB

    return "identical" if value >= CEILING_DB else f"{value:.2f}"


def change(value: float) -> str:
    """Return a difference of two figures with its sign, and nothing for none.

    >>> change(0.126), change(-0.3), change(-0.001)
    ('+0.13', '-0.30', '0.00')
    """
    rounded = round(value, 2)
    return f"{rounded:+.2f}" if rounded else "0.00"
