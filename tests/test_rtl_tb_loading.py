"""Weights that are loaded while the hardware runs: one design computes one graph after another."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from bitwright.models.errors import GraphError, InputError
from bitwright.models.graph import (
    Builder,
    Codebook,
    Conv2d,
    Dense,
    Folded,
    Graph,
    IntArray,
    IntType,
    Plain,
    Plan,
    Requantize,
    Reshape,
    Unrolled,
    Window,
    evaluate,
    plan_from_json,
    plan_to_json,
    widen_for_loading,
)
from bitwright.rtl_tb import Load, Simulator, bulk, emit, inject, load_words
from bitwright.rtl_tb.tools import verilator_environment

LOADED = ("conv", "deep", "fc")


def network(seed: int) -> Graph:
    """A convolution, a depthwise one, and a dense layer whose weights have one bit."""
    rng = np.random.default_rng(seed)

    def weights(rows: int, columns: int, width: int) -> Plain:
        if width == 1:
            return Plain(rng.choice([-1, 1], (rows, columns)), 1)
        kind = IntType(width, True)
        return Plain(rng.integers(kind.min, kind.max + 1, (rows, columns)), width)

    def bias(size: int) -> IntArray:
        return rng.integers(-9, 10, size)

    def quantise(shift: int) -> Requantize:
        return Requantize(np.ones(4, int), np.zeros(4, int), shift)

    made, same = Builder("loaded"), (1, 1, 1, 1)
    x = made.input("x", (4, 4, 2), IntType(3, True))
    y = made.add("conv", Conv2d(weights(18, 4, 3), bias(4), Window((3, 3), (1, 1), same)), x)
    y = made.add("relu", quantise(3), y, kind=IntType(3, False))
    y = made.add("deep", Conv2d(weights(9, 4, 2), bias(4), Window((3, 3), (2, 2), same), 4), y)
    y = made.add("act", quantise(2), y, kind=IntType(2, True))
    y = made.add("flat", Reshape(), y, shape=(16,))
    y = made.add("fc", Dense(weights(16, 3, 1), bias(3)), y)
    return widen_for_loading(made.graph(y), LOADED)


PLAN = Plan(
    {
        "conv": Folded(4, 2, 2, loadable=True),
        "relu": Folded(4),
        "deep": Folded(2, 1, loadable=True),
        "act": Folded(2),
        "flat": Unrolled(0),
        "fc": Folded(1, 4, 2, loadable=True),
    }
)
A, B = network(1), network(2)
X = np.random.default_rng(3).integers(-4, 4, (24, 4, 4, 2))


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Simulator:
    folder = tmp_path_factory.mktemp("loaded")
    return bulk.build(emit(A, PLAN, folder / "rtl"), folder / "sim")


def outputs(*parts: tuple[Graph, slice]) -> IntArray:
    return np.concatenate([evaluate(graph, X[rows]) for graph, rows in parts])


def test_the_weights_of_the_graph_are_there_from_the_start(simulator: Simulator) -> None:
    found = simulator.verify(X, evaluate(A, X))
    assert found.passed, found.faults
    assert np.any(evaluate(A, X) != evaluate(B, X))


@pytest.mark.parametrize("seed", [0, 5])
def test_what_is_loaded_is_computed_time_and_again(simulator: Simulator, seed: int) -> None:
    a, b = load_words(A, PLAN, A), load_words(B, PLAN, A)
    assert len(a) == len(b) == simulator.design.load_beats
    loads = [Load(6, b), Load(12, a), Load(18, np.concatenate([a, b]))]
    made = simulator.simulate(X, seed=seed, loads=loads).outputs
    wanted = outputs((A, slice(0, 6)), (B, slice(6, 12)), (A, slice(12, 18)), (B, slice(18, None)))
    assert np.array_equal(made, wanted)


def test_a_load_that_was_broken_off_is_made_good_by_the_next(simulator: Simulator) -> None:
    a, b = load_words(A, PLAN), load_words(B, PLAN)
    loads = [Load(6, a[: len(a) // 2]), Load(12, b)]  # the last beat of each has tlast
    made = simulator.simulate(X, seed=2, loads=loads).outputs
    assert np.array_equal(made, outputs((A, slice(0, 12)), (B, slice(12, None))))


def test_every_wrong_word_that_matters_is_seen(simulator: Simulator) -> None:
    words, wanted = load_words(B, PLAN), evaluate(B, X)
    differing = 0
    for beat in np.random.default_rng(0).choice(len(words), 12, replace=False):
        wrong = words.copy()
        wrong[beat] ^= 1
        made = simulator.simulate(X, loads=[Load(0, wrong)]).outputs
        differing += bool(np.any(made != wanted))
    assert differing >= 10  # a weight may meet nothing but zeros


def test_three_copies_of_weights_that_are_loaded(tmp_path: Path) -> None:
    plan = replace(PLAN, redundancy=3)
    design = emit(A, plan, tmp_path / "rtl")
    made = bulk.build(design, tmp_path / "sim").simulate(X, loads=[Load(4, load_words(B, plan))])
    assert np.array_equal(made.outputs, outputs((A, slice(0, 4)), (B, slice(4, None))))
    few = X[:2]
    report = inject(design, few, evaluate(A, few), folder=tmp_path / "faults", flips=400)
    assert report.shown == 0 < report.noticed, report.examples


def test_types_hold_all_that_can_be_loaded(simulator: Simulator) -> None:
    assert {n.name: str(n.output.type) for n in A.nodes} == {
        n.name: str(n.output.type) for n in B.nodes
    }
    largest = Plain(np.full((18, 4), -4), 3)
    conv = next(n for n in A.nodes if n.name == "conv")
    assert isinstance(conv.op, Conv2d)
    extreme = replace(conv, op=replace(conv.op, weights=largest, bias=np.full(4, 216)))
    furthest = replace(A, nodes=(extreme, *A.nodes[1:]))  # a graph checks its own types
    x = np.full((4, 4, 4, 2), -4)
    made = simulator.simulate(x, loads=[Load(0, load_words(furthest, PLAN, A))]).outputs
    assert np.array_equal(made, evaluate(furthest, x))
    narrow = replace(conv, output=replace(conv.output, type=IntType(9, True)))
    tight = replace(A, nodes=(narrow, *A.nodes[1:]))
    with pytest.raises(GraphError, match=r"node conv .* s9, too narrow .* needs s11"):
        PLAN.check(tight)


def test_what_cannot_be_loaded_is_refused(simulator: Simulator, tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"node relu .* no weights"):
        Plan({**PLAN.engines, "relu": Folded(4, 1, loadable=True)}).check(A)
    with pytest.raises(GraphError, match="no node nowhere"):
        widen_for_loading(A, ["nowhere"])
    fc = A.nodes[-1]
    assert isinstance(fc.op, Dense) and isinstance(fc.op.weights, Plain)
    table = Codebook((fc.op.weights.values + 1) // 2, np.array([[-1, 1]]))
    other = replace(A, nodes=(*A.nodes[:-1], replace(fc, op=replace(fc.op, weights=table))))
    with pytest.raises(GraphError, match="codebook weights"):
        PLAN.check(other)
    much = replace(fc, op=replace(fc.op, bias=np.array([0, 100, 0])),
                   output=replace(fc.output, type=IntType(9, True)))  # fmt: skip
    with pytest.raises(GraphError, match="bias of 100"):
        PLAN.check(replace(A, nodes=(*A.nodes[:-1], much)))
    act = next(n for n in A.nodes if n.name == "act")
    changed = replace(act, op=Requantize(np.ones(4, int), np.ones(4, int), 2))
    nodes = tuple(changed if n is act else n for n in A.nodes)
    with pytest.raises(GraphError, match="more than loadable"):
        load_words(replace(A, nodes=nodes), PLAN, A)
    constant = replace(PLAN, engines={n: replace(e, loadable=False) if isinstance(e, Folded) else e
                                      for n, e in PLAN.engines.items()})  # fmt: skip
    fixed = Simulator(emit(A, constant, tmp_path / "rtl"), simulator.model)
    with pytest.raises(InputError, match="no weights that can be loaded"):
        fixed.simulate(X, loads=[Load(0, load_words(B, PLAN))])


def test_a_plan_says_what_is_loadable() -> None:
    again = plan_from_json(plan_to_json(PLAN))
    assert again.loadable == PLAN.loadable == set(LOADED)
    assert again.engines == PLAN.engines


@pytest.mark.parametrize("redundancy", [1, 3])
def test_lint_is_silent(tmp_path: Path, redundancy: Literal[1, 3]) -> None:
    design = emit(A, replace(PLAN, redundancy=redundancy), tmp_path / "rtl")
    verilator, environment = verilator_environment()
    command = [verilator, "--lint-only", "-Wall", "--top", design.top, *map(str, design.files)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for file in design.files:
        if file.parent == design.folder:
            assert max(map(len, file.read_text().splitlines())) <= 100, file.name
