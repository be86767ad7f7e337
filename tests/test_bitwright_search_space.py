"""Space files: what they mean, and refusals that say what to mend."""

import json
from pathlib import Path
from typing import Any

import pytest

from bitwright.models.errors import InputError
from bitwright.search.budget import DEVICES
from bitwright.search.candidate import Candidate
from bitwright.search.executors import LocalExecutor
from bitwright.search.explore import explore
from bitwright.search.front import front, price, spread
from bitwright.search.methods import uniform_candidates
from bitwright.search.network import check_pruned
from bitwright.search.space import Space, read_space

GOOD = """
model = "{model}:dense"
data = "digits"
[arguments]
inputs = 64
classes = 10
[vary]
hidden = [[8, 12]]
weights = [[2, 4], [2, 4]]
activations = [[1, 2], [2, 3]]
[sparsity]
fc1 = [0.0, 0.5]
[budget]
device = "ecp5-25k"
max_lut = 5000
intervals = [16, 1]
"""


@pytest.fixture
def space_file(root: Path, tmp_path: Path) -> Path:
    file = tmp_path / "space.toml"
    file.write_text(GOOD.replace("{model}", str(root / "examples" / "dense.py")))
    return file


def test_a_space_and_its_candidates(space_file: Path) -> None:
    space = read_space(space_file)
    names = [d.name for d in space.dimensions]
    assert names == ["hidden.0", "weights.0", "weights.1", "activations.0", "activations.1",
                     "sparsity.fc1", "interval"]  # fmt: skip
    candidate = space.candidate({**space.ample, "weights.1": 2, "sparsity.fc1": 0.5})
    assert dict(candidate.arguments) == {
        "hidden": (12,), "weights": (4, 2), "activations": (2, 3),
    }  # fmt: skip
    assert space.candidate(space.choices(candidate)) == candidate
    assert Space.from_dict(json.loads(json.dumps(space.as_dict()))) == space
    # Widths shape the network, everything else is precision: 12 of them start from one.
    assert space.precision == set(names) - {"hidden.0"}
    start = space.start_of(candidate).candidate
    assert dict(start.arguments)["weights"] == (4, 4) and start.sparsity == (("fc1", 0.0),)
    assert len(list(space.shapes())) == 2
    # The device has 24,288 LUTs, and fewer are allowed.
    assert space.budget.limits == {"lut": 5000, "dsp": DEVICES["ecp5-25k"].dsp, "bram": 56}
    row = {"lut": 5100, "dsp": 0, "bram": 60}
    assert space.budget.excess(row) == {"lut": 100, "bram": 4}


def test_uniform_networks_have_equal_bits_and_nothing_pruned(space_file: Path) -> None:
    found = list(uniform_candidates(read_space(space_file)))
    # Two widths, two bits of weights, and the one number that both activations may have.
    assert len(found) == len(set(found)) == 4
    for candidate in found:
        arguments: dict[str, Any] = dict(candidate.arguments)
        assert len(set(arguments["weights"])) == 1 and arguments["activations"] == (2, 2)
        assert candidate.sparsity == (("fc1", 0.0),) and candidate.interval == 1
    # A layer with one choice, such as inputs that are bits, keeps it.
    text = space_file.read_text().replace("[[1, 2], [2, 3]]", "[[1], [2, 3]]")
    space_file.write_text(text)
    found = [dict(c.arguments) for c in uniform_candidates(read_space(space_file))]
    assert len(found) == 8 and {a["activations"] for a in found} == {(1, 2), (1, 3)}


def test_rows_depend_on_what_made_them_alone(
    space_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = read_space(space_file)
    text = space_file.read_text()

    def changed(what: str) -> Space:
        space_file.write_text(what)
        return read_space(space_file)

    more = changed(text + '[search]\ntrials = 99\nmethods = ["pareto"]\n')
    assert more.contexts == space.contexts
    longer = changed(text + "[final]\nepochs = 99\n")
    assert longer.contexts["candidate"] == space.contexts["candidate"]
    assert longer.contexts["final"] != space.contexts["final"]
    slower = changed(text.replace("max_lut", "clock_mhz = 50\nmax_lut"))
    assert slower.contexts["candidate"] != space.contexts["candidate"]
    assert slower.contexts["start"] == space.contexts["start"]
    monkeypatch.setattr("bitwright.search.space.version", lambda name: "0.0.0")
    other = changed(text).contexts
    assert not set(other.values()) & set(space.contexts.values())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("inputs = 64", "inputs = 64\nweights = [2]", "weights both vary and are fixed"),
        ("[2, 4], [2, 4]", "[2, 4], []", "vary.weights = .* give a list of numbers"),
        ("[2, 4], [2, 4]", "[2, '4'], [2]", "let them be of one kind, each once"),
        ("[0.0, 0.5]", "[1.0]", "give shares from 0 to below 1"),
        ("ecp5-25k", "ecp5-26k", "device 'ecp5-26k' is not known: choose from ecp5-12k"),
        ("max_lut = 5000", "max_luts = 5000", "budget has unknown keys max_luts: it may have"),
        ("max_lut = 5000", "max_lut = 'a'", "budget.max_lut = 'a' is no number"),
        ("max_lut = 5000", 'target = "xc7"', "does not go with device"),
        ("[16, 1]", "[0]", "give a list of cycles"),
        ('"digits"', '"digit"', "there is no data set 'digit'"),
        ('"digits"', '"none.npz"\nextra = 1', "unknown keys extra"),
        (":dense", "", "names no file and function"),
        ("[budget]", "[search]\nmethods = ['magic']\n[budget]", "has 'magic': choose from uniform"),
        ("[budget]", "[search]\ntrials = 1.5\n[budget]", "search.trials = 1.5 is not of type int"),
        ("[budget]", "[training]\nepochs = 0\n[budget]", "all must be above 0"),
        ("[budget]", "[start]\nepoch = 3\n[budget]", "unknown keys start.epoch"),
        ("[budget]", "[budget", "cannot be read"),
    ],
)
def test_refusals(space_file: Path, old: str, new: str, said: str) -> None:
    text = space_file.read_text()
    assert old in text
    space_file.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=said):
        read_space(space_file)


def test_tiles_cannot_be_pruned(space_file: Path, tmp_path: Path) -> None:
    network = tmp_path / "tiled.py"
    network.write_text(
        "from torch import nn\n"
        "from bitwright.models.layers import TiledLinear, Tiling\n"
        "def net(bits):\n"
        "    tiling = Tiling(2, min_compress_size=1)\n"
        "    return nn.Sequential(TiledLinear(6, 4, tiling=tiling), nn.Linear(4, 2))\n"
    )
    text = f'model = "{network}:net"\ndata = "digits"\n[vary]\nbits = [2, 4]\n[sparsity]\n'
    for given, said in [
        ("0 = [0.0, 0.5]", "a sparsity is given for '0', a TiledLinear: .* none can be zero"),
        ("3 = [0.5]", "a sparsity is given for '3', which has no weights"),
        ("0 = [0.0]\n1 = [0.0, 0.5]", None),
    ]:
        space_file.write_text(text + given)
        space = read_space(space_file)
        if said is None:
            check_pruned(space)
            continue
        executor = LocalExecutor(tmp_path / "study", 1)
        try:
            with pytest.raises(InputError, match=said):
                explore(space, tmp_path / "study", executor)
        finally:
            executor.close()
    assert not (tmp_path / "study" / "study.db").exists()


def test_fronts() -> None:
    points = [(0.9, 100), (0.8, 50), (0.85, 120), (0.9, 90), (0.95, 200), (0.95, 180)]
    best = front(points, lambda p: p[0], lambda p: p[1])
    assert best == [(0.8, 50), (0.9, 90), (0.95, 180)]
    assert spread(best, 2) == [best[0], best[2]] and spread(best, 9) == best
    assert spread(best, 1) == [best[2]]
    assert price({"lut": 10, "bram": 1, "dsp": 2}) == 610
    assert isinstance(hash(Candidate()), int)
