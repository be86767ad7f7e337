"""Adder graphs proven from their text: every output is what it should be, for all inputs.

The SystemVerilog of a module is read, not the structure that it was printed from. Every wire and
register is followed as an integer linear form over the elements of the input, of which it holds the
lowest bits; nothing is simulated, and nothing of the emitter is used. What is checked:

- A value that is extended holds its form whole: no value of the inputs that can occur overflows it.
  (A wire may be narrower than its form where only its lowest bits are read, modulo 2^width.)
- The two sides of an addition are of the same clock cycle: of equally many registers.
- Every output has the form, constant and position that the graph says, its range fits the output's
  type, and as many registers lie before it as the handshake counts.

What is not understood is refused, so that a proof is of the whole text. Not part of it: library
cells (bw_pipe, bw_round_saturate), synthesis, and which values can reach the inputs, which the
graph's intervals say (and are themselves derived, see models/graph/ranges.py).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bitwright.models.graph import (
    Conv2d,
    Dense,
    Folded,
    Graph,
    IntArray,
    Interval,
    IntType,
    Node,
    Requantize,
    Value,
    decode,
    with_any_weights,
)
from bitwright.rtl_tb.design import Design

Form = Mapping[int, int]
"""Coefficients by input element; the constant at -1."""


class ProofError(Exception):
    """A text that is not what it should be, or cannot be read; the sentence says where."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What became of a node: `refuted` says why, `outputs` how many were proven."""

    node: str
    module: str
    outputs: int = 0
    wires: int = 0
    registers: int = 0
    refuted: str | None = None


@dataclass(frozen=True, slots=True)
class _Signal:
    """The lowest `width` bits of a form. age: registers since the input; None of a constant."""

    form: Form
    width: int
    signed: bool
    age: int | None


@dataclass(slots=True)
class _Module:
    """What a text declares."""

    inputs: int
    kind: IntType
    low: list[int]
    high: list[int]
    signals: dict[str, _Signal] = field(default_factory=dict)
    declared: dict[str, tuple[int, bool]] = field(default_factory=dict)
    rounders: dict[str, tuple[str, str]] = field(default_factory=dict)
    data_q: list[str] | None = None
    wires: int = 0
    registers: int = 0


def prove(graph: Graph, design: Design) -> tuple[list[Proof], list[str]]:
    """Prove every module of a design that is an adder graph.

    Returns the proofs, refuted ones among them, and the nodes that are of another kind, for which
    simulation alone speaks. Raises StorageError where a file cannot be read.
    """
    plan = design.plan
    known = with_any_weights(graph, plan.loadable) if plan is not None else graph
    texts = {file.stem: file.read_text(encoding="utf-8") for file in design.files}
    proofs, others = [], []
    for node in graph.nodes:
        module, source = design.modules.get(node.name), graph.values[node.inputs[0]]
        folded = plan is None or isinstance(plan.engines[node.name], Folded)
        if folded or module is None or not isinstance(node.op, Dense | Conv2d | Requantize):
            others.append(node.name)
            continue
        lanes = source.channels
        if isinstance(node.op, Requantize):
            lanes = _lanes(texts[module], source)
        if lanes % source.channels:  # a part of the channels, with constants from a memory
            others.append(node.name)
            continue
        reach = known.intervals[source.name]
        proofs.append(_prove_node(node, module, texts[module], source, reach, lanes))
    return proofs, others


def _lanes(text: str, source: Value) -> int:
    """Elements that a beat of a requantiser's input has: all channels, or of several pixels."""
    found = re.search(r"input logic \[(\d+):0\] data_i", " ".join(text.split()))
    return (int(found[1]) + 1) // source.type.width if found else source.channels


def _prove_node(
    node: Node, module: str, text: str, source: Value, reach: Interval, lanes: int
) -> Proof:
    matrix, constant, low, high = _intended(node, source, reach, lanes)
    try:
        made = prove_text(text, matrix, constant, low, high, source.type, node)
        return Proof(node.name, module, matrix.shape[1], made.wires, made.registers)
    except ProofError as error:
        return Proof(node.name, module, refuted=str(error))


def _intended(
    node: Node, source: Value, reach: Interval, lanes: int
) -> tuple[IntArray, list[int], list[int], list[int]]:
    """The matrix (inputs, outputs) and constant of one beat, and the bounds of its inputs."""
    op = node.op
    low, high = [int(v) for v in reach.low], [int(v) for v in reach.high]
    match op:
        case Dense():
            return decode(op.weights), [int(v) for v in op.bias], low, high
        case Requantize():
            half = 1 << (op.shift - 1) if op.rounding != "floor" and op.shift > 0 else 0
            times = lanes // source.channels
            constant = [int(v) + half for v in op.bias] * times
            return np.diag(np.tile(op.multiplier, times)), constant, low * times, high * times
        case Conv2d():
            weights, taps = decode(op.weights), op.window.taps
            channels, outputs = source.channels, len(op.bias)
            each, made = channels // op.groups, outputs // op.groups
            matrix = np.zeros((taps * channels, outputs), np.int64)
            for tap in range(taps):
                for channel in range(each):
                    for o in range(outputs):
                        row = tap * channels + o // made * each + channel
                        matrix[row, o] = weights[channel * taps + tap, o]
            if op.window.pads:
                low, high = [min(v, 0) for v in low], [max(v, 0) for v in high]
            return matrix, [int(v) for v in op.bias], low * taps, high * taps
        case _:
            raise AssertionError(node.kind)


def prove_text(
    text: str,
    matrix: IntArray,
    constant: list[int],
    low: list[int],
    high: list[int],
    kind: IntType,
    node: Node,
) -> _Module:
    """Read a module and check all of it. Raises ProofError where it is not the intended product."""
    module = _Module(len(matrix), kind, low, high)
    stages = _read(text, module)
    made, op = node.output.type, node.op
    wanted = [f"y{o}" for o in range(matrix.shape[1])]
    if module.data_q != wanted:
        raise ProofError(f"the output is {module.data_q}, not {wanted[0]} to {wanted[-1]} in order")
    if module.declared.get("data_q") != (len(wanted) * made.width, False):
        raise ProofError(f"data_q is not {len(wanted)} x {made.width} bits")
    for o, name in enumerate(wanted):
        form = {i: int(v) for i, v in enumerate(matrix[:, o]) if v} | {-1: constant[o]}
        width, signed = made.width, made.signed
        if isinstance(op, Requantize):
            if name not in module.rounders or module.declared.get(name) != (width, False):
                raise ProofError(f"{name} is not {width} bits made by bw_round_saturate")
            name, parameters = module.rounders[name]
            width, signed = module.signals[name].width if name in module.signals else 0, True
            told = (
                f".InWidth({width}), .Shift({op.shift}), "
                f".HalfEven({int(op.rounding == 'half_even')}), .OutWidth({made.width}), "
                f".OutSigned({int(made.signed)}), .Narrow({int(op.narrow)})"
            )
            if parameters != told:
                raise ProofError(f"{name} is rounded with {parameters} instead of {told}")
        if name not in module.signals:
            raise ProofError(f"{name} is never assigned")
        found = module.signals[name]
        if found.width != width:
            raise ProofError(f"output {o} has {found.width} bits instead of {width}")
        if _modulo(found.form, width) != _modulo(form, width):
            raise ProofError(f"output {o} is not column {o} of the weights and its constant")
        if not _fits(module, form, width, signed):
            raise ProofError(f"output {o} does not fit {width} bits")
        if found.age is not None and found.age != stages - 1:
            raise ProofError(f"output {o} is {found.age + 1} cycles old, the handshake {stages}")
    return module


_NAME = r"[a-z]\w*"
_RANGE = r"(signed )?\[(\d+):0\]"
_CLOCKED = r"always_ff @\(posedge clk_i\) begin if \(enable\)"
_GRAMMAR = (
    ("registers", rf"{_CLOCKED} begin ((?:{_NAME} <= {_NAME}; )*)end end"),
    ("output", rf"{_CLOCKED} data_q <= \{{([^{{}}]*)\}}; end"),
    (
        "handshake",
        r"bw_pipe #\(\.Stages\((\d+)\)\) u_pipe \( \.clk_i, \.rst_ni, \.valid_i, "
        r"(?:\.last_i, \.ready_o, \.enable_o\(enable\), \.valid_o, \.last_o, \.ready_i"
        r"|\.last_i\(1'b0\), \.ready_o\(unused_ready\), \.enable_o\(enable\), \.valid_o, "
        r"\.last_o\(unused_last\), \.ready_i\(1'b1\)) \);",
    ),
    (
        "round",
        r"bw_round_saturate #\( ([^;]*?) \) u_(y\d+) "
        rf"\(\.data_i\(({_NAME})\), \.data_o\((y\d+)\)\);",
    ),
    ("input", rf"wire {_RANGE} (x\d+) = data_i\[(\d+)(?::(\d+))?\];"),
    ("wire", rf"wire {_RANGE} ({_NAME}) = ([^;]*);"),
    ("unused", r"wire unused = &\{[^{};]*\};"),
    ("result", r"wire \[(\d+):0\] (y\d+);"),
    ("declare", rf"logic {_RANGE} ({_NAME});"),
    ("assign", r"assign data_o = data_q;"),
    ("nothing", r"(?:logic enable(?:, unused_ready, unused_last)?;|endmodule)"),
)
_STATEMENTS = tuple((what, re.compile(rf"{pattern}(?: |$)")) for what, pattern in _GRAMMAR)


def _read(text: str, module: _Module) -> int:
    """Read every statement in its order; returns the stages that the handshake counts."""
    plain = " ".join(re.sub(r"//[^\n]*", "", text).split())
    head = re.match(rf"module {_NAME} \( ([^;]*) \); ", plain)
    bits = module.inputs * module.kind.width
    if head is None or f"input logic [{bits - 1}:0] data_i" not in head[1]:
        raise ProofError(f"it does not begin as a module with {bits} bits of data_i")
    at, stages = head.end(), 0
    seen: list[str] = []
    while at < len(plain):
        what, found = _statement(plain, at)
        at = found.end()
        match what:
            case "registers":
                for pair in filter(None, found[1].split("; ")):
                    _register(module, *pair.removesuffix(";").split(" <= "))
            case "output":
                module.data_q = [name.strip() for name in found[1].split(",")][::-1]
            case "handshake":
                stages = int(found[1])
            case "result":
                module.declared[found[2]] = int(found[1]) + 1, False
            case "round":
                if found[2] != found[4]:
                    raise ProofError(f"u_{found[2]} makes {found[4]}")
                module.rounders[found[4]] = found[3], " ".join(found[1].split())
            case "input":
                _input(module, found)
            case "wire":
                value = _expression(module, found[4], int(found[2]) + 1)
                _name(module, found[3], value.form, int(found[2]) + 1, bool(found[1]), value.age)
                module.wires += 1
            case "declare":
                module.declared[found[3]] = int(found[2]) + 1, bool(found[1])
            case _:
                pass
        seen.append(what)
    for what in ("handshake", "output", "assign"):
        if seen.count(what) != 1:
            raise ProofError(f"there are {seen.count(what)} statements of the kind: {what}")
    return stages


def _statement(plain: str, at: int) -> tuple[str, re.Match[str]]:
    for what, pattern in _STATEMENTS:
        if found := pattern.match(plain, at):
            return what, found
    raise ProofError(f"cannot be read: {plain[at : at + 60]}")


def _input(module: _Module, found: re.Match[str]) -> None:
    width, top = int(found[2]) + 1, int(found[4])
    bottom = top if found[5] is None else int(found[5])
    element, offset = divmod(bottom, module.kind.width)
    if element >= module.inputs:
        raise ProofError(f"{found[3]} is beyond the input")
    if offset or top - bottom + 1 != width or width > module.kind.width:
        raise ProofError(f"{found[3]} is not the lowest bits of an element")
    _name(module, found[3], {element: 1}, width, bool(found[1]), 0)


def _register(module: _Module, name: str, source: str) -> None:
    if name not in module.declared or source not in module.signals:
        raise ProofError(f"{name} <= {source} has a side that is not declared")
    value = module.signals[source]
    if module.declared[name] != (value.width, value.signed):
        raise ProofError(f"register {name} is not of the type of {source}")
    age = None if value.age is None else value.age + 1
    _name(module, name, value.form, value.width, value.signed, age)
    module.registers += 1


def _name(
    module: _Module, name: str, form: Form, width: int, signed: bool, age: int | None
) -> None:
    if name in module.signals:
        raise ProofError(f"{name} is assigned twice")
    module.signals[name] = _Signal(form, width, signed, age)


_TERM = (
    rf"(?P<literal>-?(?P<size>\d+)'s?(?P<base>[dh])(?P<digits>[0-9a-f]+))"
    rf"|(?:(?P<cast>\d+)'\((?P<inner>{_NAME})\)|(?P<name>{_NAME}))"
    rf"|\((?:(?P<scast>\d+)'\((?P<sinner>{_NAME})\)|(?P<sname>{_NAME})) << (?P<shift>\d+)\)"
)


def _expression(module: _Module, text: str, width: int) -> _Signal:
    """A term, the sum or difference of two, or minus one; every term has the result's width."""
    minus = re.fullmatch(r"-\((.*)\)", text)
    if minus is not None:
        text, signs = minus[1], [-1]
    parts = re.split(r" ([+-]) ", text)
    if minus is None:
        signs = [1, *(1 if operator == "+" else -1 for operator in parts[1::2])]
    elif len(parts) > 1:
        raise ProofError(f"cannot be read: -({text})")
    total: dict[int, int] = {}
    ages: set[int] = set()
    for sign, part in zip(signs, parts[::2], strict=True):
        term = _term(module, part)
        if term.width != width:
            raise ProofError(f"{part} has {term.width} bits among {width}")
        for i, value in term.form.items():
            total[i] = total.get(i, 0) + sign * value
        if term.age is not None:
            ages.add(term.age)
    if len(ages) > 1:
        raise ProofError(f"{text} mixes values that are {sorted(ages)} registers old")
    return _Signal(total, width, False, ages.pop() if ages else None)


def _term(module: _Module, text: str) -> _Signal:
    found = re.fullmatch(_TERM, text)
    if found is None:
        raise ProofError(f"cannot be read: {text}")
    if found["literal"]:
        size, number = int(found["size"]), int(found["digits"], 16 if found["base"] == "h" else 10)
        if number >= 1 << size:
            raise ProofError(f"{text} does not fit its own bits")
        return _Signal({-1: -number if text.startswith("-") else number}, size, False, None)
    name = found["inner"] or found["name"] or found["sinner"] or found["sname"]
    if name not in module.signals:
        raise ProofError(f"{name} is read before it is assigned")
    value = module.signals[name]
    width = int(found["cast"] or found["scast"] or value.width)
    shift = int(found["shift"] or 0)
    # The bits that a shift pushes out may be anything.
    extended = width > value.width + shift
    if extended and not _fits(module, value.form, value.width, value.signed):
        raise ProofError(f"{name} overflows its {value.width} bits, and is extended to {width}")
    return _Signal({i: v << shift for i, v in value.form.items()}, width, value.signed, value.age)


def _fits(module: _Module, form: Form, width: int, signed: bool) -> bool:
    """Whether all values of a form, over the inputs that can occur, are values of a type."""
    low = high = form.get(-1, 0)
    for i, value in form.items():
        if i >= 0:
            ends = value * module.low[i], value * module.high[i]
            low, high = low + min(ends), high + max(ends)
    held = IntType(width, signed)
    return held.min <= low and high <= held.max


def _modulo(form: Form, width: int) -> dict[int, int]:
    """Forms that are equal here have equal lowest bits, whatever the inputs."""
    return {i: value % (1 << width) for i, value in form.items() if value % (1 << width)}
