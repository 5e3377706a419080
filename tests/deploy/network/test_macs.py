import numpy as np
import onnx
import pytest

from calib.errors import GraphError
from deploy.network.architecture import SRVGG, RRDBNet
from deploy.network.export import export_float
from deploy.network.known_models import find_model
from deploy.network.macs import Complexity, architecture_complexity, complexity

PUBLISHED = {  # parameters M, MACs G, flops(G) of the vendor table, at 128x128
    "x4plus": (16.697987, 293.713, 653.675),
    "x4plus-anime-6b": (4.467779, 93.494, 208.149),
}
BY_HAND = """
<ir_version: 8, opset_import: ["" : 17]>
generator (float[1, 3, 4, 5] input) => (float[1, 2, 8, 10] output)
<float[2, 3, 3, 3] weight, float[2] bias, float[2, 1, 1] slope, float[4] scales>
{
    convolved = Conv <pads = [1, 1, 1, 1]> (input, weight, bias)
    activated = PRelu (convolved, slope)
    leaky = LeakyRelu <alpha = 0.2> (activated)
    output = Resize <mode = "nearest"> (leaky, , scales)
}
"""


def by_hand() -> onnx.ModelProto:
    model = onnx.parser.parse_model(BY_HAND)
    values = {
        "weight": np.zeros((2, 3, 3, 3)), "bias": np.zeros(2), "slope": np.zeros((2, 1, 1)),
        "scales": np.array([1, 1, 2, 2]),
    }  # fmt: skip
    del model.graph.initializer[:]
    for name, value in values.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(value.astype("f4"), name))
    return model


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_figures_come_out(name):
    parameters_m, macs_g, vendor_gflops = PUBLISHED[name]
    found = architecture_complexity(find_model(name).architecture, 128, 128)
    assert found.parameters / 1e6 == parameters_m
    assert round(found.macs / 1e9, 3) == macs_g
    assert round(found.vendor_gflops, 3) == vendor_gflops


def test_graph_is_counted_as_by_hand():
    pixels = 4 * 5
    assert complexity(by_hand()) == Complexity(
        parameters=2 * 3 * 9 + 2 + 2,
        macs=9 * 3 * 2 * pixels,
        bias_adds=2 * pixels,
        activations=2 * 2 * pixels,
    )


def test_bias_is_counted_only_where_there_is_one():
    model = by_hand()
    del model.graph.node[0].input[2]
    assert complexity(model).bias_adds == 0
    assert complexity(model).parameters == 2 * 3 * 9 + 2


def test_unknown_shape_is_refused():
    model = by_hand()
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    with pytest.raises(GraphError, match="'convolved' has shape None; expected a static shape"):
        complexity(model)


@pytest.mark.parametrize(
    "architecture",
    [
        RRDBNet(blocks=2, features=6, growth=3),
        RRDBNet(blocks=1, features=4, growth=2, unshuffle=2),
        RRDBNet(blocks=1, features=4, growth=2, unshuffle=4),
        SRVGG(convs=3, features=5, scale=2),
    ],
    ids=str,
)
def test_sizes_alone_and_exported_graph_count_the_same(architecture, random_tensors, photo):
    probe = photo[:, :, :16, :24]
    exported = export_float(architecture, random_tensors(architecture), [probe])
    assert complexity(exported.model) == architecture_complexity(architecture, 16, 24)
