"""Random operations with random constants: uniform, or all at one end, or a few that matter."""

from collections.abc import Callable, Sequence

import numpy as np

from bitwright.models.graph import (
    Add,
    ArgMax,
    BitPlanes,
    Builder,
    Codebook,
    Codec,
    Concat,
    Conv2d,
    Dense,
    IntArray,
    IntType,
    Lookup,
    MaxPool,
    Op,
    Plain,
    Requantize,
    Reshape,
    SumPool,
    Threshold,
    Tiled,
    Value,
    Window,
)
from bitwright.models.graph.ops import ROUNDINGS

Dice = np.random.Generator

_MOST_PRODUCTS = 3_000  # of a layer

Made = tuple[Op, Sequence[Value], IntType | None, tuple[int, ...] | None]
"""An operation, what it reads, and the type and shape of its output where they are to be chosen."""


def ways(
    dice: Dice, builder: Builder, x: Value, values: list[Value]
) -> list[tuple[float, Callable[[], Made | None]]]:
    """What can be made of x, and of others as well: how likely each is, and what makes it."""
    image = len(x.shape) == 3
    return [
        (3.0, lambda: _dense(dice, x)),
        (4.0 if image else 0.0, lambda: _conv(dice, x)),
        (2.0, lambda: _threshold(dice, builder, x)),
        (2.0, lambda: _requantize(dice, builder, x)),
        (1.5 if x.type.width <= 8 else 0.0, lambda: _lookup(dice, x)),
        (0.0 if x.type.signed else 1.5, lambda: _bit_planes(dice, x)),
        (1.5 if image else 0.0, lambda: (MaxPool(_window(dice, x)), [x], None, None)),
        (1.5 if image else 0.0, lambda: (SumPool(_window(dice, x)), [x], None, None)),
        (2.0, lambda: _add(dice, x, values)),
        (1.0, lambda: _concat(dice, x, values)),
        (1.0 if len(x.shape) > 1 else 0.3, lambda: _reshape(dice, x)),
        (0.3, lambda: (ArgMax(), [x], None, None)),
    ]


def int_type(dice: Dice) -> IntType:
    """A type of few bits, or of 12 or 16."""
    width = int(dice.choice([1, 2, 3, 4, 5, 6, 7, 8, 12, 16], p=[0.1] * 10))
    return IntType(width, bool(dice.random() < 0.5))


def integers(dice: Dice, low: int, high: int, shape: int | tuple[int, ...]) -> IntArray:
    """Integers from low to high: uniform, at the ends, small, or all alike."""
    kind = dice.random()
    if kind < 0.5:
        return dice.integers(low, high, shape, endpoint=True)
    near = [n for n in (low, low + 1, high, high - 1, 0, 1, -1) if low <= n <= high]
    if kind < 0.75:
        return dice.choice(np.array(near, np.int64), shape)
    if kind < 0.9:
        return np.full(shape, dice.choice(np.array(near, np.int64)), np.int64)
    sparse = dice.integers(low, high, shape, endpoint=True)
    return np.where(dice.random(shape) < 0.3, sparse, min(max(0, low), high))


def _codec(dice: Dice, inputs: int, outputs: int) -> Codec:
    kind = dice.random()
    if kind < 0.15:
        divisors = [n for n in range(1, inputs * outputs + 1) if inputs * outputs % n == 0]
        length = int(dice.choice(divisors))
        if dice.random() < 0.5 and outputs > 1:  # whole outputs, whose sums are shared
            length = inputs * int(dice.choice([n for n in range(1, outputs) if outputs % n == 0]))
        return Tiled(dice.choice(np.array([-1, 1]), length), (inputs, outputs))
    width = int(dice.integers(1, 17))
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    if kind < 0.3:
        groups = int(dice.choice([n for n in range(1, outputs + 1) if outputs % n == 0]))
        entries = int(dice.integers(1, 17))
        indices = dice.integers(0, entries, (inputs, outputs))
        return Codebook(indices, integers(dice, low, high, (groups, entries)))
    if width == 1:
        return Plain(dice.choice(np.array([-1, 1]), (inputs, outputs)), 1)
    return Plain(integers(dice, low, high, (inputs, outputs)), width)


def _bias(dice: Dice, outputs: int) -> IntArray:
    most = 1 << int(dice.integers(0, 18))
    return integers(dice, -most, most, outputs)


def _dense(dice: Dice, x: Value) -> Made:
    outputs = int(dice.integers(1, 11))
    op = Dense(_codec(dice, x.channels, outputs), _bias(dice, outputs))
    return op, [x], None, None


def _window(dice: Dice, x: Value) -> Window:
    kernel = int(dice.integers(1, 5)), int(dice.integers(1, 5))
    stride = int(dice.integers(1, 4)), int(dice.integers(1, 4))
    padding = (0, 0, 0, 0)
    if dice.random() < 0.6:
        top, left = (int(dice.integers(0, k)) for k in kernel)
        bottom, right = (int(dice.integers(0, k)) for k in kernel)
        padding = top, left, bottom, right
    return Window(kernel, stride, padding)


def _conv(dice: Dice, x: Value) -> Made | None:
    window = _window(dice, x)
    divisors = [n for n in range(1, x.channels + 1) if x.channels % n == 0]
    groups = 1 if dice.random() < 0.6 else int(dice.choice(divisors))
    outputs = groups * int(dice.integers(1, max(2, 9 // groups + 1)))
    if groups == x.channels and dice.random() < 0.6:
        outputs = groups  # depthwise
    taps = x.channels // groups * window.taps
    rows, columns = window.output(x.shape[0], x.shape[1])
    if rows * columns * taps * outputs > _MOST_PRODUCTS:
        return None
    return (
        Conv2d(_codec(dice, taps, outputs), _bias(dice, outputs), window, groups),
        [x],
        None,
        None,
    )


def _threshold(dice: Dice, builder: Builder, x: Value) -> Made:
    levels = int(dice.choice([1, 1, 2, 3, 3, 7, 10, 15, 31]))
    low, high = builder.interval(x).bounds
    margin = (high - low) // 4 + 1
    if dice.random() < 0.1:
        margin = 1 << 45  # levels that nothing reaches
    thresholds = np.stack(
        [integers(dice, low - margin, high + margin, levels) for _ in range(x.channels)]
    )
    if dice.random() < 0.3:
        thresholds[:] = thresholds[:1]  # the same for all channels
    low, high = dice.choice([(0, 0), (-levels, levels), (-32768, 32767)])
    base = integers(dice, low, high, x.channels)
    step = dice.choice(np.array([-1, 1]), x.channels)
    if dice.random() < 0.5:
        base, step = np.full_like(base, base[0]), np.full_like(step, step[0])
    return Threshold(np.sort(thresholds, axis=1), base, step), [x], None, None


def _requantize(dice: Dice, builder: Builder, x: Value) -> Made:
    kind = IntType(int(dice.integers(1, 17)), bool(dice.random() < 0.5))
    low, high = builder.interval(x).bounds
    bits = int(dice.integers(1, 17))
    reach = max(-low, high, 1).bit_length() + bits
    shift = max(0, reach - kind.width + int(dice.integers(-3, 4)))
    if dice.random() < 0.15:
        shift = int(dice.integers(0, 30))
    most = (1 << bits) - 1
    multiplier = integers(dice, -most if dice.random() < 0.5 else 0, most, x.channels)
    bias = integers(dice, -(1 << reach), 1 << reach, x.channels)
    if dice.random() < 0.3:
        bias = np.full_like(bias, (1 << shift) >> 1)  # ties where the input is nothing
    if dice.random() < 0.3:
        multiplier = np.full_like(multiplier, multiplier[0])
        bias = np.full_like(bias, bias[0])
    rounding = ROUNDINGS[dice.integers(len(ROUNDINGS))]
    narrow = bool(dice.random() < 0.3)
    return Requantize(multiplier, bias, shift, rounding, narrow), [x], kind, None


def _lookup(dice: Dice, x: Value) -> Made:
    made = int_type(dice)
    tables = x.channels if dice.random() < 0.5 else 1
    table = integers(dice, made.min, made.max, (tables, 1 << x.type.width))
    return Lookup(table, x.type.min), [x], None, None


def _bit_planes(dice: Dice, x: Value) -> Made:
    count = int(dice.integers(1, min(x.type.width, 16) + 1))
    planes = np.sort(dice.choice(x.type.width, count, replace=False))
    return BitPlanes(tuple(int(p) for p in planes)), [x], None, None


def _others(
    dice: Dice, x: Value, values: list[Value], fits: Callable[[Value], bool]
) -> list[Value]:
    """x and one or two more, which may be x again, in any order."""
    possible = [value for value in values if fits(value)]
    chosen = [x, *(possible[i] for i in dice.integers(len(possible), size=dice.integers(1, 3)))]
    return [chosen[i] for i in dice.permutation(len(chosen))]


def _add(dice: Dice, x: Value, values: list[Value]) -> Made | None:
    sources = _others(dice, x, values, lambda value: value.shape == x.shape)
    if len(set(sources)) == 1 and dice.random() < 0.8:
        return None
    most = 1 << int(dice.choice([0, 1, 3, 10]))
    multipliers = dice.integers(1, most + 1, len(sources)) * dice.choice([1, 1, -1], len(sources))
    return Add(tuple(int(m) for m in multipliers)), sources, None, None


def _concat(dice: Dice, x: Value, values: list[Value]) -> Made:
    sources = _others(dice, x, values, lambda value: value.shape[:-1] == x.shape[:-1])
    return Concat(), sources, None, None


def _reshape(dice: Dice, x: Value) -> Made:
    divisors = [n for n in range(1, x.size + 1) if x.size % n == 0]
    kind = dice.random()
    if kind < 0.6:
        return Reshape(), [x], None, (x.size,)
    last = int(dice.choice(divisors))
    if kind < 0.7:
        return Reshape(), [x], None, (x.size // last, last)
    first = int(dice.choice([n for n in divisors if x.size // last % n == 0]))
    return Reshape(), [x], None, (first, x.size // last // first, last)
