"""Write a model in another form of picture, and take it back, to the byte."""

import onnx

from calib.errors import GraphError
from calib.form import KEYS, Form
from calib.graph import form_of
from quant.passes.driver import MIN_PSNR_DB
from quant.passes.equivalence import Equivalence, Probe, outputs_of, require_equivalent
from quant.passes.forms.byte_input import bytes_taken, floats_taken
from quant.passes.forms.channel_order import reversed_channels
from quant.passes.forms.layout import interleaved, planar


def in_form(model: onnx.ModelProto, form: Form) -> onnx.ModelProto:
    """Return a model that takes and gives pictures in a form, and says so in its metadata.

    Args:
        model: float, fp16 or QDQ, in the usual form; it is not changed.
        form: the form.

    Raises:
        GraphError: the graph cannot be written so, or not be taken back.
    """
    if form.usual:
        return model
    made = model
    if form.channel_order == "bgr":
        made = reversed_channels(made)
    if form.values == "uint8":
        made = bytes_taken(made)
    if form.layout == "nhwc":
        made = interleaved(made)
    onnx.helper.set_model_props(made, {**_properties(made), **form.metadata})
    onnx.checker.check_model(made, full_check=True)
    if _content(in_usual_form(made)) != _content(model):
        raise GraphError(f"written for {form}, the graph cannot be taken back as it was")
    return made


def in_usual_form(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model of which :func:`in_form` made one; a model in the usual form as it is.

    Raises:
        GraphError: it is not written as its metadata say.
    """
    form = form_of(model)
    if form.usual:
        return model
    try:
        made = planar(model) if form.layout == "nhwc" else model
        made = floats_taken(made) if form.values == "uint8" else made
        made = reversed_channels(made) if form.channel_order == "bgr" else made
    except (IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        # What a file that was written by others holds in the place of what we wrote.
        raise GraphError(f"the graph is not written for {form}, as its metadata say") from error
    kept = {key: value for key, value in _properties(made).items() if key not in KEYS}
    onnx.helper.set_model_props(made, kept)
    return made


def prove_form(model: onnx.ModelProto, formed: onnx.ModelProto, probe: Probe) -> Equivalence:
    """Prove that a float model draws the same picture in a form.

    Args:
        model: in the usual form.
        formed: the same by :func:`in_form`.
        probe: what both are run on; it is rounded to bytes where the form has no more.

    Raises:
        GraphError: they differ by more than another order of summation.
    """
    form = form_of(formed)
    given = form.taken(probe.values)
    expected = outputs_of(model, [form.planes_taken(given)])
    found = [
        {name: form.planes_given(value) for name, value in outputs.items()}
        for outputs in outputs_of(formed, [given])
    ]
    parties = f"the graph and the same for {form}"
    return require_equivalent(found, expected, min_psnr_db=MIN_PSNR_DB, parties=parties)


def _properties(model: onnx.ModelProto) -> dict[str, str]:
    return {item.key: item.value for item in model.metadata_props}


def _content(model: onnx.ModelProto) -> bytes:
    content: bytes = model.SerializeToString(deterministic=True)
    return content
