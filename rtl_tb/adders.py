"""Adder graphs: a constant matrix-vector product as shifts, additions and subtractions only.

An existing solver (alkaid's `cmvm_solve`) finds the common subexpressions; this module turns its
answer into the small form that the emitter prints, and proves it: every value is followed as a
linear form over the inputs, so each output is known to be the intended row, and each width holds
every value that can occur, for all inputs and without simulating any.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import Interval

IntMatrix = npt.NDArray[np.int64]

DEPTH_ALLOWANCE = 2
"""Adder levels that the solver may spend above the minimum: a few per cent fewer adders."""

_SOLVER_BITS = 24  # the solver reads float32


@dataclass(frozen=True, slots=True)
class Adder:
    """(value[left] << left_shift) + (value[right] << right_shift), or minus where `subtract`."""

    left: int
    right: int
    left_shift: int
    right_shift: int
    subtract: bool


@dataclass(frozen=True, slots=True)
class Output:
    """constant + (value[source] << shift), or minus where `negate`; no source is the constant."""

    source: int | None
    shift: int
    negate: bool
    constant: int

    @property
    def is_wire(self) -> bool:
        """Whether the output needs no adder of its own."""
        return self.source is None or (self.constant == 0 and not self.negate)


@dataclass(frozen=True, eq=False, slots=True)
class AdderGraph:
    """Values 0 … inputs-1 are the inputs, then one value an adder, then the outputs.

    low, high: exact bounds of every value, inputs included. level: adders on the longest path to
    it, 0 for an input.
    """

    inputs: int
    adders: tuple[Adder, ...]
    outputs: tuple[Output, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]
    level: tuple[int, ...]

    @property
    def depth(self) -> int:
        """Adders on the longest path from an input to an output, output adders included."""
        return max((self.output_level(o) for o in self.outputs), default=0)

    def output_level(self, output: Output) -> int:
        """Adders on the longest path to an output."""
        below = 0 if output.source is None else self.level[output.source]
        return below + (not output.is_wire)


def solve(matrix: IntMatrix, constant: IntMatrix, inputs: Interval) -> AdderGraph:
    """The adder graph of y[o] = sum over i of x[i] * matrix[i, o], plus constant[o].

    matrix: (inputs, outputs); constant: (outputs,); inputs: the x that can occur, per row.

    Raises:
        UnsupportedError: a weight that has more significant bits than the solver can read.
    """
    odd, shifts = _without_trailing_zeros(matrix)
    if np.abs(odd).max() >= 1 << _SOLVER_BITS:
        raise UnsupportedError(
            f"a constant of {int(np.abs(odd).max()).bit_length()} bits is beyond the adder-graph "
            f"solver's {_SOLVER_BITS}: use fewer weight or multiplier bits"
        )
    build = _Builder(matrix.shape[0])
    ends = _from_solver(build, odd, inputs)
    outputs = []
    for o, (source, shift, negate) in enumerate(ends):
        if source is None:
            outputs.append(Output(None, 0, False, int(constant[o])))
            continue
        if negate and constant[o] == 0:
            source, negate = build.negated(source)
        outputs.append(Output(source, shift + int(shifts[o]), negate, int(constant[o])))
    graph = build.finish(tuple(outputs), inputs)
    _prove(build, graph, matrix, constant)
    return graph


def _without_trailing_zeros(matrix: IntMatrix) -> tuple[IntMatrix, IntMatrix]:
    """Each column divided by the largest power of two that divides all of it."""
    used = np.bitwise_or.reduce(matrix, axis=0)
    shifts = np.where(used == 0, 0, np.log2(np.maximum(used & -used, 1))).astype(np.int64)
    return matrix >> shifts, shifts


@dataclass(frozen=True, slots=True)
class _Signal:
    """A solver's buffer entry: value[index] * 2^exponent, with the form over the inputs known."""

    index: int
    exponent: int


class _Builder:
    """Collects adders, shares equal ones, and knows each value's linear form over the inputs."""

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.adders: list[Adder] = []
        self.forms: list[IntMatrix] = list(np.eye(inputs, dtype=np.int64))
        self._known: dict[Adder, int] = {}

    def add(self, a: _Signal, b: _Signal, subtract: bool) -> _Signal:
        """a + b or a - b, with the common power of two taken out."""
        exponent = min(a.exponent, b.exponent)
        adder = Adder(a.index, b.index, a.exponent - exponent, b.exponent - exponent, subtract)
        return _Signal(self._put(adder), exponent)

    def negated(self, index: int) -> tuple[int, bool]:
        """A value equal to minus `index` where one subtraction makes it; else (index, True)."""
        adder = self.adders[index - self.inputs] if index >= self.inputs else None
        if adder is None or not adder.subtract:
            return index, True
        swapped = Adder(adder.right, adder.left, adder.right_shift, adder.left_shift, True)
        return self._put(swapped), False

    def _put(self, adder: Adder) -> int:
        if adder not in self._known:
            left = self.forms[adder.left] << adder.left_shift
            right = self.forms[adder.right] << adder.right_shift
            self._known[adder] = self.inputs + len(self.adders)
            self.adders.append(adder)
            self.forms.append(left - right if adder.subtract else left + right)
        return self._known[adder]

    def finish(self, outputs: tuple[Output, ...], inputs: Interval) -> AdderGraph:
        """The graph of the values that the outputs need, with bounds and levels."""
        needed = [False] * (self.inputs + len(self.adders))
        for output in outputs:
            if output.source is not None:
                needed[output.source] = True
        for i in range(len(self.adders) - 1, -1, -1):
            if needed[self.inputs + i]:
                needed[self.adders[i].left] = needed[self.adders[i].right] = True
        kept = [i for i in range(len(self.adders)) if needed[self.inputs + i]]
        place = {i: i for i in range(self.inputs)}
        place |= {self.inputs + old: self.inputs + new for new, old in enumerate(kept)}
        level = [0] * self.inputs
        adders = []
        for old in kept:
            a = self.adders[old]
            adders.append(
                Adder(place[a.left], place[a.right], a.left_shift, a.right_shift, a.subtract)
            )
            level.append(1 + max(level[place[a.left]], level[place[a.right]]))
        self.forms = [self.forms[i] for i in place]
        forms = np.stack(self.forms).astype(object)
        up, down = np.maximum(forms, 0), np.minimum(forms, 0)
        low, high = (
            inputs.low @ up.T + inputs.high @ down.T,
            inputs.high @ up.T + inputs.low @ down.T,
        )
        return AdderGraph(
            inputs=self.inputs,
            adders=tuple(adders),
            outputs=tuple(
                o if o.source is None else Output(place[o.source], o.shift, o.negate, o.constant)
                for o in outputs
            ),
            low=tuple(map(int, low)),
            high=tuple(map(int, high)),
            level=tuple(level),
        )


def _from_solver(
    build: _Builder, matrix: IntMatrix, inputs: Interval
) -> list[tuple[int | None, int, bool]]:
    """Solve, and replay the solver's two stages into `build`: (source, shift, negate) an output."""
    from alkaid.cmvm import cmvm_solve  # takes a moment to import

    # An input that can only be one value gives the solver nothing to size by; any bounds are safe.
    bounds = [(float(min(a, 0)), float(max(b, 1)), 1.0)
              for a, b in zip(inputs.low, inputs.high, strict=True)]  # fmt: skip
    kernel = np.ascontiguousarray(matrix, dtype=np.float32)  # the solver reads it as C order
    stages = cmvm_solve(kernel, qintervals=bounds, hard_dc=DEPTH_ALLOWANCE)
    signals: list[tuple[_Signal | None, bool]] = [
        (_Signal(i, 0), False) for i in range(matrix.shape[0])
    ]
    for stage in stages:
        values: list[tuple[_Signal | None, bool]] = []
        for op in stage.ops:
            if op.opcode == -1:
                signal, negate = signals[op.data[0]]
                values.append((_shifted(signal, stage.inp_shifts[op.data[0]]), negate))
            elif op.opcode in (0, 1):
                left, right = values[op.addr[0]], values[op.addr[1]]
                values.append(_sum(build, left, right, op.data[0], op.opcode == 1))
            else:
                raise UnsupportedError(f"the adder-graph solver made an operation {op.opcode}")
        signals = []
        for index, shift, negate in zip(
            stage.out_idxs, stage.out_shifts, stage.out_negs, strict=True
        ):
            signal, sign = values[index] if index >= 0 else (None, False)
            signals.append((_shifted(signal, shift), sign != bool(negate)))
    ends: list[tuple[int | None, int, bool]] = []
    for signal, negate in signals:
        ends.append((None, 0, False) if signal is None else (signal.index, signal.exponent, negate))
    return ends


def _shifted(signal: _Signal | None, shift: int) -> _Signal | None:
    return None if signal is None else _Signal(signal.index, signal.exponent + int(shift))


def _sum(
    build: _Builder,
    left: tuple[_Signal | None, bool],
    right: tuple[_Signal | None, bool],
    shift: int,
    subtract: bool,
) -> tuple[_Signal | None, bool]:
    """left +- (right << shift) where either may be absent (zero) or carry a pending minus sign."""
    a, a_negated = left
    b, b_negated = _shifted(right[0], shift), right[1] != subtract
    if a is None:
        return b, b_negated
    if b is None:
        return a, a_negated
    if a_negated == b_negated:
        return build.add(a, b, False), a_negated
    return (build.add(b, a, True) if a_negated else build.add(a, b, True)), False


def _prove(build: _Builder, graph: AdderGraph, matrix: IntMatrix, constant: IntMatrix) -> None:
    """Check every output's linear form against the matrix: equal for all inputs, or our bug."""
    for o, output in enumerate(graph.outputs):
        form = np.zeros(graph.inputs, dtype=np.int64)
        if output.source is not None:
            form = build.forms[output.source] << output.shift
        if not np.array_equal(-form if output.negate else form, matrix[:, o]):
            raise AssertionError(f"the adder graph's output {o} is not the matrix' column {o}")
        assert output.constant == constant[o]


def adder_bits(graph: AdderGraph) -> int:
    """Sum of the result widths of all adders: the usual first estimate of their area."""
    return sum(
        math.ceil(math.log2(graph.high[i] - graph.low[i] + 1))
        for i in range(graph.inputs, len(graph.low))
    )
