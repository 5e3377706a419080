"""A bundle holds what was asked for, once, and makes nothing twice."""

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calib.errors import UsageError
from deploy.handoff import int8_models
from deploy.handoff.bundle_manifest import golden_path, read_contents
from deploy.handoff.bundle_zip import opened
from deploy.handoff.golden import STEPS
from deploy.handoff.int8_models import int8_model
from deploy.handoff.kept_models import MOST_KEPT, KeptModels
from deploy.handoff.make import HandoffRequest, make_handoff, open_build
from deploy.handoff.outcome import HandoffOutcome
from deploy.progress import Silent
from tests.deploy.conftest import HANDOFF_TARGETS


def test_golden_outputs_are_rounded_far_below_what_they_are_judged_for(unpacked: Path) -> None:
    manifest = read_contents(unpacked)
    kinds = {"float": STEPS["float"]} | {
        f"int8-{name}": STEPS["int8"] for name in manifest.int8_models
    }
    for vector in manifest.golden:
        for kind, step in kinds.items():
            found = np.load(unpacked / golden_path(kind, vector.name)) / np.float32(step)
            np.testing.assert_array_equal(found, np.rint(found))


def test_a_zip_is_smaller_than_half_of_its_files(handed_over: HandoffOutcome) -> None:
    with zipfile.ZipFile(handed_over.path) as archive:
        entries = archive.infolist()
    whole = sum(entry.file_size for entry in entries)
    assert sum(entry.compress_size for entry in entries) < 0.55 * whole
    assert handed_over.path.stat().st_size < 0.55 * whole


@pytest.mark.parametrize("vendor", HANDOFF_TARGETS)
def test_only_what_was_asked_for_is_made(small_build: Path, tmp_path: Path, vendor: str) -> None:
    expected = {"qnn": {"qnn"}, "tensorrt": {"tensorrt"}, "ncnn": {"tensorrt-10"}, "web": {"ort"}}
    outcome = make_handoff(HandoffRequest(small_build, (vendor,), out=tmp_path / "x.zip"), Silent())
    # The build has an openvino model, which openvino and rknn take and vacc is judged by.
    assert set(outcome.manifest.int8_models) == expected.get(vendor, {"openvino"})
    with opened(outcome.path) as root:
        readme = (root / vendor / "README.md").read_text()
    assert ("w8a16" in readme) is False
    assert ("--route qdq " in readme) is False


def test_a_profile_that_no_vendor_takes_is_refused(small_build: Path) -> None:
    request = HandoffRequest(small_build, ("qnn",), profiles=("openvino",))
    with pytest.raises(UsageError, match="what these vendors take is qnn, qnn-w8a16"):
        make_handoff(request, Silent())


class TestKeptModels:
    """What was made is found again, unless anything that it was made from differs."""

    @pytest.fixture
    def kept(self, tmp_path: Path) -> KeptModels:
        return KeptModels(tmp_path / "kept", "a" * 64)

    @pytest.fixture
    def makes(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The profiles that were made anew."""
        made: list[str] = []
        real = int8_models.find_profile

        def counting(name: str):
            made.append(name)
            return real(name)

        monkeypatch.setattr(int8_models, "find_profile", counting)
        return made

    def test_the_second_time_it_is_found(self, small_build, kept, makes) -> None:
        build = open_build(small_build)
        first, second = (int8_model(build, "tensorrt", Silent(), kept) for _ in range(2))
        assert makes == ["tensorrt"]
        assert second.model == first.model
        assert second.plan == first.plan
        other = KeptModels(kept.folder, "b" * 64)
        graph, options = build.float_graph, build.manifest.options.quantization_for("tensorrt")
        assert other.find(build, graph, "tensorrt", options) is None
        assert kept.find(build, graph, "qnn", options) is None
        assert kept.find(build, graph, "tensorrt", replace(options, percentile=99.0)) is None
        assert kept.find(build, graph, "tensorrt", options) is not None

    def test_a_damaged_file_is_made_anew(self, small_build, kept, makes) -> None:
        build = open_build(small_build)
        first = int8_model(build, "tensorrt", Silent(), kept)
        (file,) = kept.folder.iterdir()
        content = bytearray(file.read_bytes())
        for spoiled in (content[: len(content) // 2], b"", content[:200] + b"\xff" + content[201:]):
            file.write_bytes(bytes(spoiled))
            assert int8_model(build, "tensorrt", Silent(), kept).model == first.model
        assert makes == ["tensorrt"] * 4

    def test_the_oldest_go(self, small_build, kept) -> None:
        build = open_build(small_build)
        made = int8_model(build, "openvino", Silent())
        options = made.plan.options
        for number in range(MOST_KEPT + 2):
            other = KeptModels(kept.folder, f"{number:064d}")
            other.keep(build, build.float_graph, "openvino", options, made)
        assert len(list(kept.folder.iterdir())) == MOST_KEPT
        assert other.find(build, build.float_graph, "openvino", options) is not None
