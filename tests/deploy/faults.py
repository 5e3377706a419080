"""Everything that is known to go wrong with a build, as functions that spoil a good one.

Each fault recomputes every digest it would upset, as somebody would who wants it to stay hidden,
or as a pipeline does that makes its records of whatever it has at hand. So no check of digests
finds it; what has to find it is what the file computes and what it follows from.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.deploy.builds import ARRAYS, FLOAT, HALF, INT8, PLAN, TABLE
from tests.deploy.spoiling import (
    Folders,
    edge_left_in_float,
    int8_and_plan_of_another_model,
    int8_of_another_model,
    low_percentile,
    missing_division,
    nan_weight,
    node_left_in_float,
    planned_zero_point,
    swapped_channels,
    swapped_output,
    table_of_another_graph,
    table_of_other_images,
    transposed_codes,
    transposed_half,
    truncated,
    undivided_output,
    weight_left_in_float,
    zero_point,
    zero_scale,
    zero_weight_scale,
)


@dataclass(frozen=True)
class Fault:
    """One way to spoil a build.

    Attributes:
        name: of the fault, as people call it.
        inject: spoils ``folders.build``.
        artifact: the file that has to be blamed.
        named: what the report has to say of it, a regular expression.
    """

    name: str
    inject: Callable[[Folders], None]
    artifact: str
    named: str


FAULTS = (
    Fault("BGR at the input of int8", swapped_channels(INT8, "_half"), INT8, "channels swapped"),
    Fault("BGR at the output of fp16", swapped_output(HALF, "_half"), HALF, "channels swapped"),
    Fault("missing / 255 in float", missing_division(FLOAT), FLOAT, "missing / 255"),
    Fault("missing / 255 in int8", missing_division(INT8), INT8, "missing / 255"),
    Fault("output in 0..255 in fp16", undivided_output, HALF, "missing / 255"),
    Fault("transposed weight in int8", transposed_codes, INT8, "transposed"),
    Fault("transposed weight in fp16", transposed_half, HALF, "transposed"),
    Fault("one zero scale", zero_scale, INT8, "zero scale"),
    Fault("one channel's zero scale", zero_weight_scale, INT8, "zero scale"),
    Fault("wrong zero point", zero_point, INT8, "wrong zero point"),
    Fault("wrong zero point, planned", planned_zero_point, PLAN, "wrong zero point"),
    Fault(
        "percentile far too low, hidden",
        lambda folders: low_percentile(folders, announced=False),
        INT8,
        "percentile too low",
    ),
    Fault(
        "percentile far too low, asked for",
        lambda folders: low_percentile(folders, announced=True),
        INT8,
        "percentile 60 is far too low",
    ),
    Fault("table of another graph", table_of_another_graph, TABLE, "stale calibration table"),
    Fault("table of other images", table_of_other_images, PLAN, "stale: the plan was made from"),
    Fault("int8 file of another model", int8_of_another_model, INT8, "weights of another model"),
    Fault(
        "int8 file and plan of another model",
        int8_and_plan_of_another_model,
        PLAN,
        "plan of another model",
    ),
    Fault("truncated float file", truncated(FLOAT, 0.5), FLOAT, "truncated or damaged"),
    Fault("truncated fp16 file", truncated(HALF, 0.9), HALF, "truncated or damaged"),
    Fault("truncated int8 file", truncated(INT8, 0.2), INT8, "truncated or damaged"),
    Fault("truncated table", truncated(ARRAYS, 0.5), TABLE, "truncated or damaged"),
    Fault("NaN in a float weight", nan_weight(FLOAT, "conv_hr.weight"), FLOAT, "NaN"),
    Fault("NaN in an fp16 weight", nan_weight(HALF, "conv_hr.weight"), HALF, "NaN"),
    Fault("NaN in an int8 scale", nan_weight(INT8, "body.0.rdb2.conv3.weight_scale"), INT8, "NaN"),
    Fault("edge left in float", edge_left_in_float, INT8, "left in float unannounced"),
    Fault("weight left in float", weight_left_in_float, INT8, "left in float unannounced"),
    Fault("node left in float", node_left_in_float, HALF, "left in float32 unannounced"),
)
"""Faults of single files. An fp16 overflow needs a network that has one: :func:`fp16_overflow`."""
