"""The sweep: which points are measured, and in which order.

Each family is an endless sequence: number n is drawn from a generator seeded by family and n, and
taken if it is small enough, so that a longer sweep has the shorter one in it. The families are
dealt out in turn, so that a sweep that is stopped early has some of each.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count, islice, zip_longest
from typing import TypeVar

import numpy as np

from bitwright.cost_model.points import Kind, Point, Weights, u
from bitwright.models.graph import Conv2d, Dense, Folded, IntType, Unrolled, Window
from bitwright.models.graph.plan import Memory
from bitwright.models.graph.products import products

Draw = Callable[[np.random.Generator], Point | None]
T = TypeVar("T")


def points() -> tuple[Point, ...]:
    """Every point, in the order in which they are measured."""
    return tuple(dict.fromkeys((*_dealt(UNROLLED), *_dealt(FOLDED))))


def _dealt(families: Sequence[tuple[Draw, int]]) -> Iterator[Point]:
    turns = zip_longest(*(islice(_sequence(draw), many) for draw, many in families))
    return (point for turn in turns for point in turn if point is not None)


def _sequence(draw: Draw) -> Iterator[Point]:
    family = int.from_bytes(draw.__name__.encode())
    for n in count():
        point = draw(np.random.default_rng([n, *_words(family)]))
        if point is not None:
            yield point


def _words(number: int) -> list[int]:
    return [(number >> shift) & 0xFFFFFFFF for shift in range(0, number.bit_length(), 32)]


def _log(rng: np.random.Generator, low: float, high: float) -> int:
    """An integer whose logarithm is even between two limits."""
    return round(math.exp(rng.uniform(math.log(low), math.log(high))))


def _one(rng: np.random.Generator, choices: Sequence[T]) -> T:
    return choices[int(rng.integers(len(choices)))]


def _type(rng: np.random.Generator, low: int, high: int, signed: float = 0.25) -> IntType:
    return IntType(int(rng.integers(low, high + 1)), bool(rng.random() < signed))


def _divisor(rng: np.random.Generator, number: int, most: int = 16) -> int:
    return _one(rng, [d for d in range(1, min(number, most) + 1) if number % d == 0])


# ----- unrolled: a whole vector a cycle, constants wired in ---------------------------------------


def identity(rng: np.random.Generator) -> Point:
    """Registers alone: what is left when a formula is worth nothing."""
    return Point("identity", (_log(rng, 1, 64),), _type(rng, 1, 8), _stages(rng, 6))


def dense(rng: np.random.Generator) -> Point | None:
    """Plain weights of 2 to 8 bits."""
    weights: Weights = "even" if rng.random() < 0.2 else "bell"
    return _small(
        Point(
            "dense", (_log(rng, 4, 256),), _type(rng, 1, 8), _stages(rng, 6), _log(rng, 1, 64),
            bits=int(rng.integers(2, 9)), weights=weights,
            percent=int(_one(rng, (10, 15, 20, 30, 40, 50, 60, 80, 100))),
            biased=bool(rng.random() < 0.6),
        )
    )  # fmt: skip


def binary(rng: np.random.Generator) -> Point | None:
    """Weights of -1 and +1, some of them tiled."""
    inputs, outputs = _log(rng, 8, 256), _log(rng, 2, 64)
    copies, weights = 1, "bell"
    if rng.random() < 0.4:
        copies = _one(rng, [p for p in (2, 4, 8, 16) if inputs * outputs % p == 0] or [1])
        weights = "tiled"
    return _small(
        Point(
            "dense", (inputs,), _type(rng, 1, 4), _stages(rng, 4), outputs, bits=1,
            weights="tiled" if weights == "tiled" else "bell", copies=copies,
            biased=bool(rng.random() < 0.5),
        )
    )  # fmt: skip


def codebook(rng: np.random.Generator) -> Point | None:
    """Minifloats and learned codebooks."""
    bits = int(rng.integers(3, 6))
    learned = rng.random() < 0.5
    return _small(
        Point(
            "dense", (_log(rng, 8, 128),), _type(rng, 2, 8), _stages(rng, 4), _log(rng, 2, 48),
            bits=bits, weights="book" if learned else "float",
            entry_bits=bits + int(rng.integers(1, 4)) if learned else 0,
            biased=bool(rng.random() < 0.5),
        )
    )  # fmt: skip


def threshold(rng: np.random.Generator) -> Point | None:
    """Steps at any places, or a power of two apart."""
    kind, made = _type(rng, 3, 14, 0.8), u(int(rng.integers(1, 6)))
    channels, even = _log(rng, 2, 32), bool(rng.random() < 0.4)
    point = Point("threshold", (channels,), kind, _stages(rng, 3), made=made, even=even)
    fits = kind.width >= made.width and channels * made.max * kind.width <= 4000
    return point if fits else None


def fine_threshold(rng: np.random.Generator) -> Point | None:
    """Many steps: outputs of five and six bits."""
    kind, made = _type(rng, 8, 15, 0.8), u(int(rng.integers(5, 7)))
    channels, even = _log(rng, 2, 16), bool(rng.random() < 0.2)
    point = Point("threshold", (channels,), kind, _stages(rng, 2), made=made, even=even)
    return point if channels * made.max * kind.width <= 5000 else None


def wide(rng: np.random.Generator) -> Point | None:
    """A large layer of few bits, with thousands of registers under one enable."""
    return _small(
        Point(
            "dense", (_log(rng, 24, 96),), _type(rng, 2, 5), _stages(rng, 6), _log(rng, 16, 48),
            bits=int(rng.integers(2, 5)), percent=int(_one(rng, (20, 30, 40, 50, 60, 80))),
            biased=bool(rng.random() < 0.5),
        ),
        1500, 3500,
    )  # fmt: skip


def requantize(rng: np.random.Generator) -> Point | None:
    """A multiplication, a sum, rounding to even and saturation."""
    kind, made = _type(rng, 4, 18, 0.8), _type(rng, 2, 8)
    bits, channels = int(_one(rng, (0, 0, 4, 6, 8, 10, 12))), _log(rng, 2, 24)
    point = Point(
        "requantize", (channels,), kind, _stages(rng, 4), made=made, bits=bits,
        biased=bool(rng.random() < 0.7),
    )  # fmt: skip
    return point if channels * kind.width * (bits + 2) <= 2500 else None


def lookup(rng: np.random.Generator) -> Point | None:
    """Random tables."""
    kind, made, channels = _type(rng, 2, 8), _type(rng, 1, 8), _log(rng, 1, 16)
    point = Point(
        "lookup", (channels,), kind, _stages(rng, 3), made=made, even=bool(rng.random() < 0.5)
    )
    return point if channels * made.width << max(kind.width - 4, 0) <= 800 else None


def argmax(rng: np.random.Generator) -> Point:
    """The place of the largest."""
    return Point("argmax", (_log(rng, 2, 24),), _type(rng, 2, 12, 0.7), Unrolled(1))


def _stages(rng: np.random.Generator, most: int) -> Unrolled:
    return Unrolled(int(rng.integers(1, most + 1)))


def _small(point: Point, least: int = 20, most: int = 1200) -> Point | None:
    """The point if it has about so many look-up tables."""
    inputs = point.shape[0]
    digits = max((point.entry_bits or point.bits) / 3.2, 1.0)
    width = point.kind.width + 1 + math.log2(inputs) / 2
    guess = inputs * point.outputs * point.percent / 100 * digits * width / 3 / point.copies
    return point if least <= guess <= most else None


# ----- folded: hardware used again and again, between streams -------------------------------------


def folded_dense(rng: np.random.Generator) -> Point | None:
    """A matrix product, `pe` outputs of `simd` inputs at a time."""
    inputs, outputs = 4 * _log(rng, 2, 64), 2 * _log(rng, 1, 32)
    return _lean(rng, "dense", (inputs,), outputs, Window((1, 1)))


def folded_conv(rng: np.random.Generator) -> Point | None:
    """A convolution behind its window."""
    size, channels, outputs = int(rng.integers(6, 25)), _log(rng, 1, 16), 2 * _log(rng, 1, 16)
    return _lean(rng, "conv", (size, size, channels), outputs, _window(rng))


def depthwise(rng: np.random.Generator) -> Point | None:
    """A filter for each channel."""
    size, channels = int(rng.integers(6, 17)), 2 * _log(rng, 1, 8)
    return _lean(rng, "depthwise", (size, size, channels), channels, _window(rng))


def pool(rng: np.random.Generator) -> Point:
    """The largest of a window, or the sum."""
    size, channels = 2 * int(rng.integers(2, 13)), _log(rng, 1, 16)
    kernel = int(rng.integers(2, 4))
    window = Window((kernel, kernel), (int(_one(rng, (1, 2, 2))),) * 2)
    kind: Kind = "maxpool" if rng.random() < 0.5 else "sumpool"
    engine = Folded(_divisor(rng, channels))
    return Point(kind, (size, size, channels), _type(rng, 1, 8), engine, window=window)


def folded_threshold(rng: np.random.Generator) -> Point:
    """Steps read from a memory, or wired in where a beat has all channels."""
    channels, kind = 2 * _log(rng, 1, 32), _type(rng, 6, 14, 0.8)
    made = u(int(rng.integers(1, 5)))
    return Point("threshold", (channels,), kind, Folded(_divisor(rng, channels, 8)), made=made)


def folded_requantize(rng: np.random.Generator) -> Point:
    """A product with a constant read from a memory."""
    channels, kind, made = 2 * _log(rng, 1, 32), _type(rng, 6, 16, 0.8), _type(rng, 2, 8)
    return Point(
        "requantize", (channels,), kind, Folded(_divisor(rng, channels, 8)), made=made,
        bits=int(_one(rng, (0, 4, 6, 8, 10))), biased=True,
    )  # fmt: skip


def folded_lookup(rng: np.random.Generator) -> Point:
    """Tables of channels one after the other."""
    channels, kind, made = 2 * _log(rng, 1, 8), _type(rng, 2, 5), _type(rng, 1, 6)
    return Point("lookup", (channels,), kind, Folded(_divisor(rng, channels, 4)), made=made)


def add(rng: np.random.Generator) -> Point:
    """Two branches that join: a deep queue beside a convolution."""
    size, channels = int(rng.integers(4, 11)), 2 * _log(rng, 1, 4)
    window = Window((3, 3), padding=(1, 1, 1, 1))
    folded = rng.random() < 0.5
    engine = Folded(_divisor(rng, channels, 8)) if folded else _stages(rng, 3)
    kind = _type(rng, 2, 6)
    return Point("add", (size, size, channels), kind, engine, bits=3, percent=60, window=window)


def relay(rng: np.random.Generator) -> Point:
    """Queues and converters between beats of other widths."""
    channels, lanes = int(_one(rng, (12, 24, 48, 64))), 1
    engine = Folded(_divisor(rng, channels, 32))
    while lanes == 1:
        lanes = _divisor(rng, channels, 32)
    kind = u(int(rng.integers(1, 5)))
    return Point("relay", (channels,), kind, engine, even=True, lanes=lanes)


def unrolled_conv(rng: np.random.Generator) -> Point | None:
    """A pixel a cycle: lines of the image, then an unrolled product of all that a window sees."""
    size, channels, outputs = int(rng.integers(5, 13)), _log(rng, 1, 4), _log(rng, 1, 8)
    kind, bits = _type(rng, 1, 6), int(rng.integers(2, 6))
    window = Window((3, 3), padding=(1, 1, 1, 1) if rng.random() < 0.5 else (0, 0, 0, 0))
    point = Point(
        "conv", (size, size, channels), kind, _stages(rng, 4), outputs, bits=bits,
        percent=int(_one(rng, (30, 50, 80))), biased=True, window=window,
    )  # fmt: skip
    return point if 9 * channels * outputs * bits * (kind.width + 3) <= 8000 else None


def loadable(rng: np.random.Generator) -> Point | None:
    """A product whose weights can be changed while it runs."""
    inputs, outputs = 4 * _log(rng, 2, 16), 2 * _log(rng, 1, 8)
    kind, bits = _type(rng, 1, 8), int(rng.integers(1, 9))
    engine = Folded(_divisor(rng, outputs, 4), _divisor(rng, inputs, 4), loadable=True)
    return Point("dense", (inputs,), kind, engine, outputs, bits=bits, biased=True)


def _window(rng: np.random.Generator) -> Window:
    size = int(_one(rng, (1, 2, 3, 3, 3, 5)))
    padding = (size - 1) // 2 if rng.random() < 0.5 else 0
    stride = 2 if size > 1 and rng.random() < 0.25 else 1
    return Window((size, size), (stride, stride), (padding,) * 4)


def _lean(
    rng: np.random.Generator, op: Kind, shape: tuple[int, ...], outputs: int, window: Window
) -> Point | None:
    """A folded product if its multipliers are not too many."""
    kind, bits = _type(rng, 1, 8), int(_one(rng, (1, 1, 2, 3, 4, 5, 6, 8)))
    simd = 1 if op == "depthwise" else _divisor(rng, shape[-1], 32 if bits == 1 else 8)
    engine = Folded(_divisor(rng, outputs, 16), simd)
    lanes = engine.pe * engine.simd
    weights: Weights = "bell"
    copies = 1
    if op == "dense" and bits == 1 and rng.random() < 0.3 and outputs % 4 == 0:
        weights, copies = "tiled", 4
        engine = Folded(_divisor(rng, outputs // 4, 16), simd)
    elif op == "dense" and bits in (3, 4) and rng.random() < 0.3:
        weights = "float"
    point = Point(
        op, shape, kind, engine, outputs, bits=bits, weights=weights, copies=copies,
        percent=100 if bits == 1 else int(_one(rng, (30, 60, 100))), biased=True, window=window,
    )  # fmt: skip
    return _arranged(rng, point) if lanes * bits * kind.width <= 600 else None


def _arranged(rng: np.random.Generator, point: Point) -> Point:
    """The product with some stages in its sum, and its weights here or there."""
    engine = point.engine
    assert isinstance(engine, Folded)
    op = point.graph().nodes[-1].op
    assert isinstance(op, Dense | Conv2d)
    most = products(op, point.kind, engine.simd, engine.loadable).most_stages
    stages = int(rng.integers(1, most + 1)) if rng.random() < 0.6 else 1
    memory: Memory = _one(rng, ("auto", "auto", "auto", "lut", "block"))
    return replace(point, engine=replace(engine, stages=stages, memory=memory))


UNROLLED: tuple[tuple[Draw, int], ...] = (
    (dense, 84), (identity, 8), (binary, 18), (codebook, 14), (threshold, 26), (requantize, 24),
    (lookup, 14), (argmax, 8), (fine_threshold, 12), (wide, 4),
)  # fmt: skip
FOLDED: tuple[tuple[Draw, int], ...] = (
    (folded_dense, 22), (folded_conv, 26), (depthwise, 8), (pool, 12), (folded_threshold, 10),
    (folded_requantize, 10), (folded_lookup, 6), (add, 8), (relay, 12), (unrolled_conv, 10),
    (loadable, 6),
)  # fmt: skip
"""How many of each family. Enlarge a number to extend the sweep."""
