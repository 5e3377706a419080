"""Spell decibels for people."""

from decimal import ROUND_FLOOR, Decimal

CEILING_DB = 200.0
"""What equal arrays get. One grey level in one value of a 512x512 picture is 107 dB."""


def decibels(value: float) -> str:
    """Return a PSNR as it is shown.

    >>> decibels(41.239), decibels(200.0)
    ('41.24', 'identical')
    """
    return "identical" if value >= CEILING_DB else f"{value:.2f}"


def change(value: float) -> str:
    """Return a difference of two figures with its sign, and nothing for none.

    >>> change(0.126), change(-0.3), change(-0.001)
    ('+0.13', '-0.30', '0.00')
    """
    rounded = round(value, 2)
    return f"{rounded:+.2f}" if rounded else "0.00"


def with_unit(value: float) -> str:
    """Return a PSNR with its unit; of what has no difference in words alone.

    >>> with_unit(41.239), with_unit(200.0)
    ('41.24 dB', 'identical')
    """
    return f"{decibels(value)} dB" if value < CEILING_DB else decibels(value)


def rounded_down(value: float, digits: int = 2) -> float:
    """Return a figure that a limit is held against as it is shown: 39.996 dB do not reach 40.

    What is rounded are the digits that the figure is written with, not its binary fraction.

    >>> rounded_down(39.996), rounded_down(42.98), rounded_down(39.99999999999)
    (39.99, 42.98, 39.99)
    """
    return float(Decimal(str(float(value))).quantize(Decimal(1).scaleb(-digits), ROUND_FLOOR))
