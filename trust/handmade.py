"""Small networks for what random ones seldom have: ends of types, deep memories, odd widths.

They are in the battery of the emitters, beside networks of the fuzzer.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

import numpy as np

from bitwright.models.graph import (
    Add,
    ArgMax,
    BitPlanes,
    Builder,
    Concat,
    Conv2d,
    Dense,
    Engine,
    Folded,
    IntType,
    Lookup,
    MaxPool,
    Op,
    Plain,
    Plan,
    Requantize,
    Reshape,
    Rounding,
    SumPool,
    Threshold,
    Unrolled,
    Window,
    widen_for_loading,
)
from bitwright.rtl_tb import Form
from trust.plans import Network, with_other_weights

S1, S3, S4, S6, S10 = (IntType(width, True) for width in (1, 3, 4, 6, 10))
U1, U2, U3, U4, U8 = (IntType(width, False) for width in (1, 2, 3, 4, 8))


def handmade() -> list[Network]:
    """All of them, each under a name of its own."""
    whole = [
        network
        for name, kind, op, made in (*_requantisers(), *_others())
        for network in _in_both_forms(name, kind, op, made)
    ]
    wired = [_wired(form) for form in get_args(Form)]
    return [*whole, *wired, *_in_beats(), *_narrower_maxima(), *_joins(), *_far(), *_loaded()]


def _one(
    name: str, shape: tuple[int, ...], kind: IntType, op: Op, made: IntType | None, engine: Engine
) -> Network:
    """A network of one operation. made: the type of its output, if it is to be chosen."""
    b = Builder(name)
    graph = b.graph(b.add("y", op, b.input("x", shape, kind), kind=made))
    return Network(graph, Plan({"y": engine}))


def _in_both_forms(name: str, kind: IntType, op: Op, made: IntType | None) -> Iterator[Network]:
    """An operation on five channels, unrolled."""
    network = _one(name, (5,), kind, op, made, Unrolled(1))
    yield network
    yield replace(network, graph=replace(network.graph, name=f"{name}_plain"), form="plain")


Whole = tuple[str, IntType, Op, IntType | None]


def _requantisers() -> Iterator[Whole]:
    """Products and constants far beyond the output, or far below its last bit."""
    given: list[tuple[Rounding, int, IntType, bool, list[int], list[int]]] = [
        ("floor", 0, U2, False, [100, 1, -3, 0, 1], [5, 1000, -2000, 9, -31]),
        ("half_up", 0, S4, True, [1, -1, 2, 0, 0], [0, 0, 1, -8, 500]),
        ("half_even", 9, U8, False, [1, 2, -1, 90, -700], [0, 256, 255, -4000, 1 << 17]),
        ("half_up", 9, U1, False, [1, 2, -1, 90, -700], [0, 256, 255, -4000, 1 << 17]),
        ("floor", 33, S1, False, [1 << 30, -(1 << 29), 3, -1, 0], [0, 1 << 34, -1, 7, -1]),
        ("half_even", 33, S1, True, [1 << 30, -(1 << 29), 3, -1, 0], [0, 1 << 34, -1, 7, -1]),
    ]
    for i, (rounding, shift, made, narrow, factors, bias) in enumerate(given):
        op = Requantize(np.array(factors), np.array(bias), shift, rounding, narrow)
        yield f"requantise{i}", S6, op, made


def _others() -> Iterator[Whole]:
    """Constants at the ends of their types, and of one bit."""
    dice = np.random.default_rng(1)
    table = dice.integers(-4, 4, (5, 8))
    table[:, 2], table[:, 6] = -4, 3
    yield "lookup_each", S3, Lookup(table, -4), None
    yield "lookup_one", U3, Lookup(table[:1] + 4), None
    yield "lookup_bits", S1, Lookup(np.array([[-1, 0]]), -1), None
    up = np.array([1, -1, 1, -1, 1])
    one = np.array([[-32], [-31], [0], [31], [40]])
    yield "threshold_signs", S6, Threshold(one, np.array([-1, 0, -1, 0, -1]), up), S1
    yield "threshold_bits", S6, Threshold(one, np.array([0, 1, 0, 1, 0]), up), U1
    many = np.sort(dice.integers(-40, 40, (5, 7)), axis=1)
    yield "threshold_many", S6, Threshold(many, np.array([-4, 3, -4, 3, -4]), up), S3
    ternary = dice.integers(-1, 2, (5, 3))
    yield "dense_nothing", S3, Dense(Plain(0 * ternary, 2), np.array([0, -7, 9])), None
    yield "dense_ternary", S3, Dense(Plain(ternary, 2), np.array([0, 0, -1])), None
    yield "dense_wide", U1, Dense(Plain(ternary * 32767, 16), np.array([1 << 40, 0, -1])), None
    yield "dense_one", S1, Dense(Plain(dice.choice([-1, 1], (5, 1)), 1), np.array([0])), None
    yield "dense_many", S3, Dense(Plain(dice.integers(-4, 4, (5, 30)), 3), np.arange(30)), None
    yield "argmax", S3, ArgMax(), None


def _in_beats() -> Iterator[Network]:
    """Constants from memories, of every depth that matters, and windows."""
    dice = np.random.default_rng(1)
    deep = dice.integers(-128, 128, (8, 1024))
    # 5,120 words, more than a bank; and 4,096 for each of two lanes, all of one.
    yield _one("deep_banks", (5,), S10, Lookup(deep[:5], -512), None, Folded(1))
    yield _one("deep_full", (8,), S10, Lookup(deep, -512), None, Folded(2))
    ups = np.where(np.arange(6) % 2, 1, -1)
    levels = np.sort(dice.integers(-40, 40, (6, 3)), axis=1)
    for lanes in (1, 3):
        steps = Threshold(levels, np.where(ups < 0, 3, -4), ups)
        yield _one(f"steps{lanes}", (6,), S6, steps, S3, Folded(lanes))
        for rounding, shift in (("floor", 0), ("half_up", 1), ("half_even", 12)):
            factors, bias = dice.integers(-999, 999, (2, 6))
            op = Requantize(factors, bias << shift, shift, rounding)  # type: ignore[arg-type]
            yield _one(f"scale{lanes}_{shift}", (6,), S6, op, S6, Folded(lanes))
        op = Requantize(np.full(6, 8), np.array([0, 1, 7, 4, 0, 6]), 0, "floor")  # bits appended
        yield _one(f"appended{lanes}", (6,), S6, op, S10, Folded(lanes))
    wide = Window((2, 3), (1, 2), (1, 0, 0, 1))
    for pool in (MaxPool, SumPool):
        for lanes in (1, 2):
            name = f"{pool.__name__.lower()}{lanes}"
            yield _one(name, (4, 5, 2), S4, pool(wide), None, Folded(lanes))
    for width, kind in ((1, U1), (1, S1), (1, U3), (2, S3), (5, U4)):
        weights = dice.integers(-(1 << (width - 1)), 1 << (width - 1), (12, 4))
        weights = np.where(weights < 0, -1, 1) if width == 1 else weights
        name = f"conv{width}_{kind}"
        conv = Conv2d(Plain(weights, width), np.array([0, 5, -7, 0]), wide)
        yield _one(name, (4, 5, 2), kind, conv, None, Folded(2, 2, memory="lut"))
        yield _one(f"{name}_lines", (4, 5, 2), kind, conv, None, Unrolled(2))
        each = Conv2d(Plain(weights[:6], width), np.zeros(4, int), wide, 4)
        for lanes in (1, 2):
            engine = Folded(lanes, memory="block")
            yield _one(f"{name}_deep{lanes}", (4, 5, 4), kind, each, None, engine)


def _narrower_maxima() -> Iterator[Network]:
    """The largest of a window where its type has room for more."""
    for channels, lanes in ((2, 1), (2, 2), (24, 24)):
        b = Builder(f"narrower{lanes}")
        x = b.input("x", (3, 4, channels), S3)
        y = b.add("wide", Reshape(), x, kind=S6, shape=(3, 4, channels))
        y = b.add("pool", MaxPool(Window((2, 2))), y)
        yield Network(b.graph(y), Plan({"wide": Unrolled(0), "pool": Folded(lanes)}))


def _joins() -> Iterator[Network]:
    """Two branches of other types that are added, or put beside each other."""
    dice = np.random.default_rng(1)
    for i, (kind, factors) in enumerate(
        [(S3, (1, -1)), (U3, (-300, 7)), (S1, (2, 1)), (U1, (1, 1))]
    ):
        for channels, lanes in ((4, 1), (4, 4), (24, 24)):
            b = Builder(f"joined{i}_{lanes}")
            x = b.input("x", (2, channels), kind)
            table = dice.integers(-2, 2, (1, 1 << kind.width))
            y = b.add("other", Lookup(table, kind.min), x)
            y = b.add("sum", Add(factors), x, y)
            y = b.add("beside", Concat(), y, x)
            engines: dict[str, Engine] = {name: Folded(lanes) for name in ("other", "sum")}
            yield Network(b.graph(y), Plan({**engines, "beside": Unrolled(0)}))


def _far() -> Iterator[Network]:
    """Sums that are small though their constants and factors are not."""
    b = Builder("far_constant")
    y = b.add("high", Lookup(np.arange(108, 116)[None]), b.input("x", (3,), U3))
    y = b.add("low", Dense(Plain(np.diag([1, 1, -1]), 2), np.array([-108, -109, 117])), y)
    yield Network(b.graph(y), Plan(dict.fromkeys(("high", "low"), Unrolled(1))))
    b = Builder("far_factor")
    x = b.input("x", (3,), U1)
    ones, twos = (b.add(f"all{n}", Lookup(np.array([[n, n]])), x) for n in (1, 2))
    y = b.add("low", Add((-199, 99)), ones, twos)
    yield Network(b.graph(y), Plan(dict.fromkeys(("all1", "all2", "low"), Unrolled(1))))


def _wired(form: Form) -> Network:
    """Bits that are picked, with one that cannot be set, and a type with room to spare."""
    b = Builder(f"wired_{form}")
    y = b.add("plane", BitPlanes((0, 3, 6)), b.input("x", (4,), U8))
    y = b.add("same", Reshape(), y, shape=(2, 2))
    y = b.add("wide", Reshape(), y, kind=S6, shape=(4,))
    y = b.add("best", ArgMax(), y)
    wires: dict[str, Engine] = dict.fromkeys(("plane", "same", "wide"), Unrolled(0))
    return Network(b.graph(y), Plan({**wires, "best": Unrolled(1)}), form)


def _loaded() -> Iterator[Network]:
    """Weights that are loaded: by one lane and one term at a time, or several; in three copies."""
    dice = np.random.default_rng(1)
    b = Builder("loaded_vector")
    x = b.input("x", (3,), S3)
    y = b.add("first", Dense(Plain(dice.integers(-4, 4, (3, 4)), 3), np.arange(4)), x)
    y = b.add("less", Requantize(np.ones(4, int), np.zeros(4, int), 2, "floor"), y, kind=S3)
    y = b.add("second", Dense(Plain(dice.choice([-1, 1], (4, 5)), 1), np.arange(5)), y)
    y = b.add("flat", Reshape(), y, shape=(5, 1))
    engines: dict[str, Engine] = {
        "first": Folded(1, 1, loadable=True),
        "less": Folded(1),
        "second": Folded(1, 4, stages=2, loadable=True),
        "flat": Unrolled(0),
    }
    graph = widen_for_loading(b.graph(y), {"first", "second"})
    plan = Plan(engines, redundancy=3)
    yield Network(graph, plan, loaded=with_other_weights(dice, graph, plan))
    b = Builder("loaded_image")
    x = b.input("x", (3, 4, 2), S3)
    window = Window((2, 2))
    y = b.add("all", Conv2d(Plain(dice.integers(-4, 4, (8, 4)), 3), np.arange(4), window), x)
    y = b.add("deep", Conv2d(Plain(dice.integers(-2, 2, (4, 4)), 2), np.arange(4), window, 4), y)
    graph = widen_for_loading(b.graph(y), {"all", "deep"})
    plan = Plan({"all": Folded(2, 2, loadable=True), "deep": Folded(2, loadable=True)})
    yield Network(graph, plan, loaded=with_other_weights(dice, graph, plan))
