"""The accuracy campaign: its rows, its arithmetic, a whole small run of it, and its tables."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from benchmarks import accuracy, accuracy_tables
from benchmarks.accuracy import Campaign, Estimation, Training, Tuning
from bitwright.models.layers import TiledConv2d
from bitwright.models.recipes import read_recipe

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def at_root(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)  # recipes are named from there


def test_every_row_has_a_name_of_its_own_and_a_network() -> None:
    jobs = list(accuracy.jobs())
    names = [(accuracy.table_of(job), job.name) for job in jobs]
    assert len(set(names)) == len(names) == 27 + 14 + 16
    stored = {
        job.name: accuracy.stored_bits(job.recipe_file().network())
        for job in jobs
        if isinstance(job, Training)
    }
    bits = {name: some / weights for name, (some, weights) in stored.items()}
    # fc1 has 784 * 128 weights; fc2, 128 * 10, is below min_compress_size and not tiled.
    assert bits["mnist_mlp_tiled_p4_a4"] == (784 * 128 / 4 + 1280) / (784 * 128 + 1280)
    assert bits["mnist_mlp_binary_a4"] == 1 and bits["mnist_mlp_float_a32"] == 32
    # conv1 144, conv2 16 * 32 * 9, fc1 1568 * 128, fc2 1280.
    tiled = 16 * 32 * 9 + 1568 * 128
    assert bits["mnist_cnn_tiled_p8_a8"] == (tiled / 8 + 144 + 1280) / (tiled + 144 + 1280)
    resnet = [bits[f"cifar10_resnet18_short_{w}"] for w in accuracy.CIFAR]
    assert resnet == sorted(resnet, reverse=True) and resnet[-1] < 0.15


def test_the_full_recipe_tiles_the_layers_of_64_000_weights(root: Path) -> None:
    recipe = read_recipe(root / "examples/recipes/cifar10_resnet18.toml")
    model = recipe.network()
    tiled = [layer for layer in model.modules() if isinstance(layer, TiledConv2d)]
    assert {layer.copies for layer in tiled if layer.weight.numel() >= 64_000} == {4}
    assert {layer.copies for layer in tiled if layer.weight.numel() < 64_000} == {1}
    assert len(tiled) == 20 and recipe.training.epochs == 300
    bits, weights = accuracy.stored_bits(model)
    assert round(bits / weights, 3) == 0.263


@pytest.fixture
def small(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Campaign:
    """A campaign of one epoch over 192 rows, with tables and runs of its own."""
    rng = np.random.default_rng(0)
    y = (np.arange(192) % 10).astype(np.uint8)
    x = (rng.integers(0, 60, (192, 28, 28)) + 15 * y[:, None, None]).astype(np.uint8)
    np.savez(tmp_path / "mnist.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    for name in ("mnist_mlp", "mnist_cnn"):
        text = (root / "examples/recipes" / f"{name}.toml").read_text()
        text = text.replace("../mnist_networks.py", str(root / "examples/mnist_networks.py"))
        recipe = read_recipe(root / "examples/recipes" / f"{name}.toml").training
        text = text.replace(f"epochs = {recipe.epochs}", "epochs = 1")
        (recipes / f"{name}.toml").write_text(text.replace(f"batch = {recipe.batch}", "batch = 32"))
    monkeypatch.setattr(accuracy, "RECIPES", recipes)
    monkeypatch.setattr(accuracy, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(accuracy, "RUNS", tmp_path / "runs")
    return Campaign(tmp_path, Console(stderr=True))


def test_rows_of_every_kind(small: Campaign) -> None:
    trained = Training("mnist_mlp", "tiled_p4", 4)
    row = small.row(trained)
    assert row["p"] == 4 and row["activations"] == 4 and row["epochs"] == 1
    assert row["stored_bits"] == 784 * 32 + 1280 and row["bits_per_weight"] == 0.2594
    assert row["data"] == "MNIST" and row["weights"] == "tiled_p4"
    assert 0 <= float(str(row["accuracy"])) <= 1
    lut = small.row(Estimation(trained))["lut"]
    plain = Training("mnist_mlp", "binary", 4)
    assert isinstance(lut, int)
    more = small.row(Estimation(plain))["lut"]
    assert isinstance(more, int) and more > 2 * lut
    start = Training("mnist_cnn", "float", 32)
    small.row(start)
    tuned = {kind: small.row(Tuning(start, kind, 2)) for kind in accuracy.KINDS}
    assert all(float(str(row["bits"])) <= 2 for row in tuned.values())
    assert tuned["uniform"]["float_accuracy"] == tuned["bitplanes"]["float_accuracy"]


def test_main_makes_what_is_missing_once(
    small: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(
        sys, "argv", ["accuracy", "--only", "mnist_mlp_binary_a4", "--data", str(tmp_path)]
    )
    accuracy.main()
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line[:1] == "{"]
    assert [row["row"] for row in told] == ["mnist_mlp_binary_a4"] * 2  # trained, and its LUTs
    rows = accuracy.read_table(tmp_path / "results" / "accuracy.csv")
    assert [row["row"] for row in rows] == ["mnist_mlp_binary_a4"]
    accuracy.main()
    assert "{" not in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["accuracy", "--only", "mnist_mlp_binary_a", "--list"])
    accuracy.main()
    assert capsys.readouterr().out.split() == [
        "mnist_mlp_binary_a32", "mnist_mlp_binary_a8", "mnist_mlp_binary_a8",
    ]  # fmt: skip


def test_rows_keep_their_order_and_replace_their_like(small: Campaign) -> None:
    table = accuracy.RESULTS / "accuracy.csv"
    for name, value in (("mnist_mlp_tiled_p4_a4", 1), ("mnist_mlp_float_a32", 2),
                        ("mnist_mlp_tiled_p4_a4", 3)):  # fmt: skip
        accuracy.add_row(table, {"row": name, "value": value})
    rows = [(row["row"], row["value"]) for row in accuracy.read_table(table)]
    assert rows == [("mnist_mlp_float_a32", "2"), ("mnist_mlp_tiled_p4_a4", "3")]
    assert [path.name for path in table.parent.iterdir()] == ["accuracy.csv"]


def test_data_that_are_not_there_are_one_sentence(
    small: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["accuracy", "--data", str(tmp_path / "gone")])
    with pytest.raises(
        SystemExit, match=r"mnist_mlp_float_a32: data folder \S+gone does not exist"
    ):
        accuracy.main()


def test_the_document_shows_the_committed_results(root: Path) -> None:
    text = (root / "docs" / "experiments.md").read_text()
    made = accuracy_tables.tables(root / "docs" / "results")
    assert accuracy_tables.written(text, made) == text, (
        "python -m benchmarks.accuracy_tables --write"
    )
    for name, table in made.items():
        assert table in text, f"docs/experiments.md has no <!-- table: {name} -->"
    # A result that is another is written over the old one.
    other = {name: table.replace("| 1.000 |", "| 0.999 |") for name, table in made.items()}
    changed = accuracy_tables.written(text, other)
    assert changed != text and accuracy_tables.written(changed, made) == text


def test_four_bit_activations_keep_the_accuracy_of_float_ones(root: Path) -> None:
    """What docs/experiments.md says of every MNIST row: within half a point."""
    rows = {row["row"]: row for row in accuracy.read_table(root / "docs/results/accuracy.csv")}
    compared = 0
    for name, row in rows.items():
        float_row = rows.get(name.removesuffix("_a4") + "_a32")
        if name.startswith("mnist") and row["activations"] == "4" and float_row is not None:
            assert float(row["accuracy"]) >= float(float_row["accuracy"]) - 0.005, name
            compared += 1
    assert compared == 6
