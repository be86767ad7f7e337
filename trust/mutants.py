"""Mutants of the library cells: SystemVerilog with one small mistake each.

Operators, constants, widths, conditions and handshakes, one place at a time, outside comments,
headers of parameters and messages. What cannot be elaborated is no mutant.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Longest first: what is matched is one token.
_SWAPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"<<", (">>",)), (r">>", ("<<",)), (r"&&", ("||",)), (r"\|\|", ("&&",)),
    (r"==", ("!=",)), (r"!=", ("==",)), (r">=", (">", "<")), (r"\+\+", ()), (r"\+:", ()),
    (r"-:", ()), (r"<=", ()), (r"(?<=[\w)\]] )<(?= )", ("<=", ">=")),
    (r"(?<=[\w)\]] )>(?= )", (">=", "<=")), (r"(?<=[\w)\]] )\+(?= )", ("-",)),
    (r"(?<=[\w)\]] )-(?= )", ("+",)), (r"(?<=[\w)\]] )\*(?= )", ("+",)),
    (r"(?<=[\w)\]] )\^(?= )", ("|",)), (r"(?<=[\w)\]] )&(?= )", ("|",)),
    (r"(?<=[\w)\]] )\|(?= )", ("&",)), (r"~", ("",)), (r"!", ("",)),
    (r"1'b0", ("1'b1",)), (r"1'b1", ("1'b0",)), (r"'0", ("'1",)),
    (r"(?<![\w'.$])\d+(?![\w'])", ("+1", "-1")), (r"\b\w*'\(", ()), (r"'", ()),
    (r"\b(?:rst_ni|enable_i|valid_i|ready_i|valid_q|reserve_i)\b(?! *(?:\(|\[|<=|=[^=]))",
     ("1'b1", "1'b0")),
)  # fmt: skip
_TOKEN = re.compile("|".join(f"(?P<t{i}>{pattern})" for i, (pattern, _) in enumerate(_SWAPS)))
_STATEMENT = re.compile(r"^\s*(?:if \([^;]*?\) |else )?(\w[\w\[\]:+\- ]* <= [^;]*);")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A changed text. what: the line's number, and what became of it."""

    what: str
    text: str


def mutants(text: str) -> Iterator[Mutant]:
    """Every mutant of a cell, in the order of its lines."""
    lines = text.splitlines()
    for i in _code(lines):
        code = lines[i].partition("//")[0]
        for changed in dict.fromkeys(_changes(code)):
            if changed != code:
                made = [*lines[:i], changed, *lines[i + 1 :]]
                what = f"{i + 1}: {code.strip()} -> {changed.strip()}"
                yield Mutant(what, "\n".join(made) + "\n")


def _changes(code: str) -> Iterator[str]:
    for found in _TOKEN.finditer(code):
        token = found[0]
        assert found.lastgroup is not None
        for other in _SWAPS[int(found.lastgroup[1:])][1]:
            put = str(int(token) + int(other)) if other in ("+1", "-1") else other
            if not put.startswith("-"):
                yield code[: found.start()] + put + code[found.end() :]
    if assignment := _STATEMENT.match(code):
        yield code[: assignment.start(1)] + code[assignment.end(1) :]  # nothing is assigned


def _code(lines: list[str]) -> Iterator[int]:
    """The lines that make hardware: behind the ports, without messages and their conditions."""
    body, checks, ports = False, 0, False
    for i, line in enumerate(lines):
        stripped = line.strip()
        if checks:
            checks += len(re.findall(r"\bbegin\b", line)) - len(re.findall(r"\bend\b", line))
            continue
        if stripped.startswith("localparam"):
            yield i
            continue
        if not body:
            ports = ports or stripped.startswith(("input", "output"))
            body = stripped == ");"
            continue
        if not stripped or stripped.startswith(("//", "(*", "module", "endmodule", "input")):
            continue
        if re.match(r"(assign|wire) unused\b", stripped):
            continue
        if re.match(r"(logic|wire|int)\b[^=]*;", stripped):
            continue  # a declaration: most of its mutants are none
        if ": g_check" in line or "$error" in line:
            checks = line.count("begin")
            continue
        yield i
