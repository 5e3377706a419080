"""Spell decibels for people."""

import math

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


def rounded_down(value: float) -> float:
    """Return a PSNR that a limit is held against as it is shown: 39.996 dB do not reach 40.

    >>> rounded_down(39.996), rounded_down(42.98)
    (39.99, 42.98)
    """
    # What is 42.98 to a record's digits is not 42.97 for want of a binary fraction.
    return math.floor(round(100 * value, 6)) / 100
