"""Schedule convolutions for a CPU: TVM leaves every loop as it was written, unless it is tuned.

A convolution in NCHW sums over its innermost loops, which LLVM may not turn into vectors, as float
addition would be reordered. Here a block of output channels by output columns is kept in registers
while its sum is made; all loops behind it (bias, activation, quantization) run on that block.
"""

from typing import Any

from tvm import s_tir
from tvm.s_tir.dlight.analysis import get_root_block, get_sblock_info
from tvm.s_tir.dlight.base import ScheduleRule
from tvm.target.codegen import llvm_get_vector_width

FLOAT_BITS = 32
WIDE_BITS = 512


def convolution(func: Any, target: Any, _: bool) -> Any:
    """Return the schedule of a function of one convolution; ``None`` for any other."""
    schedule = s_tir.Schedule(func)
    blocks = schedule.get_child_blocks(get_root_block(schedule))
    kinds = [get_sblock_info(schedule, block).dom_kind() for block in blocks]
    if [kind for kind in kinds if "R" in kind] != ["SSSSRRR"]:
        return None
    place = kinds.index("SSSSRRR")
    if len(blocks) == place + 1:
        schedule.cache_write(blocks[place], 0, "global")
        blocks = schedule.get_child_blocks(get_root_block(schedule))
    *between, last = blocks[place + 1 :]
    for block in between:
        schedule.compute_inline(block)
    for block in blocks[:place]:
        over_planes(schedule, block)
    bits = llvm_get_vector_width(target)
    most = 8 if bits >= WIDE_BITS else 4, 2 * bits // FLOAT_BITS
    in_registers(schedule, blocks[place], last, most)
    return schedule


def elementwise(func: Any, _target: Any, _: bool) -> Any:
    """Return the schedule of a function without sums; ``None`` for any other."""
    schedule = s_tir.Schedule(func)
    blocks = schedule.get_child_blocks(get_root_block(schedule))
    if any("R" in get_sblock_info(schedule, block).dom_kind() for block in blocks):
        return None
    for block in blocks:
        over_planes(schedule, block)
    return schedule


RULES = (
    ScheduleRule.from_callable("Convolution")(convolution),
    ScheduleRule.from_callable("Elementwise")(elementwise),
)


def over_planes(schedule: Any, block: Any) -> None:
    """Run the first loops of a block on all cores."""
    loops = schedule.get_loops(block)
    if len(loops) > 1:
        schedule.parallel(schedule.fuse(*loops[:-1]))


def in_registers(schedule: Any, sums: Any, last: Any, most: tuple[int, int]) -> None:
    """Make the sums of a block of channels by columns at once, and finish that block behind it.

    Args:
        schedule: of the function.
        sums: of the convolution.
        last: what is made of them, [N, C, H, W].
        most: how many channels and columns a block has at the most.
    """
    images, channels, rows, columns = schedule.get_loops(last)
    outer, channel = schedule.split(channels, [None, divisor(schedule, channels, most[0])])
    left, column = schedule.split(columns, [None, divisor(schedule, columns, most[1])])
    schedule.reorder(images, outer, rows, left, channel, column)
    schedule.parallel(schedule.fuse(images, outer, rows))
    schedule.unroll(channel)  # else the sums, reached by a variable, stay in memory
    schedule.vectorize(column)
    schedule.compute_at(sums, left, preserve_unit_loops=True)
    schedule.set_scope(sums, 0, "local")
    _, _, _, channel, _, column, inputs, down, right = schedule.get_loops(sums)
    schedule.reorder(inputs, down, right, channel, column)
    schedule.unroll(right)
    schedule.unroll(channel)
    schedule.vectorize(column)
    schedule.decompose_reduction(sums, inputs)


def divisor(schedule: Any, loop: Any, most: int) -> int:
    """Return the largest divisor of a loop's extent that is not above a number."""
    extent = int(schedule.get(loop).extent)
    return max(number for number in range(1, most + 1) if extent % number == 0)
