"""Say in words what is counted."""


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, which takes an ``s`` in the plural.

    >>> counted(1, "image"), counted(0, "image")
    ('1 image', '0 images')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"
