"""The text of an adder graph, followed wire by wire as exact linear forms over the inputs.

Every wire and register holds the lowest bits of a form; what is not understood is refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from bitwright.models.graph import IntType

Form = Mapping[int, int]
"""Coefficients by input element; the constant at -1."""


class ProofError(Exception):
    """A text that is not what it should be, or cannot be read; the sentence says where."""


class UnreadError(ProofError):
    """A text that is not understood, and may be right."""


@dataclass(frozen=True, slots=True)
class Signal:
    """The lowest `width` bits of a form. age: registers since the input; None of a constant."""

    form: Form
    width: int
    signed: bool
    age: int | None


@dataclass(slots=True)
class Module:
    """What a text declares."""

    inputs: int
    kind: IntType
    low: list[int]
    high: list[int]
    signals: dict[str, Signal] = field(default_factory=dict)
    declared: dict[str, tuple[int, bool]] = field(default_factory=dict)
    rounders: dict[str, tuple[str, str]] = field(default_factory=dict)
    data_q: list[str] | None = None
    wires: int = 0
    registers: int = 0


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


def read_module(text: str, module: Module) -> int:
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
    raise UnreadError(f"cannot be read: {plain[at : at + 60]}")


def _input(module: Module, found: re.Match[str]) -> None:
    width, top = int(found[2]) + 1, int(found[4])
    bottom = top if found[5] is None else int(found[5])
    element, offset = divmod(bottom, module.kind.width)
    if element >= module.inputs:
        raise ProofError(f"{found[3]} is beyond the input")
    if offset or top - bottom + 1 != width or width > module.kind.width:
        raise ProofError(f"{found[3]} is not the lowest bits of an element")
    _name(module, found[3], {element: 1}, width, bool(found[1]), 0)


def _register(module: Module, name: str, source: str) -> None:
    if name not in module.declared or source not in module.signals:
        raise ProofError(f"{name} <= {source} has a side that is not declared")
    value = module.signals[source]
    if module.declared[name] != (value.width, value.signed):
        raise ProofError(f"register {name} is not of the type of {source}")
    age = None if value.age is None else value.age + 1
    _name(module, name, value.form, value.width, value.signed, age)
    module.registers += 1


def _name(module: Module, name: str, form: Form, width: int, signed: bool, age: int | None) -> None:
    if name in module.signals:
        raise ProofError(f"{name} is assigned twice")
    module.signals[name] = Signal(form, width, signed, age)


_TERM = (
    rf"(?P<literal>-?(?P<size>\d+)'s?(?P<base>[dh])(?P<digits>[0-9a-f]+))"
    rf"|(?:(?P<cast>\d+)'\((?P<inner>{_NAME})\)|(?P<name>{_NAME}))"
    rf"|\((?:(?P<scast>\d+)'\((?P<sinner>{_NAME})\)|(?P<sname>{_NAME})) << (?P<shift>\d+)\)"
)


def _expression(module: Module, text: str, width: int) -> Signal:
    """A term, the sum or difference of two, or minus one; every term has the result's width."""
    minus = re.fullmatch(r"-\((.*)\)", text)
    if minus is not None:
        text, signs = minus[1], [-1]
    parts = re.split(r" ([+-]) ", text)
    if minus is None:
        signs = [1, *(1 if operator == "+" else -1 for operator in parts[1::2])]
    elif len(parts) > 1:
        raise UnreadError(f"cannot be read: -({text})")
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
    return Signal(total, width, False, ages.pop() if ages else None)


def _term(module: Module, text: str) -> Signal:
    found = re.fullmatch(_TERM, text)
    if found is None:
        raise UnreadError(f"cannot be read: {text}")
    if found["literal"]:
        size, number = int(found["size"]), int(found["digits"], 16 if found["base"] == "h" else 10)
        if number >= 1 << size:
            raise ProofError(f"{text} does not fit its own bits")
        return Signal({-1: -number if text.startswith("-") else number}, size, False, None)
    name = found["inner"] or found["name"] or found["sinner"] or found["sname"]
    if name not in module.signals:
        raise ProofError(f"{name} is read before it is assigned")
    value = module.signals[name]
    width = int(found["cast"] or found["scast"] or value.width)
    shift = int(found["shift"] or 0)
    # The bits that a shift pushes out may be anything.
    extended = width > value.width + shift
    if extended and not fits(module, value.form, value.width, value.signed):
        raise ProofError(f"{name} overflows its {value.width} bits, and is extended to {width}")
    return Signal({i: v << shift for i, v in value.form.items()}, width, value.signed, value.age)


def fits(module: Module, form: Form, width: int, signed: bool) -> bool:
    """Whether all values of a form, over the inputs that can occur, are values of a type."""
    low = high = form.get(-1, 0)
    for i, value in form.items():
        if i >= 0:
            ends = value * module.low[i], value * module.high[i]
            low, high = low + min(ends), high + max(ends)
    held = IntType(width, signed)
    return held.min <= low and high <= held.max
