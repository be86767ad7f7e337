"""Adder graphs: equal to the matrix for all inputs, bounds exact, stages well cut."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from bitwright.models.adders import AdderGraph, adder_bits, schedule, solve
from bitwright.models.adders.solver import _Builder, _prove
from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import Interval, IntType, Value

SOLVE = "bitwright.models.adders.solver"


def interval(kind: IntType, channels: int) -> Interval:
    return Interval.of_type(Value("x", (channels,), kind))


def run(graph: AdderGraph, x: list[int]) -> tuple[list[int], list[int]]:
    """All values and all outputs for one input vector, in plain integers."""
    values = list(x)
    for a in graph.adders:
        left, right = values[a.left] << a.left_shift, values[a.right] << a.right_shift
        values.append(left - right if a.subtract else left + right)
    outputs = []
    for o in graph.outputs:
        value = 0 if o.source is None else values[o.source] << o.shift
        outputs.append(o.constant + (-value if o.negate else value))
    return values, outputs


MATRICES = {
    "one": np.array([[1]]),
    "zero": np.array([[0, 0], [0, 0]]),
    "negative": np.array([[-1], [-1], [-1]]),
    "powers": np.array([[4, -8], [16, 2]]),
    "wide": np.array([[(1 << 23) + 5, -(1 << 15)], [3, 1]]),
    "shifted": np.array([[5 << 30, 0], [7 << 30, 1 << 40]]),
    "repeated": np.array([[3, 3, -3, 6], [5, 5, -5, 10]]),
    "binary": np.random.default_rng(0).choice([-1, 1], (12, 9)),
    "random": np.random.default_rng(1).integers(-128, 128, (9, 7)),
    "sparse": np.random.default_rng(2).integers(-8, 8, (16, 12))
    * (np.random.default_rng(3).random((16, 12)) < 0.2),
}


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("kind", [IntType(1, False), IntType(4, True)], ids=str)
def test_outputs_are_the_product_and_values_stay_in_bounds(name: str, kind: IntType) -> None:
    matrix = MATRICES[name].astype(np.int64)
    constant = np.arange(matrix.shape[1]) * 7 - 9
    graph = solve(matrix, constant, interval(kind, len(matrix)))
    dice = np.random.default_rng(5)
    batch = dice.integers(kind.min, kind.max + 1, (200, len(matrix))).tolist()
    for corner in itertools.product((kind.min, kind.max), repeat=min(len(matrix), 4)):
        batch.append(list(corner) + [kind.min] * (len(matrix) - len(corner)))
    for x in batch:
        values, outputs = run(graph, x)
        assert outputs == (np.array(x, object) @ matrix.astype(object) + constant).tolist()
        assert all(graph.low[i] <= v <= graph.high[i] for i, v in enumerate(values))


def test_bounds_are_reached() -> None:
    """A value's bounds are exact, so a width taken from them has no bit to spare."""
    matrix = np.random.default_rng(4).integers(-7, 8, (6, 5))
    kind = IntType(3, True)
    graph = solve(matrix, np.zeros(5, int), interval(kind, 6))
    corners = [run(graph, list(x))[0] for x in itertools.product((kind.min, kind.max), repeat=6)]
    assert tuple(map(max, zip(*corners, strict=True))) == graph.high
    assert tuple(map(min, zip(*corners, strict=True))) == graph.low


def test_matrices_in_any_memory_order_are_solved_right() -> None:
    matrix = np.asfortranarray(np.random.default_rng(8).integers(-7, 8, (5, 4)))
    solve(matrix, np.zeros(4, int), interval(IntType(4, True), 5))  # proves itself


@pytest.mark.parametrize("outputs", [1, 4, 7, 30])
@pytest.mark.parametrize("rows", [None, 3, 6])
def test_binary_layers_solved_in_blocks_are_right_too(
    monkeypatch: pytest.MonkeyPatch, outputs: int, rows: int | None
) -> None:
    matrix = np.random.default_rng(outputs).choice([-1, 1], (40, outputs))
    matrix[:, -1] = -matrix[:, 0]  # equal up to sign, so it shares everything
    matrix[:, outputs // 2] = matrix[:, 0]
    if rows is not None:
        monkeypatch.setattr(f"{SOLVE}._BLOCKS", (rows,))
        monkeypatch.setattr(f"{SOLVE}._LARGE_BINARY", 0)
    constant = np.arange(outputs) - 3
    graph = solve(matrix, constant, interval(IntType(2, True), 40))
    for x in np.random.default_rng(9).integers(-2, 2, (50, 40)).tolist():
        assert run(graph, x)[1] == (np.array(x) @ matrix + constant).tolist()


def test_blocks_cost_binary_layers_less_than_the_solver_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    matrix = np.random.default_rng(1).choice([-1, 1], (64, 8))
    zero, reach = np.zeros(8, int), interval(IntType(1, False), 64)
    chosen = adder_bits(solve(matrix, zero, reach))
    monkeypatch.setattr(f"{SOLVE}._BLOCKS", ())
    assert chosen < 0.75 * adder_bits(solve(matrix, zero, reach))


def test_equal_columns_share_their_adders() -> None:
    matrix = np.array([[3, 3, 6], [5, 5, 10]])
    alone = solve(matrix[:, :1], np.zeros(1, int), interval(IntType(4, True), 2))
    shared = solve(matrix, np.zeros(3, int), interval(IntType(4, True), 2))
    assert len(shared.adders) == len(alone.adders)


def test_the_proof_catches_every_wrong_adder() -> None:
    matrix = np.array([[3], [5]])
    reach = interval(IntType(4, True), 2)
    right = solve(matrix, np.zeros(1, int), reach)
    assert len(right.adders) >= 3
    for wrong in range(len(right.adders)):
        build = _Builder(2)
        for i, a in enumerate(right.adders):
            build._put(replace(a, subtract=a.subtract != (i == wrong)))
        with pytest.raises(AssertionError, match="output 0"):
            _prove(build, build.finish(right.outputs, reach), matrix, np.zeros(1, int))


def test_constants_beyond_the_solver_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="25 bits"):
        solve(np.array([[(1 << 24) + 1]]), np.zeros(1, int), interval(IntType(4, True), 1))


@pytest.mark.parametrize("stages", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("after", [0, 1])
def test_every_value_is_there_when_it_is_read(stages: int, after: int) -> None:
    matrix = np.random.default_rng(6).integers(-7, 8, (10, 8))
    graph = solve(matrix, np.arange(8), interval(IntType(4, True), 10))
    plan = schedule(graph, stages, after)
    made = {i: stage for stage, values in plan.adders.items() for i in values}
    assert sorted(made) == list(range(graph.inputs, len(graph.low)))

    def there(value: int, stage: int) -> bool:
        first = made.get(value, 1)
        return first <= stage and all(value in plan.registers[s] for s in range(first, stage))

    for i, adder in enumerate(graph.adders, start=graph.inputs):
        assert there(adder.left, made[i]) and there(adder.right, made[i])
    assert all(there(o.source, stages) for o in graph.outputs if o.source is not None)
    longest = max(
        sum(1 for _ in _chain(graph, i, made)) for i in range(graph.inputs, len(graph.low))
    )
    assert longest <= -(-(graph.depth + after) // stages)


def _chain(graph: AdderGraph, value: int, made: dict[int, int]) -> list[int]:
    """The longest run of adders that ends at a value within its own stage."""
    if value < graph.inputs:
        return []
    adder = graph.adders[value - graph.inputs]
    before = [
        _chain(graph, i, made) for i in (adder.left, adder.right) if made.get(i) == made[value]
    ]
    return [*max(before, key=len, default=[]), value]
