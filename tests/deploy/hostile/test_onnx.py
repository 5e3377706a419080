"""ONNX files that lie are refused by whoever reads one, alone or within a build or a bundle."""

from pathlib import Path

import pytest

from tests.deploy.builds import FLOAT, INT8, rehash
from tests.deploy.hostile.hostile import Lie, refusal, require
from tests.deploy.hostile.onnx_lies import LIES

CASES = pytest.mark.parametrize("lie", LIES.values(), ids=LIES)


@CASES
def test_inspect(lie: Lie, built: Path, tmp_path: Path) -> None:
    (tmp_path / lie.file).write_bytes(lie.make((built / FLOAT).read_bytes()))
    refused = refusal("inspect {folder}/x.onnx", tmp_path)
    require(refused, file=lie.file, says=lie.says, code=2)


@CASES
def test_verify(lie: Lie, copy: Path) -> None:
    (copy / INT8).write_bytes(lie.make((copy / INT8).read_bytes()))
    rehash(copy)
    refused = refusal("verify {folder} --backend none", copy)
    require(refused, file=INT8, says=lie.says.replace("x.onnx", INT8), code=1)
