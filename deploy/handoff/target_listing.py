"""List who takes what: vendors with bundles and targets, targets with choices, lowerings.

``esrdeploy targets`` shows it, and ``docs/targets.md`` is :func:`markdown` of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deploy.handoff.vendors import vendors
from quant.passes.lowering.catalogue import LOWERINGS
from quant.targets import ALIASES, PROFILES, TargetProfile

BUNDLE_COLUMNS = ("vendor", "also", "for", "targets of its bundle")
LOWERING_COLUMNS = ("lowering", "what it writes as what")
TARGET_COLUMNS = ("target", "also", "choose it for", "head", "trunk", "tail")
_NOTE = """\
`esrdeploy build --target TARGET` makes an int8 file, `esrdeploy handoff --vendor VENDOR` a \
bundle. A part (`--head`, `--trunk`, `--tail`) may have each precision listed; the first is the \
default. Where a vendor's bundle names no target, its tools quantize the float model themselves, \
and are judged by the int8 file of the build.

`esrdeploy build --lower NAME[,NAME]` writes operators that a chip's compiler lacks as others, in \
every model of the build. Each rewrite is proven to keep the picture to 120 dB; a name that finds \
nothing in the network says so.

A page for each: [Qualcomm](chips/qualcomm.md), [NVIDIA](chips/nvidia.md), \
[Intel](chips/intel.md), [Rockchip](chips/rockchip.md), [VastAI](chips/vastai.md), \
[ncnn](chips/ncnn.md), [browsers](chips/web.md). Chips and runtimes without a vendor of \
their own take files of another's bundle, and `esrdeploy simulate` runs them here: \
[Apple](chips/coreml.md), phones by [LiteRT](chips/litert.md) or \
[ExecuTorch](chips/executorch.md), [Kendryte](chips/kendryte.md), [Sophgo](chips/sophgo.md), \
[VeriSilicon](chips/verisilicon.md), [CPUs by TVM](chips/tvm.md)."""


@dataclass(frozen=True)
class VendorRow:
    """What one vendor gets.

    Attributes:
        vendor: as ``--vendor`` takes it.
        also: other names that ``--vendor`` takes.
        serves: chips and tools.
        targets: whose int8 files its bundle holds.
    """

    vendor: str
    also: tuple[str, ...]
    serves: str
    targets: tuple[str, ...]

    def cells(self) -> list[str]:
        """Return the row in the order of :data:`BUNDLE_COLUMNS`."""
        return [
            self.vendor,
            ", ".join(self.also),
            self.serves,
            ", ".join(self.targets) or "any: takes the float model",
        ]


@dataclass(frozen=True)
class TargetRow:
    """What one target offers.

    Attributes:
        target: as ``--target`` takes it.
        also: other names that ``--target`` takes.
        choose: when it is the right one.
        summary: what its files are like.
        head: precisions that the head may have, the default first.
        trunk: likewise.
        tail: likewise.
    """

    target: str
    also: tuple[str, ...]
    choose: str
    summary: str
    head: tuple[str, ...]
    trunk: tuple[str, ...]
    tail: tuple[str, ...]

    def cells(self) -> list[str]:
        """Return the row in the order of :data:`TARGET_COLUMNS`."""
        parts = [", ".join(part) for part in (self.head, self.trunk, self.tail)]
        return [self.target, ", ".join(self.also), self.choose, *parts]


@dataclass(frozen=True)
class LoweringRow:
    """One way to write operators as others.

    Attributes:
        lowering: as ``--lower`` takes it.
        summary: what it writes as what.
    """

    lowering: str
    summary: str

    def cells(self) -> list[str]:
        """Return the row in the order of :data:`LOWERING_COLUMNS`."""
        return [self.lowering, self.summary]


@dataclass(frozen=True)
class Listing:
    """All tables."""

    vendors: tuple[VendorRow, ...]
    targets: tuple[TargetRow, ...]
    lowerings: tuple[LoweringRow, ...]

    def record(self) -> dict[str, Any]:
        """Return the tables as a JSON-able mapping, in the words of their columns."""
        return {
            "vendors": [
                {
                    "vendor": row.vendor,
                    "also": list(row.also),
                    "for": row.serves,
                    "targets_of_its_bundle": list(row.targets),
                }
                for row in self.vendors
            ],
            "targets": [
                {
                    "target": row.target,
                    "also": list(row.also),
                    "choose_it_for": row.choose,
                    "summary": row.summary,
                    "head": list(row.head),
                    "trunk": list(row.trunk),
                    "tail": list(row.tail),
                }
                for row in self.targets
            ],
            "lowerings": [
                {"lowering": row.lowering, "what_it_writes_as_what": row.summary}
                for row in self.lowerings
            ],
        }


def listing() -> Listing:
    """Return what there is: read from the vendors, the target profiles and the lowerings."""
    bundles = [
        VendorRow(vendor.name, vendor.aliases, vendor.summary, vendor.profiles)
        for vendor in vendors().values()
    ]
    lowerings = tuple(LoweringRow(item.name, item.summary) for item in LOWERINGS.values())
    return Listing(tuple(bundles), tuple(map(_target_row, PROFILES.values())), lowerings)


def _target_row(profile: TargetProfile) -> TargetRow:
    also = tuple(alias for alias, name in ALIASES.items() if name == profile.name)
    parts = [
        (default, *(precision for precision in profile.precisions if precision != default))
        for default in (profile.head, profile.trunk, profile.tail)
    ]
    return TargetRow(profile.name, also, profile.choose, profile.summary, *parts)


def markdown(shown: Listing) -> str:
    """Return the page ``docs/targets.md``."""
    tables = [
        _table(BUNDLE_COLUMNS, [row.cells() for row in shown.vendors]),
        _table(TARGET_COLUMNS, [row.cells() for row in shown.targets]),
        _table(LOWERING_COLUMNS, [row.cells() for row in shown.lowerings]),
    ]
    return "\n\n".join(["# Targets and vendors", _NOTE, *tables]) + "\n"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
