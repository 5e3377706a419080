"""What a runtime makes of a file is told apart from what the file means."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest

from calib.errors import GraphError, UsageError, VerificationError
from calib.extras import install_command
from deploy.artifacts.files import Artifact
from deploy.runtime import backends
from deploy.runtime.backends import BACKENDS, is_installed, require_backends
from deploy.runtime.cpu import InstructionSet
from deploy.runtime.outputs import OutputPair
from deploy.runtime.runner import model_runner
from deploy.verify import backend_error
from deploy.verify.backend_error import BackendError, PictureError, machine_note, measure_backend
from deploy.verify.backends_of_file import backends_of, why_not_run
from quant.targets import PROFILES

U8 = frozenset({"uint8"})
AVX2 = InstructionSet("x86_64", "AVX2", (), saturates=True)
needs_openvino = pytest.mark.skipif(
    not is_installed("openvino"), reason="the extra openvino is not installed"
)

# Largest weights and inputs: the sum of two products, 2 * 255 * 127, does not fit 16 bits.
SATURATING = """<ir_version: 8, opset_import: ["" : 17]>
g (float[1,3,16,16] input) => (float[1,3,16,16] output)
<float scale = {0.00392156862745098}, uint8 zero = {0}, float[3] wscale = {0.001, 0.001, 0.001},
 int8[3] wzero = {0, 0, 0}, int8[3,3,3,3] codes, float[3] bscale, int32[3] bias = {0, 0, 0},
 int32[3] bzero = {0, 0, 0}, float oscale = {0.0137}, uint8 ozero = {0}>
{
  [q] quantized = QuantizeLinear(input, scale, zero)
  [d] seen = DequantizeLinear(quantized, scale, zero)
  [w] weight = DequantizeLinear<axis = 0>(codes, wscale, wzero)
  [b] offset = DequantizeLinear<axis = 0>(bias, bscale, bzero)
  [conv] made = Conv<pads = [1,1,1,1]>(seen, weight, offset)
  [oq] made_quantized = QuantizeLinear(made, oscale, ozero)
  [od] output = DequantizeLinear(made_quantized, oscale, ozero)
}
"""


def saturating() -> onnx.ModelProto:
    model = onnx.parser.parse_model(SATURATING)
    for info in model.graph.value_info:
        value = {
            "codes": np.full((3, 3, 3, 3), 127, np.int8),
            "bscale": np.full(3, np.float32(0.00392156862745098) * np.float32(0.001)),
        }[info.name]
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, info.name))
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    return model


def white(model: onnx.ModelProto) -> OutputPair:
    picture = np.ones((1, 3, 16, 16), np.float32)
    meaning = model_runner(model, optimized=False)(picture)
    return OutputPair("white", picture, meaning, meaning)


def item(precision: str, target: str | None = None) -> Artifact:
    return Artifact("a.onnx", "0" * 64, 1, precision, target, 17)  # type: ignore[arg-type]


def test_a_file_runs_in_the_runtime_it_is_made_for() -> None:
    assert backends_of(item("int8", "ort"), None) == ("ort",)
    assert backends_of(item("fp16"), None) == ()
    for other in ("tensorrt", "qnn"):
        assert backends_of(item("int8", other), None) == ()
    assert backends_of(item("fp32"), None) == ()
    own = backends_of(item("int8", "openvino"), None)
    assert own == (("openvino",) if is_installed("openvino") else ())


def test_a_runtime_asked_for_runs_every_file_but_the_reference_itself() -> None:
    assert backends_of(item("int8", "tensorrt"), ("ort", "openvino")) == ("ort", "openvino")
    assert backends_of(item("fp32"), ("ort", "openvino")) == ("openvino",)
    assert backends_of(item("int8", "ort"), ()) == ()


def test_a_file_that_is_not_run_has_a_reason() -> None:
    """Every precision and target, with every choice of runtimes: run, refused by choice, or why."""
    targets = [None, "ort", "openvino", *(name for name in PROFILES if name not in BACKENDS)]
    files = [item("fp32"), item("fp16"), *(item("int8", name) for name in targets if name)]
    for asked in (None, (), ("ort",), ("openvino",), BACKENDS):
        for file in files:
            run, reason = backends_of(file, asked), why_not_run(file, asked)
            assert (reason is None) == (bool(run) or asked == ())
    (qnn,) = (file for file in files if file.target == "qnn")
    assert "no runtime of qnn here" in (why_not_run(qnn, None) or "")


def test_a_runtime_that_misses_is_told_where_to_get(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "find_spec", lambda _name: None)
    reason = why_not_run(item("int8", "openvino"), None)
    assert reason == f"openvino is not installed; {install_command('openvino')}"


def test_the_float_file_has_no_parity_that_could_change() -> None:
    model = saturating()
    drawn = white(model)
    exact = measure_backend("ort", "a.onnx", model, [drawn])
    assert exact.record()["as_run_less_the_file_db"] is None
    other = OutputPair("white", drawn.network_input, drawn.reference * 0.9, drawn.candidate)
    changed = measure_backend("ort", "a.onnx", model, [other]).record()
    difference = changed["parity_as_run_db_mean"] - changed["parity_of_the_file_db_mean"]
    assert changed["as_run_less_the_file_db"] == pytest.approx(difference, abs=1e-3)


def test_a_runtime_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "find_spec", lambda _name: None)
    require_backends(["ort"])
    with pytest.raises(UsageError, match=r"pip install 'openvino>="):
        require_backends(["ort", "openvino"])


def test_the_error_is_the_runtimes_and_a_remedy_is_tried() -> None:
    model = saturating()
    measured = measure_backend("ort", "a.onnx", model, [white(model)])
    assert measured.change_db is None
    # Exact here or not depends on the processor; the remedy leaves nothing either way.
    if measured.notable:
        assert measured.remedy is not None
        assert measured.remedy.setting == ("session.x64quantprecision", "1")
        assert measured.remedy.parity_db > measured.parity_db + 10
    else:
        assert measured.remedy is None
    record = measured.record()
    assert json.loads(json.dumps(record)) == record
    assert record["psnr_beside_reference_db_lowest"] == pytest.approx(
        measured.error[0].psnr_db, abs=1e-3
    )


@needs_openvino
def test_openvino_runs_the_same_file() -> None:
    model = saturating()
    for initializer in model.graph.initializer:
        if initializer.name == "codes":  # small enough to saturate nowhere
            small = onnx.numpy_helper.from_array(np.full((3, 3, 3, 3), 5, np.int8), "codes")
            initializer.CopyFrom(small)
    measured = measure_backend("openvino", "a.onnx", model, [white(model)])
    assert measured.version
    assert measured.error[0].psnr_db > 40.0


def test_reduced_float_precision_is_undone_where_that_helps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = saturating()
    drawn = white(model)

    def runner(_name: str, _model: onnx.ModelProto, config: dict[str, str] | None = None):
        exact = (config or {}).get("INFERENCE_PRECISION_HINT") == "f32"
        return lambda _picture: (
            drawn.reference if exact else np.clip(drawn.reference, 0.0, 1.0) * 0.9
        )

    monkeypatch.setattr(backend_error, "backend_runner", runner)
    monkeypatch.setattr(backend_error, "backend_version", lambda _name: "1")
    measured = measure_backend("openvino", "a.onnx", model, [drawn])
    assert measured.notable
    assert measured.remedy is not None
    assert measured.remedy.parity_db > measured.parity_db
    (advice,) = (line for line in machine_note([measured], AVX2) if "setting" in line)
    assert "INFERENCE_PRECISION_HINT=f32" in advice


@needs_openvino
def test_a_file_that_openvino_refuses_is_an_error_of_the_tree() -> None:
    model = saturating()
    model.graph.node[0].domain = "nobody"
    with pytest.raises(GraphError, match="OpenVINO cannot load the graph"):
        measure_backend("openvino", "a.onnx", model, [white(saturating())])


def test_comparing_on_nothing_is_an_error() -> None:
    with pytest.raises(VerificationError, match="no picture"):
        measure_backend("ort", "a.onnx", saturating(), [])


@pytest.mark.parametrize(
    ("dtype", "setting"),
    [
        (onnx.TensorProto.UINT8, ("session.x64quantprecision", "1")),
        (onnx.TensorProto.INT8, ("session.qdqisint8allowed", "1")),
    ],
    ids=["U8S8", "S8S8"],
)
def test_the_setting_follows_from_the_activations(dtype: int, setting: tuple[str, str]) -> None:
    model = saturating()
    zero = onnx.helper.make_tensor("zero", dtype, [], [0])
    (old,) = (t for t in model.graph.initializer if t.name == "zero")
    old.CopyFrom(zero)
    assert backend_error._ORT_SETTINGS[backend_error._activations(model)] == setting


def test_what_the_figures_mean_is_said_with_the_instruction_set() -> None:
    error = BackendError(
        "a.onnx", "ort", "1.0", (PictureError("x", 37.3, 0.1),), 44.2, 37.0, U8, 21
    )
    lines = machine_note([error], AVX2)
    assert "AVX2, without VNNI: 8-bit products saturate at 16 bits" in lines[0]
    assert "changes parity by -7.2 dB" in lines[1]
    assert "not the file's" in lines[1]
    assert "21 of its convolutions can saturate here" in lines[2]
    assert "--accumulator-bits 16" in lines[2]
    assert len(machine_note([error], replace(AVX2, saturates=False))) == 2
    assert len(machine_note([replace(error, saturable=0)], AVX2)) == 2
    remedy = backend_error.Remedy(("key", "1"), error.error, 44.2)
    assert (
        "key=1 gives 44.2 dB instead of 37.0 dB"
        in machine_note([replace(error, remedy=remedy)], AVX2)[2]
    )
    # What nobody can see needs no advice.
    assert len(machine_note([replace(error, meaning_db=200.0, parity_db=145.0)], AVX2)) == 1
    assert machine_note([], AVX2) == []


def test_a_runtime_whose_output_is_no_number_gets_the_worst_figure() -> None:
    model = saturating()
    drawn = white(model)
    broken = OutputPair("broken", drawn.network_input, drawn.reference, drawn.candidate * np.nan)
    assert measure_backend("ort", "a.onnx", model, [broken]).error[0].psnr_db == 0.0
