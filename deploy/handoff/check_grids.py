"""Ask whether float models for other quantizers have the weights of a bundle's int8 models."""

from collections.abc import Iterator, Mapping

import numpy as np
import onnx

from calib.errors import GraphError
from calib.graph import GraphIndex
from deploy.artifacts.check import Check
from deploy.handoff.bundle_manifest import BundleManifest
from quant.qdq.int8_convolutions import int8_convolutions
from quant.targets import find_profile


def check_grids(manifest: BundleManifest, models: Mapping[str, onnx.ModelProto]) -> Iterator[Check]:
    """Compare the weights of each such float model with those that its profile's codes stand for.

    Where 16-bit sums limit the codes of a profile, the float model has others, of which the bundle
    holds no int8 model.

    Args:
        manifest: of the bundle.
        models: its models by path.
    """
    for profile, path in manifest.quantizable_models.items():
        asked = manifest.options.quantization_for(profile).accumulator_bits
        if (asked or find_profile(profile).accumulator_bits) != 32:  # bits
            continue
        index = GraphIndex(models[path])
        convolutions = [node for node in index.nodes if node.op_type == "Conv"]
        stored = {node.name: index.constant(node.input[1]) for node in convolutions}
        try:
            found = int8_convolutions(models[manifest.int8_models[profile]])
        except GraphError as error:
            yield Check.of(False, "grid weights", path, str(error))
            continue
        other = [
            name
            for name, convolution in found.items()
            if (weight := stored.get(name)) is None
            or not np.array_equal(weight, convolution.weight)
        ]
        detail = f"{len(found) - len(other)} of {len(found)} weights are those of int8 {profile}"
        if other:
            detail += f"; the others: {', '.join(other[:3])}"
        yield Check.of(not other, "grid weights", path, detail)
