"""`bitwright lower` on ONNX files: as a user types it, and what it says to bad ones."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

import bitwright
from bitwright.models.graph import evaluate, load, quantise

NETWORK = """
<ir_version: 9, opset_import: ["": 13, "qonnx.custom_op.general": 2]>
net (float[1,4] x) => (float[1,3] y) <float s = {0.25}, float z = {0.0}, float b = {4.0}> {
  q = qonnx.custom_op.general.Quant<signed=1, narrow=0, rounding_mode="ROUND">(x, s, z, b)
  w = Constant<value = float[4,3] {1, 2, -3, 0, 1, 1, -1, 0, 2, 2, -2, 1}>()
  y = MatMul(q, w)
}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    onnx.save(onnx.parser.parse_model(NETWORK), tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def command(*words: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "bitwright", "lower", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True)


def test_a_file_becomes_a_graph(file: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    weights = np.array([[1, 2, -3], [0, 1, 1], [-1, 0, 2], [2, -2, 1]])
    expected = np.clip(np.rint(x * 4), -8, 7).astype(int) @ weights
    y = expected.argmax(axis=1)
    y[:5] = (y[:5] + 1) % 3
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    said = command(file, "-o", tmp_path / "graph", "--data", tmp_path / "rows.npz", "--json")
    assert said.returncode == 0, said.stderr
    shown = json.loads(said.stdout)
    graph = load(tmp_path / "graph")
    assert np.array_equal(evaluate(graph, quantise(graph, x)), expected)
    assert shown["name"] == graph.name == "net"
    assert shown["accuracy"] == {"torch": None, "reference": 0.9}
    assert bitwright.digest(bitwright.lower_onnx(file).graph) == shown["digest"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--input-shape", "4"], "leave yours out"),
        (["--labels", "a,b"], "2 labels for 3 classes"),
        (["--data", "missing.npz"], "missing.npz"),
    ],
)
def test_wrong_options_leave_an_earlier_graph(
    options: list[str], message: str, file: Path, tmp_path: Path
) -> None:
    assert command(file, "-o", tmp_path / "graph").returncode == 0
    before = sorted((p.name, p.read_bytes()) for p in (tmp_path / "graph").iterdir())
    said = command(file, "-o", tmp_path / "graph", *options)
    assert said.returncode == 2 and message in said.stderr and "Traceback" not in said.stderr
    assert before == sorted((p.name, p.read_bytes()) for p in (tmp_path / "graph").iterdir())


def test_a_file_that_cannot_be_lowered_is_told_so(file: Path, tmp_path: Path) -> None:
    text = NETWORK.replace("y = MatMul(q, w)", "l = MatMul(q, w)\n y = Softmax(l)")
    onnx.save(onnx.parser.parse_model(text), file)
    said = command(file, "-o", tmp_path / "graph")
    assert said.returncode == 2 and not (tmp_path / "graph").exists()
    assert "(Softmax)" in said.stderr and "largest output stays" in said.stderr
    file.write_bytes(b"\x00" * 100)
    assert "no ONNX model" in command(file, "-o", tmp_path / "graph").stderr
