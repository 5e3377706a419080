"""What the arithmetic of a processor can do, from what it says of itself."""

import platform
from pathlib import Path

import pytest

from deploy.runtime.cpu import instruction_set, this_machine

# Shortened lines of real /proc/cpuinfo files.
ZEN3 = "model name\t: AMD EPYC\nflags\t\t: fpu sse4_1 avx f16c avx2 vaes\nbugs\t: none\n"
CASCADE_LAKE = "flags\t\t: fpu sse4_1 avx avx2 avx512f avx512_vnni\n"
ALDER_LAKE = "flags\t\t: sse4_1 avx avx2 avx_vnni\n"
GRAVITON = "Features\t: fp asimd asimddp i8mm\n"


@pytest.mark.parametrize(
    ("architecture", "text", "vectors", "dot_products", "saturates"),
    [
        ("x86_64", ZEN3, "AVX2", (), True),
        ("x86_64", CASCADE_LAKE, "AVX512", ("AVX512-VNNI",), False),
        ("x86_64", ALDER_LAKE, "AVX2", ("AVX-VNNI",), False),
        ("AMD64", "", "", (), None),
        ("aarch64", GRAVITON, "NEON", ("DOTPROD", "I8MM"), False),
        ("arm64", "", "NEON", (), False),
        ("riscv64", "isa : rv64gc\n", "", (), None),
    ],
    ids=["avx2", "avx512", "avx-vnni", "x86 unknown", "arm", "mac", "other"],
)
def test_what_a_processor_can_do(
    architecture: str,
    text: str,
    vectors: str,
    dot_products: tuple[str, ...],
    saturates: bool | None,
) -> None:
    found = instruction_set(architecture, text)
    assert (found.vectors, found.dot_products, found.saturates) == (
        vectors,
        dot_products,
        saturates,
    )
    assert ("saturate at 16 bits" in str(found)) is (saturates is True)
    assert ("not known" in str(found)) is (saturates is None)


def test_this_machine_is_recorded_as_it_is() -> None:
    found = this_machine()
    assert found.architecture == platform.machine()
    assert found.record() == {
        "architecture": found.architecture,
        "vectors": found.vectors,
        "dot_products": found.dot_products,
        "saturates": found.saturates,
    }
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file() and found.architecture == "x86_64":
        text = cpuinfo.read_text()
        assert found.saturates is not ("_vnni" in text or "amx_int8" in text)
        assert (found.vectors in {"AVX2", "AVX512"}) is (" avx2 " in text)
