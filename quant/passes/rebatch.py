"""Give a network another batch: how many pictures one inference takes.

Nothing but dimensions changes: that of the graph's ends, of what is stated of the tensors between
them, and the first number of each shape that a Reshape reads.
"""

import numpy as np
import onnx
from onnx import numpy_helper

from calib.errors import GraphError
from calib.graph import GraphIndex, network_digest

_BY_ITSELF = (0, -1)
"""First numbers of a shape that follow from the tensor: its own, or whatever is left."""


def with_batch(model: onnx.ModelProto, batch: int) -> onnx.ModelProto:
    """Return the same network for ``batch`` pictures at once; the model itself where it is that.

    Args:
        model: float, fp16 or QDQ, with static shapes and the batch as first dimension throughout.
        batch: at least 1.

    Raises:
        GraphError: an end or a Reshape does not begin with the batch.
    """
    ends = (*model.graph.input, *model.graph.output)
    first = {end.type.tensor_type.shape.dim[0].dim_value for end in ends}
    if first == {batch}:
        return model
    if len(first) != 1 or 0 in first:
        raise GraphError(f"the graph's ends take {sorted(first)} pictures; expected one number")
    made = onnx.ModelProto()
    made.CopyFrom(model)
    for end in (*made.graph.input, *made.graph.output):
        end.type.tensor_type.shape.dim[0].dim_value = batch
    index = GraphIndex(model)
    shapes = {node.input[1] for node in model.graph.node if node.op_type == "Reshape"}
    for tensor in made.graph.initializer:
        if tensor.name in shapes:
            (old,) = first
            dims = np.array(numpy_helper.to_array(tensor))
            if dims[0] not in {old, *_BY_ITSELF}:
                reader = index.consumers(tensor.name)[0].name
                raise GraphError(f"node {reader!r} reshapes to {dims.tolist()}, not by picture")
            dims[0] = batch if dims[0] == old else dims[0]
            tensor.CopyFrom(numpy_helper.from_array(dims, tensor.name))
    if made.graph.value_info:
        del made.graph.value_info[:]
        made = onnx.shape_inference.infer_shapes(made, check_type=True, strict_mode=True)
    if network_digest(made) != network_digest(model):
        raise GraphError(f"the graph for {batch} pictures is another network than that for one")
    return made
