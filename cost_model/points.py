"""Sample points: single operations, from the smallest description to a graph and a plan.

A point is a few plain parameters. Its name says them all, its constants are drawn from a generator
seeded by the name, and nothing here knows a formula or a measurement: `formulas.py` and `cells.py`
have the ones, data/measured.csv has the others.

The ranges are those of networks on small devices: 4 to 256 inputs, 1 to 64 outputs, 1 to 8 bits,
10 to 100 % of the weights left, 1 to 6 stages. What a point costs is bounded, because a synthesiser
takes about 10 ms of a core for every look-up table.
"""

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from bitwright.models.graph import (
    Add,
    ArgMax,
    Codebook,
    Codec,
    Conv2d,
    Dense,
    Engine,
    Folded,
    Graph,
    IntArray,
    Interval,
    IntType,
    Lookup,
    MaxPool,
    Plain,
    Plan,
    Requantize,
    SumPool,
    Target,
    Threshold,
    Tiled,
    Unrolled,
    Window,
    derive_threshold,
    widen_for_loading,
)
from bitwright.models.graph.build import Builder
from bitwright.models.graph.plan import is_wiring
from bitwright.models.graph.types import Value

Kind = Literal[
    "identity", "dense", "conv", "depthwise", "threshold", "requantize", "lookup", "argmax",
    "maxpool", "sumpool", "add", "relay",
]  # fmt: skip
Weights = Literal["bell", "even", "tiled", "float", "book"]

NODE = "y"
"""The node that is measured."""

ALL: tuple[Target, ...] = ("xc7", "ecp5", "ice40", "gowin")
"""Where a point is measured. UltraScale+ has 7-series' logic, and memories of its own."""

ONE = Window((1, 1))


@dataclass(frozen=True, slots=True)
class Point:
    """One operation.

    shape, kind: of its input. outputs: of a product. made: the type that a quantiser or a lookup
    makes. bits: of a weight, of an index into a codebook, or of a requantiser's multiplier (0 for
    powers of two). weights: how they are spread; tiled ones are repeated `copies` times, codebooks
    have entries of `entry_bits`. percent: share of weights that are not zero. lanes: of the second
    node of a relay, which is two lookups with a queue and converters between them.
    """

    op: Kind
    shape: tuple[int, ...]
    kind: IntType
    engine: Engine
    outputs: int = 0
    made: IntType | None = None
    bits: int = 0
    weights: Weights = "bell"
    percent: int = 100
    copies: int = 1
    entry_bits: int = 0
    biased: bool = False
    even: bool = False
    window: Window = ONE
    lanes: int = 0

    @property
    def name(self) -> str:
        """All parameters in short: "dense_16u4_32_w3_50_r2"."""
        parts = [self.op, "x".join(map(str, self.shape)) + _short(self.kind)]
        parts += [str(self.outputs)] if self.outputs else []
        parts += [f"to{_short(self.made)}"] if self.made else []
        if self.op in ("dense", "conv", "depthwise"):
            extra = {"tiled": f"p{self.copies}", "book": f"e{self.entry_bits}"}.get(
                self.weights, ""
            )
            spread = "" if self.weights == "bell" else self.weights
            parts += [f"w{self.bits}{spread}{extra}", str(self.percent)]
        elif self.op == "requantize":
            parts += [f"m{self.bits}"]
        parts += ["b"] * self.biased + ["even"] * self.even
        if self.window != ONE:
            w = self.window
            parts += [f"k{w.kernel[0]}s{w.stride[0]}p{w.padding[0]}"]
        match self.engine:
            case Unrolled():
                parts += [f"r{self.engine.stages}"]
            case Folded():
                parts += [_folded(self.engine)]
        parts += [f"to{self.lanes}"] if self.lanes else []
        return "_".join(parts)

    @property
    def folded(self) -> bool:
        """Whether it is measured within streams, and has a second part: what lies around it."""
        return isinstance(self.engine, Folded) or len(self.shape) > 1

    @property
    def targets(self) -> tuple[Target, ...]:
        """Where it is measured."""
        memories = isinstance(self.engine, Folded) and self.op in ("dense", "conv", "relay")
        return (*ALL, "xcup") if memories else ALL

    def graph(self) -> Graph:
        """The operation alone, alike every time."""
        rng = np.random.default_rng(int(hashlib.sha256(self.name.encode()).hexdigest()[:16], 16))
        b = Builder("point")
        x = b.input("x", self.shape, self.kind)
        match self.op:
            case "identity":
                eye = np.eye(x.size, dtype=np.int64)
                y = b.add(NODE, Dense(Plain(eye, 2), np.zeros(x.size, np.int64)), x)
            case "dense":
                op = Dense(self._codec(rng, x.channels, self.outputs), self._bias(rng))
                y = b.add(NODE, op, x)
            case "conv" | "depthwise":
                groups = x.channels if self.op == "depthwise" else 1
                rows = x.channels // groups * self.window.taps
                codec = self._codec(rng, rows, self.outputs)
                y = b.add(NODE, Conv2d(codec, self._bias(rng), self.window, groups), x)
            case "threshold":
                y = b.add(NODE, self._threshold(rng, x), x)
            case "requantize":
                y = b.add(NODE, self._requantize(rng, x), x, kind=self._made)
            case "lookup":
                y = b.add(NODE, self._lookup(rng, x), x)
            case "argmax":
                y = b.add(NODE, ArgMax(), x)
            case "maxpool":
                y = b.add(NODE, MaxPool(self.window), x)
            case "sumpool":
                y = b.add(NODE, SumPool(self.window), x)
            case "add":
                codec = self._codec(rng, x.channels * self.window.taps, x.channels)
                bias = np.zeros(x.channels, np.int64)
                branch = b.add("branch", Conv2d(codec, bias, self.window), x)
                y = b.add(NODE, Add((int(rng.integers(1, 8)), int(rng.integers(1, 8)))), x, branch)
            case "relay":
                y = b.add(NODE, self._lookup(rng, x), b.add("first", self._lookup(rng, x), x))
        graph = b.graph(y)
        loaded = isinstance(self.engine, Folded) and self.engine.loadable
        return widen_for_loading(graph, [NODE]) if loaded else graph

    def plan(self, target: Target) -> Plan:
        """The engine of the node that is measured, and of the one beside it."""
        engines: dict[str, Engine] = {}
        for node in self.graph().nodes:
            engines[node.name] = Unrolled(0) if is_wiring(node) else self.engine
        if self.op == "relay":
            engines[NODE] = Folded(self.lanes)
        if self.op == "add":
            engines["branch"] = Folded(1, 1)
        return Plan(engines, target)

    @property
    def _made(self) -> IntType:
        assert self.made is not None
        return self.made

    def _bias(self, rng: np.random.Generator) -> IntArray:
        largest = 1 << (self.kind.width + self.bits)
        bias: IntArray = rng.integers(-largest, largest + 1, self.outputs)
        return bias if self.biased else np.zeros(self.outputs, np.int64)

    def _codec(self, rng: np.random.Generator, rows: int, columns: int) -> Codec:
        size, half = (rows, columns), (1 << (self.bits - 1)) - 1
        if self.weights == "tiled":
            return Tiled(rng.choice([-1, 1], rows * columns // self.copies), size)
        if self.bits == 1:
            return Plain(rng.choice([-1, 1], size), 1)
        if self.weights in ("float", "book"):
            table = _floats(self.bits)
            if self.weights == "book":  # learned: close together in the middle
                largest = (1 << (self.entry_bits - 1)) - 1
                drawn = np.sort(np.abs(rng.standard_normal(half))) * largest / 2.5
                positive = np.clip(np.rint(drawn), 1, largest).astype(np.int64)
                table = np.concatenate([-positive[::-1], [0], positive])
            drawn = rng.standard_normal(size) * np.abs(table).max() / 2.5
            indices = np.abs(drawn[..., None] - table).argmin(axis=-1)
            return Codebook(indices, table[None, :])
        # Pruned by magnitude, as trained ones are; what is left is at least one.
        bell = rng.standard_normal(size)
        magnitude = np.abs(bell) / 2.5 if self.weights == "bell" else rng.random(size)
        kept = magnitude >= np.quantile(magnitude, 1 - self.percent / 100)
        values = np.clip(np.rint(magnitude * half), 1, half) * kept * np.sign(bell)
        return Plain(values.astype(np.int64), self.bits)

    def _threshold(self, rng: np.random.Generator, x: Value) -> Threshold:
        """Steps over the middle of the range; even ones are a power of two apart."""
        span = self.kind.max - self.kind.min
        fill = rng.uniform(1, 4, x.channels)
        scale = [Fraction(self._made.max * int(1000 * f), 1000 * span) for f in fill]
        if self.even:
            power = max(span.bit_length() - self._made.width - int(rng.integers(0, 3)), 0)
            scale = [Fraction(1, 1 << power)] * x.channels
        middle = (self.kind.max + self.kind.min) / 2 + rng.uniform(-0.1, 0.1, x.channels) * span
        offset = [
            Fraction(self._made.max + 1, 2) - s * int(m) for s, m in zip(scale, middle, strict=True)
        ]
        interval = Interval.of_type(x)
        return derive_threshold(scale, offset, 0, self._made.max, "half_even", interval)

    def _requantize(self, rng: np.random.Generator, x: Value) -> Requantize:
        """The input's range, or up to four times as much, onto the output's."""
        low, high = (1, 1) if self.bits == 0 else (1 << (self.bits - 1), (1 << self.bits) - 1)
        multiplier = rng.integers(low, high + 1, x.channels)
        excess = self.kind.width + self.bits - self._made.width - int(rng.integers(0, 3))
        shift = max(excess, 0)
        largest = 1 << max(shift + self._made.width - 1, 1)
        bias = rng.integers(-largest, largest + 1, x.channels) * self.biased
        return Requantize(multiplier, bias, shift, "half_even")

    def _lookup(self, rng: np.random.Generator, x: Value) -> Lookup:
        """Random tables, one for all channels where they are even."""
        rows = 1 if self.even else x.channels
        made = self.made or self.kind
        table = rng.integers(made.min, made.max + 1, (rows, 1 << self.kind.width))
        return Lookup(table, self.kind.min)


def _folded(engine: Folded) -> str:
    """ "pe2x8r3_lut": pe and simd, stages, what the weights lie in."""
    text = f"pe{engine.pe}x{engine.simd}"
    text += f"r{engine.stages}" if engine.stages > 1 else ""
    text += "l" if engine.loadable else ""
    return text if engine.memory == "auto" else f"{text}_{engine.memory}"


def _short(kind: IntType) -> str:
    return f"{'s' if kind.signed else 'u'}{kind.width}"


def _floats(bits: int) -> IntArray:
    """The values of a minifloat with two bits of exponent, sign included, as integers."""
    mantissa = max(bits - 3, 0)
    one = 1 << mantissa
    positive = [m << e for e in range(3) for m in range(one, 2 * one)]
    magnitudes = sorted({*range(one), *positive})
    return np.array([*(-m for m in magnitudes[:0:-1]), *magnitudes], dtype=np.int64)


def u(width: int) -> IntType:
    """An unsigned type."""
    return IntType(width, False)


def s(width: int) -> IntType:
    """A signed type."""
    return IntType(width, True)
