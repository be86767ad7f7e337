"""`bitwright cost-table`, `estimate` with its band, and the pictures."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bitwright.cli import app
from bitwright.cost_model.cost import Cost
from bitwright.cost_model.width_table import Layer, width_table
from bitwright.cost_plot import plot_errors, plot_widths
from bitwright.models.errors import BitwrightError, StorageError
from bitwright.models.graph import save
from bitwright.models.zoo import random_mlp

Run = Callable[..., str]


@pytest.fixture
def run() -> Run:
    def called(*words: str | Path) -> str:
        result = CliRunner().invoke(app, [str(word) for word in words])
        if isinstance(result.exception, BitwrightError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    return called


def test_a_table_and_its_picture(run: Run, tmp_path: Path) -> None:
    size = ("--inputs", "4", "--outputs", "3", "--fast")
    picture = tmp_path / "bits.svg"
    told = json.loads(run("cost-table", *size, "--plot", picture, "--json"))
    assert len(told["entries"]) == 64 and told["layer"]["sparsity"] == 0.5
    one = told["entries"][-1]
    assert one["low"]["lut"] < one["estimated"]["lut"] < one["high"]["lut"]
    text = picture.read_text()
    assert "bits of a weight" in text and "8-bit activations" in text
    assert "1-bit activations" in run("cost-table", *size)


def test_codecs_that_there_are_not(run: Run) -> None:
    with pytest.raises(BitwrightError, match="not one of plain, tiled, float, codebook"):
        run("cost-table", "--codec", "huffman")
    with pytest.raises(BitwrightError, match="--measure needs --rows"):
        run("cost-table", "--measure", "3")


def test_an_estimate_has_a_band_and_says_what_is_new(run: Run, tmp_path: Path) -> None:
    save(random_mlp((6, 4, 3), (3, 3), (3, 3)), tmp_path / "graph")
    told = json.loads(run("estimate", tmp_path / "graph", "--target", "ecp5", "--json"))
    cost = told["cost"]
    assert cost["low"]["lut"] < cost["estimated"]["lut"] < cost["high"]["lut"]
    assert told["clock_mhz"]["low"] < told["clock_mhz"]["estimated"] < told["clock_mhz"]["high"]
    layer = cost["layers"]["fc0"]
    assert layer["low"]["lut"] < layer["estimated"]["lut"] < layer["high"]["lut"]
    fast = json.loads(run("estimate", tmp_path / "graph", "--target", "ecp5", "--fast", "--json"))
    assert fast["cost"]["estimated"]["lut"] != cost["estimated"]["lut"]
    # more inputs than anything that was measured
    save(random_mlp((700, 2), (2,), (2,), density=0.02), tmp_path / "wide")
    wide = json.loads(run("estimate", tmp_path / "wide", "--json"))
    assert any("fc0: inputs 700" in what for what in wide["cost"]["extrapolating"])
    assert "beyond what was measured" in run("estimate", tmp_path / "wide")


def test_pictures_are_alike_every_time(tmp_path: Path) -> None:
    table = width_table(Layer(4, 3), solved=False)
    table.measured[4, 4] = Cost(lut=40)
    for name in ("a.svg", "b.svg"):
        plot_widths(table, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    pairs = [(100.0, 110.0, 90.0, 130.0), (1000.0, 900.0, 800.0, 1100.0)]
    plot_errors({"LUTs": {"xc7": pairs, "ecp5": pairs}}, tmp_path / "errors.png")
    assert (tmp_path / "errors.png").stat().st_size > 5000
    with pytest.raises(StorageError, match="cannot write"):
        plot_widths(table, tmp_path / "a.pptx")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.svg", "b.svg", "errors.png"]
