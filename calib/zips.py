"""Name what reading a zip raises where the file is cut short, damaged, or made to mislead."""

import struct
import zipfile
import zlib

BROKEN_ZIP: tuple[type[Exception], ...] = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OverflowError,
    ValueError,  # UnicodeDecodeError among them: a name that is not the UTF-8 it claims to be
    RuntimeError,  # NotImplementedError among them: a password, a method that nobody knows
)

BROKEN_ZIP_IN_MEMORY: tuple[type[Exception], ...] = (*BROKEN_ZIP, OSError)
"""The same of bytes in memory, where no disk is to blame for an OSError."""
