"""Make the ONNX graph of the U-Net discriminator that Real-ESRGAN's training judges pictures with.

    x0 = lrelu(conv0(x));  x1, x2, x3 = lrelu(conv1..3(..)), each of half the sides
    y4 = lrelu(conv4(up(x3))) + x2
    y5 = lrelu(conv5(up(y4))) + x1
    y6 = lrelu(conv6(up(y5))) + x0
    logits = conv9(lrelu(conv8(lrelu(conv7(y6)))))

with lrelu the LeakyReLU of slope 0.2 and up bilinear doubling: ``UNetDiscriminatorSN`` of
Real-ESRGAN, with its skip connections (Wang et al. 2021, section 3.4). conv1 to conv3 have 4x4
kernels and stride 2, all others 3x3; all but conv0 and conv9 have no bias and were trained under
spectral normalization, which is in their weights here (deploy/network/weights/discriminator.py).
"""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

from calib.arrays import Float32
from calib.colours import RGB
from deploy.network.architecture import INPUT_NAME, LEAKY_SLOPE, OUTPUT_NAME

CONVOLUTIONS = tuple(f"conv{index}" for index in range(10))
BIASED = ("conv0", "conv9")
SIDES_DIVIDE_BY = 8
_WIDTHS = (1, 2, 4, 8, 4, 2, 1, 1, 1)
"""Channels that conv0 to conv8 give, as multiples of the features."""
_STRIDED = ("conv1", "conv2", "conv3")
_OPSET = 17
_IR_VERSION = 8


def discriminator_shapes(features: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of a discriminator without spectral normalization.

    >>> discriminator_shapes(8)["conv3.weight"], discriminator_shapes(8)["conv9.bias"]
    ((64, 32, 4, 4), (1,))
    """
    shapes: dict[str, tuple[int, ...]] = {}
    inputs: int = RGB
    for name, width in zip(CONVOLUTIONS, (*_WIDTHS, None), strict=True):
        outputs = 1 if width is None else features * width
        side = 4 if name in _STRIDED else 3
        shapes[f"{name}.weight"] = (outputs, inputs, side, side)
        if name in BIASED:
            shapes[f"{name}.bias"] = (outputs,)
        inputs = outputs
    return shapes


def discriminator_graph(tensors: Mapping[str, Float32], height: int, width: int) -> onnx.ModelProto:
    """Return the network for pictures of one size.

    Args:
        tensors: those of :func:`discriminator_shapes`, of any number of features.
        height: rows, a multiple of 8.
        width: columns, likewise.

    Returns:
        ``input`` float32 ``[1,3,H,W]`` in [0,1] to ``output`` float32 ``[1,1,H,W]``: the logit of
        each pixel's being of a photograph.
    """
    nodes: list[onnx.NodeProto] = []

    def convolved(name: str, source: str, target: str) -> str:
        strides = [2, 2] if name in _STRIDED else [1, 1]
        given = [f"{name}.weight", *([f"{name}.bias"] if name in BIASED else [])]
        conv = f"/{name}/Conv"
        nodes.append(
            make_node("Conv", [source, *given], [target], conv, pads=[1] * 4, strides=strides)
        )
        return target

    def activated(name: str, source: str) -> str:
        convolved(name, source, f"{name}_output")
        target = f"{name}_activated"
        own = f"/{name}/LeakyRelu"
        nodes.append(make_node("LeakyRelu", [f"{name}_output"], [target], own, alpha=LEAKY_SLOPE))
        return target

    down = [activated("conv0", INPUT_NAME)]
    for name in _STRIDED:
        down.append(activated(name, down[-1]))
    up = down.pop()
    for name in ("conv4", "conv5", "conv6"):
        larger = f"{name}_input"
        resize, add, joined = f"/{name}/Resize", f"/{name}/Add", f"{name}_joined"
        nodes.append(make_node("Resize", [up, "", "doubled"], [larger], resize, mode="linear"))
        nodes.append(make_node("Add", [activated(name, larger), down.pop()], [joined], add))
        up = joined
    convolved("conv9", activated("conv8", activated("conv7", up)), OUTPUT_NAME)
    doubled = np.array([1, 1, 2, 2], np.float32)
    graph = make_graph(
        nodes,
        "discriminator",
        [make_tensor_value_info(INPUT_NAME, onnx.TensorProto.FLOAT, [1, RGB, height, width])],
        [make_tensor_value_info(OUTPUT_NAME, onnx.TensorProto.FLOAT, [1, 1, height, width])],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()]
        + [numpy_helper.from_array(doubled, "doubled")],
    )
    return make_model(graph, opset_imports=[make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
