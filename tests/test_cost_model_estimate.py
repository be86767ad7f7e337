"""Estimates of whole graphs, plans for a clock, and estimates held against Yosys."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bitwright.cost_model import Cost, Estimate, Measurement, compare, estimate, make_plan, measure
from bitwright.models.errors import GraphError, InputError
from bitwright.models.graph import (
    TARGETS,
    BitPlanes,
    Dense,
    Graph,
    IntType,
    Lookup,
    Node,
    Op,
    Plain,
    Plan,
    Port,
    Target,
    Tiled,
    Unrolled,
    Value,
)
from bitwright.models.zoo import random_mlp
from bitwright.rtl_tb.emit import emit


def network(**changes: object) -> Graph:
    settings = {"sizes": (8, 8, 4), "weight_bits": (4, 3), "activation_bits": (4, 3)}
    return random_mlp(**{**settings, **changes})  # type: ignore[arg-type]


def plan(graph: Graph, *stages: int, target: Target = "xc7") -> Plan:
    engines = [Unrolled(n) for n in stages]
    return Plan({n.name: e for n, e in zip(graph.nodes, engines, strict=True)}, target)


@pytest.mark.parametrize("target", TARGETS)
def test_cycles_are_the_plan_and_parts_make_the_total(target: Target) -> None:
    graph = network()
    found = estimate(graph, plan(graph, 3, 1, 2, target=target))
    assert (found.latency, found.ii, found.target) == (6, 1, target)
    assert list(found.nodes) == ["fc0", "act0", "fc1"]
    assert found.total.lut == sum(cost.lut for cost in found.nodes.values())
    assert found.total.dsp == found.total.bram == 0
    assert found.latency_ns == pytest.approx(6e3 / found.clock_mhz)
    assert found.vectors_per_second == pytest.approx(found.clock_mhz * 1e6)


def test_a_plan_for_another_graph() -> None:
    graph = network()
    other = network(sizes=(8, 8, 8, 4), weight_bits=(4, 3, 3), activation_bits=(4, 3, 3))
    with pytest.raises(GraphError, match="disagree about the nodes"):
        estimate(graph, make_plan(other, "xc7"))


def test_bits_and_zeros_show() -> None:
    def lut(graph: Graph) -> int:
        return estimate(graph, plan(graph, 1, 1, 1)).total.lut

    base = lut(network())
    assert lut(network(weight_bits=(6, 3))) > base
    assert lut(network(activation_bits=(6, 3))) > base
    assert lut(network(density=0.2)) < base
    assert lut(network(sizes=(16, 8, 4))) > base


def layer(weights: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> Graph:
    value = Value("fc", (weights.shape[1],), IntType(20, True))
    node = Node(Dense(Plain(weights, 8), np.zeros(weights.shape[1], np.int64)), ("x",), value)
    x = Value("x", (weights.shape[0],), IntType(5, True))
    return Graph("g", (x,), (node,), ("fc",), {"x": Port(1.0), "fc": Port(1.0)})


def test_zero_weights_and_copies_cost_nothing() -> None:
    weights = np.random.default_rng(1).integers(-7, 8, (8, 6))
    base = estimate(layer(weights), plan(layer(weights), 1)).total
    more_rows = layer(np.vstack([weights, np.zeros((5, 6), np.int64)]))
    assert estimate(more_rows, plan(more_rows, 1)).total == base
    more_columns = layer(np.hstack([weights, np.zeros((8, 3), np.int64)]))
    assert estimate(more_columns, plan(more_columns, 1)).total == base
    copies = layer(np.hstack([weights, 2 * weights]))
    both = estimate(copies, plan(copies, 1)).total
    assert both == base  # shifted outputs are the same registers
    nothing = layer(np.zeros((8, 6), np.int64))
    assert estimate(nothing, plan(nothing, 2)).total == Cost(lut=2, ff=4)
    identity = layer(np.eye(8, dtype=np.int64))
    assert estimate(identity, plan(identity, 1)).total == Cost(lut=2, ff=8 * 5 + 2)


@pytest.mark.parametrize(
    ("target", "mhz"),
    [
        ("xc7", 250.0),
        ("xcup", 400.0),
        ("ecp5", 110.0),
        ("ice40", 70.0),
        ("gowin", 130.0),
    ],
)
def test_a_faster_clock_takes_more_stages(target: Target, mhz: float) -> None:
    graph = network()
    slow, fast = make_plan(graph, target, 20.0), make_plan(graph, target, mhz)
    assert slow.target == target and slow.clock_mhz == 20.0
    assert set(slow.engines.values()) == {Unrolled(1)}
    assert estimate(graph, fast).latency > estimate(graph, slow).latency
    assert estimate(graph, slow).clock_mhz >= 20
    assert estimate(graph, fast).clock_mhz >= mhz
    assert estimate(graph, fast).total.ff > estimate(graph, slow).total.ff
    # one stage fewer in any node would miss the clock
    for name, engine in fast.engines.items():
        assert isinstance(engine, Unrolled)
        if engine.stages > 1:
            engines = {**fast.engines, name: Unrolled(engine.stages - 1)}
            assert estimate(graph, replace(fast, engines=engines)).clock_mhz < mhz


def test_a_clock_out_of_reach_gives_the_nearest_plan() -> None:
    graph = network(form="threshold")
    wild = make_plan(graph, "ice40", 1900.0)
    reached = estimate(graph, wild).clock_mhz
    assert reached < 1900
    more = {name: Unrolled(engine.stages + 1) for name, engine in wild.engines.items()}
    assert estimate(graph, replace(wild, engines=more)).clock_mhz <= reached
    assert wild.engines["act0"] == Unrolled(1)  # its registers cannot cut it


def test_refuses_an_unknown_target_or_clock() -> None:
    with pytest.raises(GraphError, match="target 'max10' is not one of xc7"):
        make_plan(network(), "max10", 100.0)  # type: ignore[arg-type]
    for clock in (0.0, 1e9, float("nan"), -5.0):
        with pytest.raises(GraphError, match="is outside 1"):
            make_plan(network(), "xc7", clock)


def lookups() -> Graph:
    """Bit planes of 6-bit inputs, random values for them, and a tiled layer."""
    rng = np.random.default_rng(4)
    tile = np.where(rng.random(24 * 3) < 0.5, -1, 1)
    tiled = Dense(Tiled(tile, (24, 12)), np.zeros(12, np.int64))
    ops: list[tuple[Op, Value]] = [
        (BitPlanes((0, 2, 3, 4, 5)), Value("planes", (24,), IntType(5, False))),
        (Lookup(rng.integers(0, 16, (1, 32))), Value("values", (24,), IntType(4, False))),
        (tiled, Value("fc", (12,), IntType(10, True))),
    ]
    names = ["x", *(value.name for _, value in ops)]
    nodes = tuple(Node(op, (name,), value) for name, (op, value) in zip(names, ops, strict=False))
    x = Value("x", (24,), IntType(6, False))
    return Graph("g", (x,), nodes, ("fc",), {"x": Port(1.0), "fc": Port(1.0)})


@pytest.mark.parametrize("target", TARGETS)
def test_wiring_has_no_stage_and_no_cost(target: Target) -> None:
    graph = lookups()
    found = make_plan(graph, target, 50.0)
    found.check(graph)
    assert found.engines["planes"] == Unrolled(0)
    assert found.engines["values"] == Unrolled(1)
    made = estimate(graph, found)
    assert made.nodes["planes"] == Cost() and made.nodes["values"].lut > 24 * 4
    assert made.latency == sum(found.stages(node) for node in found.engines)


@pytest.mark.parametrize("target", ["xc7", "ice40"])
def test_lookups_and_tiles_against_yosys(
    target: Target, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    graph = lookups()
    chosen = plan(graph, 0, 1, 1, target=target)
    design = emit(graph, chosen, tmp_path / "rtl")
    cache = request.config.cache.mkdir("bitwright-synth")
    rows = compare(
        estimate(graph, chosen), measure(design.files, design.modules, target, cache=cache)
    )
    planes, values, tiled, _ = rows
    assert planes.estimated == planes.measured == Cost()
    assert values.errors["lut"] == pytest.approx(0, abs=0.15)
    assert values.estimated.ff == values.measured.ff == 24 * 4 + 2
    assert tiled.errors["lut"] == pytest.approx(0, abs=0.25)
    # twelve outputs, three different registers
    assert tiled.errors["ff"] == pytest.approx(0, abs=0.15)
    assert tiled.measured.ff < 4 * 10


def test_compare() -> None:
    estimated = Estimate("ecp5", {"a": Cost(110, 20), "b": Cost(5, 0, 3)}, 1, 1, 100.0)
    measured = Measurement("ecp5", "Yosys", {"b": Cost(0, 0, 6), "a": Cost(100, 20)}, frozenset())
    a, b, total = compare(estimated, measured)
    assert [row.name for row in (a, b, total)] == ["a", "b", "total"]
    assert a.errors == {"lut": 0.1, "ff": 0.0, "carry": 0.0, "dsp": 0.0, "bram": 0.0}
    assert b.errors["lut"] is None and b.errors["carry"] == -0.5
    assert total.errors["lut"] == 0.15 and total.measured == Cost(100, 20, 6)
    with pytest.raises(InputError, match="cannot be compared"):
        compare(estimated, replace(measured, target="xc7"))
    with pytest.raises(InputError, match="cannot be compared"):
        compare(estimated, replace(measured, nodes={"a": Cost()}))


# Networks that no number was fitted to. The bound is loose: it is here to notice when the emitter
# and the formulas part ways, the calibration says how good they are.
@pytest.mark.parametrize(
    ("target", "form", "stages"),
    [("xc7", "requantize", (1, 1, 1)), ("ecp5", "threshold", (2, 1, 1)),
     ("ice40", "requantize", (1, 2, 2))],
)  # fmt: skip
def test_against_yosys(
    target: Target,
    form: str,
    stages: tuple[int, ...],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    graph = network(form=form, seed=5)
    chosen = plan(graph, *stages, target=target)
    design = emit(graph, chosen, tmp_path / "rtl")
    cache = request.config.cache.mkdir("bitwright-synth")  # kept from run to run
    rows = compare(
        estimate(graph, chosen),
        measure(design.files, design.modules, target, cache=cache),
    )
    total = rows[-1]
    assert total.errors["lut"] == pytest.approx(0, abs=0.25)
    assert total.errors["ff"] == pytest.approx(0, abs=0.15)
    assert total.measured.dsp == total.measured.bram == 0
    for row, count in zip(rows[:-1], stages, strict=True):
        if count == 1:  # only registers of outputs and control: structure, not a fit
            assert row.estimated.ff == row.measured.ff, row.name
