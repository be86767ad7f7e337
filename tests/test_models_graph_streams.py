"""Folded plans: what fits, which blocks and FIFOs they make, and their cycles."""

import json
from pathlib import Path

import numpy as np
import pytest

from bitwright.models.errors import GraphError, StorageError, UnsupportedError
from bitwright.models.graph import (
    Add,
    Builder,
    Conv2d,
    Dense,
    Engine,
    Folded,
    Graph,
    IntType,
    MaxPool,
    Plain,
    Plan,
    Reshape,
    SumPool,
    Threshold,
    Tiled,
    Unrolled,
    Value,
    Window,
    cycles,
    load_plan,
    plan_to_json,
    save_plan,
)
from bitwright.models.graph.cycles import sized, timing
from bitwright.models.graph.heads import Narrow, Sweep, Widen
from bitwright.models.graph.streams import streams

U4 = IntType(4, signed=False)


def conv(b: Builder, name: str, x: Value, outputs: int, kernel: int = 3, pad: int = 0) -> Value:
    dice = np.random.default_rng(len(name))
    weights = dice.integers(-2, 2, (x.channels * kernel * kernel, outputs))
    window = Window((kernel, kernel), padding=(pad,) * 4)
    return b.add(name, Conv2d(Plain(weights, 2), np.zeros(outputs, int), window), x)


def clip(b: Builder, name: str, x: Value) -> Value:
    levels = np.arange(15)[None] + np.arange(x.channels)[:, None]
    op = Threshold(levels, np.zeros(x.channels, int), np.ones(x.channels, int))
    return b.add(name, op, x, kind=U4)


def small() -> Graph:
    b = Builder("tiny")
    x = b.input("x", (6, 6, 4), U4)
    y = clip(b, "relu", conv(b, "conv", x, 8))
    pooled = b.add("pool", MaxPool(Window((2, 2), (2, 2))), y)
    flat = b.add("flat", Reshape(), pooled, shape=(32,))
    return b.graph(b.add("fc", Dense(Plain(np.ones((32, 6), int), 2), np.zeros(6, int)), flat))


SMALL: dict[str, Engine] = {
    "conv": Folded(2, 4),
    "relu": Folded(2),
    "pool": Folded(4),
    "flat": Unrolled(0),
    "fc": Folded(1, 2),
}


def residual() -> Graph:
    b = Builder("residual")
    x = b.input("x", (8, 8, 4), U4)
    inner = clip(b, "relu", conv(b, "conv1", x, 4, pad=1))
    return b.graph(b.add("sum", Add((1, 3)), conv(b, "conv2", inner, 4, pad=1), x))


def test_the_slowest_block_sets_the_interval() -> None:
    graph = small()
    made = streams(graph, Plan(SMALL))
    loads = {b.name: b.head.cycles for b in made.blocks if isinstance(b.head, Sweep)}
    # positions x taps x (channels / simd) x (outputs / pe)
    assert loads == {"conv": 16 * 9 * 1 * 4, "pool": 4 * 4 * 2, "fc": 16 * 6}
    found = cycles(graph, Plan(SMALL))
    # Between two images the first rows of the next have to come: 12 words behind the one before.
    assert found.interval == loads["conv"] + 12 and found.latency > loads["conv"]
    faster = cycles(graph, Plan({**SMALL, "conv": Folded(8, 4)}))
    assert faster.interval == 16 * 9 + 12 and faster.latency < found.latency


def test_beats_change_between_blocks() -> None:
    made = streams(small(), Plan(SMALL))
    heads = {b.name: b.head for b in made.blocks if isinstance(b.head, Widen | Narrow)}
    assert heads == {"relu__pool_4": Widen(2), "flat__fc_2": Narrow(2)}
    assert made.input_lanes == 4 and made.fifos["m_axis"].lanes == 1
    by_name = {b.name: [s.node.name for s in b.steps] for b in made.blocks}
    assert by_name["conv"] == ["conv", "relu"] and by_name["pool"] == ["pool", "flat"]


def test_a_fork_holds_back_what_the_join_waits_for() -> None:
    graph = residual()
    plan = Plan({"conv1": Folded(2, 4), "relu": Folded(2), "conv2": Folded(2, 2), "sum": Folded(2)})
    with pytest.raises(GraphError, match=r"comes to a halt: .*\bsum\b"):
        timing(graph, streams(graph, plan))
    made = sized(graph, plan)
    deep = made.fifos["x__sum__1"].depth
    assert deep > 30 and made.fifos["conv2__sum__0"].depth < 8
    assert timing(graph, made).cycles.interval == 64 * 9 * 2 * 2


def test_tiled_weights_are_computed_once() -> None:
    dice = np.random.default_rng(0)
    plan = Plan({"fc": Folded(2, 4)})
    found = []
    for weights in (
        Plain(dice.choice([-1, 1], (32, 16)), 1),
        Tiled(dice.choice([-1, 1], 128), (32, 16)),
    ):
        b = Builder("net")
        y = b.add("fc", Dense(weights, np.zeros(16, int)), b.input("x", (32,), U4))
        found.append(cycles(b.graph(y), plan).interval)
    assert found == [8 * 8, 8 * 2]  # a quarter of the passes


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        ({"conv": Folded(3, 4)}, "node conv .* pe 3, which does not divide its 8"),
        ({"conv": Folded(2, 3)}, "simd 3, which does not divide its 4"),
        ({"relu": Folded(2, 2)}, "node relu .* simd 2"),
        ({"flat": Folded(1)}, "node flat .* cannot be folded"),
        ({"flat": Unrolled(1)}, "wiring has none"),
    ],
)
def test_folds_that_do_not_divide_are_refused(engine: dict[str, Engine], says: str) -> None:
    with pytest.raises(GraphError, match=says):
        streams(small(), Plan({**SMALL, **engine}))


def test_plans_are_files(tmp_path: Path) -> None:
    plan = Plan(SMALL, "ecp5", 120.0)
    save_plan(plan, tmp_path / "deep" / "plan.json")
    again = load_plan(tmp_path / "deep" / "plan.json")
    assert (again.engines, again.target, again.clock_mhz) == (SMALL, "ecp5", 120.0)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("{", "cannot be read"),
        ("[]", "not a plan"),
        ('{"target": "xc7", "clock_mhz": 1e9, "engines": {}}', "outside 1..2000"),
        (
            '{"target": "xc7", "clock_mhz": 9, "engines": {"a": {"pe": 2}}}',
            "node 'a' has the engine",
        ),
        ('{"target": "xc7", "clock_mhz": 9, "engines": {"a": {"stages": "2"}}}', "whole numbers"),
        (
            '{"target": "xc7", "clock_mhz": 9, "engines": {"a": {"pe": 0, "simd": 1}}}',
            "both are >= 1",
        ),
        ('{"target": "xc7", "clock_mhz": 9, "engines": {}, "more": 1}', "no 'more'"),
    ],
)
def test_files_that_are_no_plans(tmp_path: Path, wrong: str, says: str) -> None:
    (tmp_path / "plan.json").write_text(wrong)
    with pytest.raises(StorageError, match=says):
        load_plan(tmp_path / "plan.json")
    with pytest.raises(StorageError):
        load_plan(tmp_path / "missing.json")


def test_the_file_says_what_people_say() -> None:
    tree = plan_to_json(Plan({"a": Folded(4, 2), "b": Unrolled(3)}))
    assert json.loads(json.dumps(tree))["engines"] == {
        "a": {"pe": 4, "simd": 2},
        "b": {"stages": 3},
    }


def test_an_unrolled_convolution_takes_a_pixel_a_cycle() -> None:
    found = cycles(
        small(),
        Plan(
            {
                **SMALL,
                "conv": Unrolled(1),
                "relu": Unrolled(1),
                "pool": Folded(8),
                "fc": Folded(6, 4),
            }
        ),
    )
    assert found.interval == 36
    padded = Plan({n.name: Unrolled(1) for n in residual().nodes})
    assert cycles(residual(), padded).interval == 64 + 9  # a row and a pixel below the image


def test_windows_that_line_buffers_cannot_do_are_refused_by_name() -> None:
    b = Builder("tiny")
    y = conv(b, "conv", b.input("x", (1, 1, 4), U4), 8, pad=1)
    with pytest.raises(UnsupportedError, match=r"node conv \(conv2d\) is planned unrolled"):
        streams(b.graph(y), Plan({"conv": Unrolled(1)}))


def test_sums_over_whole_images() -> None:
    b = Builder("net")
    x = b.input("x", (4, 4, 6), U4)
    y = b.add("sum", SumPool(Window((4, 4))), x)
    assert cycles(b.graph(y), Plan({"sum": Folded(3)})).interval == 16 * 2
