"""The adder graph of a constant matrix.

An existing solver (alkaid's `cmvm_solve`) finds the common subexpressions; this module turns its
answer into the small form that the emitter prints, and proves it: every value is followed as a
linear form over the inputs, so each output is known to be the intended row, and each width holds
every value that can occur, for all inputs and without simulating any.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitwright.models.adders.adder_graph import Adder, AdderGraph, Output, adder_bits
from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import Interval

IntMatrix = npt.NDArray[np.int64]

DEPTH_ALLOWANCE = 2
"""Adder levels that the solver may spend above the minimum: a few per cent fewer adders."""

_SOLVER_BITS = 24  # the solver reads float32
_LARGE_BINARY = 1 << 14  # weights of a binary layer beyond which the solver takes minutes
_BLOCKS = (3, 4, 5, 6)  # outputs to a block of a binary layer, all tried


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
    binary = bool(np.all(np.abs(odd) == 1))
    found = []
    for rows in (None, *_BLOCKS) if binary else (None,):
        if rows is None and binary and odd.size > _LARGE_BINARY:
            continue  # the solver would take minutes, and blocks are as good
        build = _Builder(matrix.shape[0])
        terms: list[_Term] = [(_Signal(i, 0), False) for i in range(matrix.shape[0])]
        ends = (
            _from_solver(build, odd, terms, inputs)
            if rows is None
            else _from_blocks(build, odd, terms, inputs, rows)
        )
        graph = build.finish(_outputs(build, ends, shifts, constant), inputs)
        _prove(build, graph, matrix, constant)
        found.append(graph)
    return min(found, key=adder_bits)


def _outputs(
    build: "_Builder", ends: "list[_Term]", shifts: IntMatrix, constant: IntMatrix
) -> tuple[Output, ...]:
    outputs = []
    for o, (signal, negate) in enumerate(ends):
        if signal is None:
            outputs.append(Output(None, 0, False, int(constant[o])))
            continue
        source = signal.index
        if negate and constant[o] == 0:
            source, negate = build.negated(source)
        shift = signal.exponent + int(shifts[o])
        outputs.append(Output(source, shift, negate, int(constant[o])))
    return tuple(outputs)


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


_Term = tuple[_Signal | None, bool]
"""A signal, or None for zero, and whether it is still to be negated."""


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

    def bounds(self, terms: list[_Term], inputs: Interval) -> Interval:
        """The smallest and largest value of each term."""
        forms = np.stack([
            self.forms[s.index] * (-1 if negate else 1) << s.exponent if s else 0 * self.forms[0]
            for s, negate in terms
        ])  # fmt: skip
        return _reach(forms, inputs)

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
        reach = _reach(np.stack(self.forms), inputs)
        return AdderGraph(
            inputs=self.inputs,
            adders=tuple(adders),
            outputs=tuple(
                o if o.source is None else Output(place[o.source], o.shift, o.negate, o.constant)
                for o in outputs
            ),
            low=tuple(map(int, reach.low)),
            high=tuple(map(int, reach.high)),
            level=tuple(level),
        )


def _reach(forms: IntMatrix, inputs: Interval) -> Interval:
    """The bounds of linear forms, shape (values, inputs), exact whatever their size."""
    largest = max(int(np.abs(inputs.low).max()), int(np.abs(inputs.high).max()), 1)
    small = int(np.abs(forms).sum(axis=1).max()) * largest < 1 << 62
    exact: npt.DTypeLike = np.int64 if small else object  # any size is exact as objects, but slow
    low = np.asarray(inputs.low, dtype=exact)
    high = np.asarray(inputs.high, dtype=exact)
    up = np.asarray(np.maximum(forms, 0), dtype=exact)
    down = np.asarray(np.minimum(forms, 0), dtype=exact)
    return Interval(
        np.asarray(up @ low + down @ high, dtype=object),
        np.asarray(up @ high + down @ low, dtype=object),
    )


def _from_blocks(
    build: _Builder, matrix: IntMatrix, terms: list[_Term], inputs: Interval, rows: int
) -> list[_Term]:
    """Binary outputs in blocks: inputs with the same signs throughout a block are added up once.

    A block of k outputs has at most 2^(k-1) classes of inputs, equal up to a common sign. Each
    class is one balanced tree, and a small matrix of signs makes the outputs from the classes: the
    Four Russians' method. Its cost per output hardly depends on how many outputs there are, where
    common subexpressions of whole rows need many rows to share.
    """
    flip = np.where(matrix[0] < 0, -1, 1)
    distinct, place = np.unique(matrix * flip, axis=1, return_inverse=True)
    ends: list[_Term] = []
    for start in range(0, distinct.shape[1], rows):
        block = distinct[:, start : start + rows]
        sign = block[:, 0]
        signs, member_of = np.unique(block * sign[:, None], axis=0, return_inverse=True)
        classes: list[_Term] = []
        for c in range(len(signs)):
            members = np.flatnonzero(member_of.ravel() == c)
            classes.append(_tree(build, [_flipped(terms[i], bool(sign[i] < 0)) for i in members]))
        ends += _from_solver(build, signs, classes, build.bounds(classes, inputs))
    return [_flipped(ends[int(d)], bool(f < 0)) for d, f in zip(place.ravel(), flip, strict=True)]


def _tree(build: _Builder, terms: list[_Term]) -> _Term:
    """The sum of terms, as a tree of least depth."""
    while len(terms) > 1:
        pairs = [_sum(build, a, b, 0, False) for a, b in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[len(terms) & ~1 :]
    return terms[0]


def _flipped(term: _Term, negate: bool) -> _Term:
    return term[0], term[1] != negate


def _from_solver(
    build: _Builder, matrix: IntMatrix, terms: list[_Term], inputs: Interval
) -> list[_Term]:
    """Solve, and replay the solver's two stages into `build`; a term an output.

    terms: what the rows of the matrix stand for, and `inputs` the bounds of each.
    """
    from alkaid.cmvm import cmvm_solve  # takes a moment to import

    # An input that can only be one value gives the solver nothing to size by; any bounds are safe.
    bounds = [(float(min(a, 0)), float(max(b, 1)), 1.0)
              for a, b in zip(inputs.low, inputs.high, strict=True)]  # fmt: skip
    kernel = np.ascontiguousarray(matrix, dtype=np.float32)  # the solver reads it as C order
    stages = cmvm_solve(kernel, qintervals=bounds, hard_dc=DEPTH_ALLOWANCE)
    signals = terms
    for stage in stages:
        values: list[_Term] = []
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
    return signals


def _shifted(signal: _Signal | None, shift: int) -> _Signal | None:
    return None if signal is None else _Signal(signal.index, signal.exponent + int(shift))


def _sum(
    build: _Builder,
    left: _Term,
    right: _Term,
    shift: int,
    subtract: bool,
) -> _Term:
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
