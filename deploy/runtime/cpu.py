"""Tell whether this CPU's 8-bit multiply saturates (no VNNI).

An int8 convolution multiplies unsigned 8-bit activations by signed 8-bit weights. On x86-64
without VNNI the instruction for it, ``vpmaddubsw``, adds two such products in 16 bits and
saturates: 255 * 127 * 2 = 64770 > 32767. VNNI (``vpdpbusd``) and ARM's dot product add four of
them in 32 bits. So the same file gives different pictures on different processors.
"""

import os
import platform
import re
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

_CPUINFO = Path("/proc/cpuinfo")
_X86 = frozenset({"x86_64", "amd64", "i386", "i686", "x86"})
_VNNI = {"avx512_vnni": "AVX512-VNNI", "avx_vnni": "AVX-VNNI", "amx_int8": "AMX-INT8"}
_WIDTHS = {"avx512f": "AVX512", "avx2": "AVX2", "avx": "AVX", "sse4_1": "SSE4.1"}


@dataclass(frozen=True)
class InstructionSet:
    """What a processor offers to 8-bit arithmetic.

    Attributes:
        architecture: such as ``x86_64`` or ``aarch64``.
        vectors: widest vector instructions, such as ``AVX2``; empty if not known.
        dot_products: instructions that multiply 8 bits and add 32: VNNI, AMX, ARM's dot product.
        saturates: whether sums of 8-bit products saturate at 16 bits; ``None`` if not known.
    """

    architecture: str
    vectors: str
    dot_products: tuple[str, ...]
    saturates: bool | None

    def __str__(self) -> str:
        """Return it in one line for people."""
        if self.saturates is None:
            return f"{self.architecture}, instruction set not known"
        known = ", ".join(filter(None, (self.vectors, *self.dot_products)))
        if not self.saturates:
            return f"{self.architecture} with {known}: 8-bit products do not saturate"
        return f"{self.architecture} with {known}, without VNNI: 8-bit products saturate at 16 bits"

    def record(self) -> dict[str, Any]:
        """Return it as a JSON-able mapping."""
        return asdict(self)


@cache
def this_machine() -> InstructionSet:
    """Return the instruction set of the processor this runs on."""
    try:
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:  # only Linux has it
        text = ""
    return instruction_set(platform.machine(), text)


def instruction_set(architecture: str, cpuinfo: str) -> InstructionSet:
    """Read an instruction set from the text of ``/proc/cpuinfo``.

    Args:
        architecture: as ``platform.machine()`` tells it.
        cpuinfo: the text; empty where there is none.
    """
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)
    flags = set(found.group(1).split()) if found else set()
    if architecture.lower() not in _X86:
        dots = tuple(
            name for flag, name in (("asimddp", "DOTPROD"), ("i8mm", "I8MM")) if flag in flags
        )
        # No ARM kernel adds 8-bit products in 16 bits with saturation; of others nothing is known.
        arm = architecture.lower() in {"aarch64", "arm64"}
        return InstructionSet(architecture, "NEON" if arm else "", dots, False if arm else None)
    vectors = next((name for flag, name in _WIDTHS.items() if flag in flags), "")
    dots = tuple(name for flag, name in _VNNI.items() if flag in flags)
    return InstructionSet(architecture, vectors, dots, not dots if flags else None)


def how_busy() -> str:
    """Say that far more wants to run on this machine than it has cores for; empty where not."""
    if not hasattr(os, "getloadavg"):  # Windows has none
        return ""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    return f"the machine is busy (load {load:.0f} on {cores} cores)" if load > 2 * cores else ""
