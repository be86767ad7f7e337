"""Recipes: read strictly, trained into a folder, taken up again, and lowered from there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bitwright.models import train as training
from bitwright.models.data_files import DATASETS, load_dataset
from bitwright.models.errors import InputError, StorageError
from bitwright.models.lower import compare, load_model, lower
from bitwright.models.recipes import read_recipe, train_recipe
from bitwright.models.train import accuracy

torch.set_num_threads(1)

GOOD = """
model = "net.py:make"
data = "digits"

[arguments]
hidden = 12

[training]
epochs = 3
learning_rate = 1
optimiser = "sgd"
seed = 2

[training.sparsity]
"2" = 0.5
"""

NETWORK = """
from torch import nn
from brevitas import nn as qnn
from brevitas.quant.fixed_point import Int8ActPerTensorFixedPoint

def make(hidden=4):
    return nn.Sequential(
        qnn.QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, bit_width=5),
        nn.BatchNorm1d(64),
        nn.Linear(64, hidden),
        nn.ReLU(),
        nn.Linear(hidden, 10),
    )
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(NETWORK)
    (tmp_path / "recipe.toml").write_text(GOOD)
    return tmp_path / "recipe.toml"


def test_a_recipe_says_everything(recipe: Path) -> None:
    made = read_recipe(recipe)
    assert made.model == f"{recipe.parent}/net.py:make" and made.data == "digits"
    assert made.training == training.Recipe(
        epochs=3, learning_rate=1.0, optimiser="sgd", seed=2, sparsity={"2": 0.5}
    )
    assert made.network()[2].out_features == 12


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('data = "digits"', 'dataset = "digits"', "unknown keys dataset: it may have model, data"),
        ("epochs = 3", "epoch = 3", r"unknown keys training\.epoch: it may have training\.epochs"),
        ('data = "digits"', "", r'needs data = "…", not None'),
        ('model = "net.py:make"', "model = 3", r'needs model = "…", not 3'),
        ("net.py:make", "make", "names no file and function"),
        ('"digits"', '"imagenet"', "no data set 'imagenet': choose from digits"),
        ("epochs = 3", 'epochs = "3"', r"training\.epochs = '3' is not of type int, like 60"),
        ("epochs = 3", "epochs = 3.0", r"training\.epochs = 3\.0 is not of type int"),
        ("seed = 2", "seed = true", r"training\.seed = True is not of type int"),
        ("epochs = 3", "epochs = 0", "0 epochs of batches"),
        ('"sgd"', '"lion"', "optimiser 'lion': choose from adam, sgd, adadelta"),
        ('"2" = 0.5', '"2" = "half"', r"sparsity\.2 = 'half' is no number"),
        ('"2" = 0.5', '"2" = 1.5', "sparsity of 1.5 for 2"),
        ("[arguments]\nhidden = 12", "arguments = 12", r"arguments = 12 is no table"),
        ("epochs = 3", "epochs = ", "cannot be read"),
    ],
)
def test_what_a_recipe_may_not_say(recipe: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new)
    if new == "arguments = 12":  # a top-level key stands in front of every table
        text = f"{new}\n{GOOD.replace(old, '')}"
    recipe.write_text(text)
    with pytest.raises(InputError, match=rf"recipe {recipe}.*{message}"):
        read_recipe(recipe)


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"recipe \S+gone.toml cannot be read"):
        read_recipe(tmp_path / "gone.toml")


def test_arguments_that_the_network_does_not_take(recipe: Path) -> None:
    recipe.write_text(GOOD.replace("hidden", "width"))
    with pytest.raises(InputError, match=r"net\.py:make raised TypeError: .*'width'"):
        read_recipe(recipe).network()


def test_a_run_goes_on_after_a_kill(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe.write_text(GOOD.replace("learning_rate = 1", "learning_rate = 0.05"))
    whole = training._epoch

    def killed(model: Any, *rest: Any) -> float:
        if rest[4] == 2:
            raise KeyboardInterrupt
        return whole(model, *rest)

    expected = train_recipe(recipe, tmp_path / "whole")
    monkeypatch.setattr(training, "_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        train_recipe(recipe, tmp_path / "cut")
    monkeypatch.setattr(training, "_epoch", lambda *rest: whole(*rest))
    made = train_recipe(recipe, tmp_path / "cut")
    assert made.losses == expected.losses and made.accuracy == expected.accuracy > 0.5
    one, two = (torch.load(f / "weights.pt", weights_only=True)
                for f in (tmp_path / "whole", tmp_path / "cut"))  # fmt: skip
    assert all(torch.equal(one[key], two[key]) for key in one)
    told = json.loads((tmp_path / "cut" / "training.json").read_text())
    assert told["accuracy"] == made.accuracy and told["arguments"] == {"hidden": 12}
    assert sorted(p.name for p in (tmp_path / "cut").iterdir()) == [
        "checkpoint.pt", "network.py", "test.npz", "training.json", "weights.pt",
    ]  # fmt: skip
    # Another recipe does not go on from there, and leaves it as it was.
    before = (tmp_path / "cut" / "weights.pt").read_bytes()
    recipe.write_text(GOOD.replace("epochs = 3", "epochs = 4"))
    with pytest.raises(StorageError, match="of a run with other data, layers or settings"):
        train_recipe(recipe, tmp_path / "cut")
    assert (tmp_path / "cut" / "weights.pt").read_bytes() == before


def test_the_digits_recipe_trains_and_lowers_to_the_same_decisions(
    root: Path, tmp_path: Path
) -> None:
    text = (root / "examples/recipes/digits_mlp.toml").read_text()
    model = str(root / "examples/mnist_networks.py")
    recipe = tmp_path / "digits.toml"
    recipe.write_text(
        text.replace("../mnist_networks.py", model).replace("epochs = 30", "epochs = 12")
    )
    made = train_recipe(recipe, tmp_path / "run")
    assert made.accuracy > 0.9
    network = load_model(f"{made.network}:network", made.weights)
    with np.load(made.rows) as rows:
        x, y = rows["x"], rows["y"]
    assert accuracy(network, x, y) == made.accuracy
    lowered = lower(network, made.input_shape)
    report = compare(network, lowered, x, y)
    # The tiles' scales are no powers of two, so that torch's float32 may round otherwise at ties.
    assert report.differing <= 1e-4 * report.compared and report.compared > 0
    assert report.differing_decisions == 0
    assert report.accuracy_reference == made.accuracy
    tiled = [node.op.weights for node in lowered.graph.nodes if node.kind == "dense"]
    assert [type(codec).__name__ for codec in tiled] == ["Tiled", "Plain"]


def test_every_recipe_that_comes_along_can_be_read_and_makes_its_network(root: Path) -> None:
    files = sorted((root / "examples" / "recipes").glob("*.toml"))
    assert len(files) >= 5
    for file in files:
        made = read_recipe(file)
        assert made.data in DATASETS
        shape = {"mnist": (1, 28, 28), "cifar10": (3, 32, 32), "digits": (64,)}[made.data]
        model = made.network().eval()
        with torch.no_grad():
            assert model(torch.zeros(2, *shape)).shape == (2, 10)
    assert load_dataset("digits").x_test.shape[1:] == (64,)
