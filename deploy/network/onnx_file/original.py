"""Run somebody's ONNX file as it is: the original that the float model is compared with.

A file of half values is run twice when it is exported: as it is, and with float32 in the place of
halves, whose rounding each runtime does in its own way. The second is what the float model is held
against, to the last few bits; the first shows that widening changed nothing else.
"""

from typing import Any

import numpy as np
import onnx

from calib.arrays import Float32
from calib.errors import GraphError
from calib.runtime import Session
from calib.widen import in_float32
from deploy.network.onnx_file.read import OnnxFile
from deploy.runtime.runner import Runner

_HALF_DTYPES = {"float16": np.float16}


def original_runner(file: OnnxFile, *, widened: bool = True) -> Runner:
    """Return the file as a function of pictures, float32 ``[K,C,H,W]``, run one at a time.

    Args:
        file: the network.
        widened: compute in float32 what the file has as halves.

    Raises:
        GraphError: onnxruntime refuses the file; or, once it runs, the size of the pictures.
    """
    model: onnx.ModelProto = in_float32(file.model) if widened and file.is_half else file.model
    session = Session(model, optimized=True)
    dtype: Any = np.float32 if widened else _HALF_DTYPES.get(file.taken.dtype, np.float32)

    def run(pictures: Float32) -> Float32:
        drawn = []
        for picture in pictures:
            feeds = {file.taken.name: picture[np.newaxis].astype(dtype)}
            try:
                drawn.append(session.run(feeds)[file.given.name].astype(np.float32))
            except Exception as error:  # onnxruntime's errors share no base class
                reason = str(error).strip().splitlines()[0]
                height, width = picture.shape[1:]
                raise GraphError(
                    f"{file.name} cannot take a picture of {height}x{width}: {reason}; choose "
                    "another --size"
                ) from error
        return np.concatenate(drawn)

    return run
