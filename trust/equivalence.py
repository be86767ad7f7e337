"""Whether a mutant is the same hardware, proven by Yosys for the ways in which a cell is used.

`python -m trust battery` writes the parameters of instances of every cell, from the networks that
it looks at and from the cells' own bench, to parameters.json. A mutant that Yosys proves equal to
the cell for all of them is no mutant: no test could notice it. Equal means that every register has
one of the same name on the other side, and that from equal registers and inputs follow equal
outputs and equal next registers; what is equal only from the states that can be reached is for
sequential.py.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from trust.bench import CELLS, uses
from trust.mutants import Mutant

PARAMETERS = Path(__file__).with_name("parameters.json")

Parameters = dict[str, str]
"""Values as Yosys writes them: 24, or 3'101."""

_TIMEOUT_S = 120
PROGRAM = (
    "import sys\n"
    "from pyosys import libyosys\n"
    "libyosys.run_pass('script ' + sys.argv[1], libyosys.Design())\n"
)


def known_parameters() -> dict[str, list[Parameters]]:
    """For every cell the parameters with which it is used."""
    tree: dict[str, list[Parameters]] = json.loads(PARAMETERS.read_text())
    return tree


def elaborated(files: Sequence[Path], top: str) -> dict[str, str]:
    """The modules of a design, a cell once for each of its parameters, as Yosys writes them."""
    with tempfile.TemporaryDirectory() as name:
        made = Path(name) / "design.il"
        passes = [f"read_verilog -sv -defer {file}" for file in files]
        _yosys([*passes, f"hierarchy -check -top {top}", f"write_rtlil {made}"], Path(name))
        text = made.read_text()
    modules = re.split(r"^(?=attribute \\hdlname )", text, flags=re.MULTILINE)[1:]
    return {re.findall(r"^module (\S+)$", one, re.MULTILINE)[0]: one for one in modules}


def parameters(modules: Iterable[str]) -> Iterator[tuple[str, Parameters]]:
    """The cells among the modules of a design, and the parameters of each."""
    for module in modules:
        cell = module.split('"')[1]
        if (CELLS / f"{cell}.sv").is_file():
            head = module.partition("  wire")[0]
            found = re.findall(r"^  parameter \\(\w+) (\S+)$", head, re.MULTILINE)
            yield cell, {key: _bits(value) if '"' in value else value for key, value in found}


def _bits(word: str) -> str:
    """A string as the bits that it stands for; those of all cells are as long as "distributed"."""
    return "88'" + format(int.from_bytes(word[1:-1].encode(), "big"), "088b")


def most_different(sets: Sequence[Parameters], most: int) -> list[Parameters]:
    """Some of the parameters, first those that have a value that none before them had."""
    seen: set[tuple[str, str]] = set()
    first, others = list[Parameters](), list[Parameters]()
    for one in sets:
        new = features(one) - seen
        (first if new else others).append(one)
        seen |= new
    return [*first, *others][:most]


def features(one: Parameters) -> set[tuple[str, str]]:
    """What may choose a branch of a cell: whether a value is 0, 1, 2 or more, and every word."""
    found = set()
    for name, value in one.items():
        _, bits, digits = value.rpartition("'")
        number = int(digits, 2 if bits else 10)
        found.add((name, value if number >> 40 else str(min(number, 3))))
    return found


def same(cell: str, mutant: Mutant, sets: Sequence[Parameters]) -> Parameters | None:
    """None if a mutant is the cell for all of these parameters, else the first where it may not."""
    with tempfile.TemporaryDirectory(prefix="bitwright-equal-") as name:
        folder = Path(name)
        (folder / f"{cell}.sv").write_text(mutant.text)
        parts = sorted(parts_of(cell) - {cell})
        for one in sets:
            if not _equal(cell, folder, parts, one):
                return one
    return None


def parts_of(cell: str) -> set[str]:
    """The cell and all that it is made of."""
    texts = {file.stem: file.read_text() for file in CELLS.glob("*.sv")}
    found = {cell}
    while more := {n for n in texts if n not in found and any(uses(texts[o], n) for o in found)}:
        found |= more
    return found


def _equal(cell: str, folder: Path, parts: Sequence[str], values: Parameters) -> bool:
    """Both in a module with the ports that the cell has, whatever the mutant makes of their widths.

    A port of another width is cut or filled up there as where the cell is used.
    """
    outside = folder / "around.sv"
    outside.write_text(around(cell, values))
    script = []
    for which, text in (("gold", CELLS / f"{cell}.sv"), ("gate", folder / f"{cell}.sv")):
        files = [text, *(CELLS / f"{part}.sv" for part in parts), outside]
        script += [
            "design -reset",
            *(f"read_verilog -sv -defer {file}" for file in files),
            "hierarchy -check -top around",
            "proc", "flatten", "memory -nordff", "memory_map", "opt -full", f"rename -top {which}",
            f"design -stash {which}",
        ]  # fmt: skip
    reports = [folder / "undefined", folder / "free"]
    for report in reports:
        report.unlink(missing_ok=True)
        script += [
            "design -reset",
            "design -copy-from gold -as gold gold", "design -copy-from gate -as gate gate",
            # What is undefined is worse than anything; or else it is any of 0 and 1, on each side.
            *(["setundef -undriven -anyseq"] if report.name == "free" else []),
            "equiv_make gold gate equiv", "hierarchy -top equiv",
            "opt -full",
            # No equiv_induct: it takes for equal to begin with what only one side remembers.
            "equiv_struct",
            f"equiv_simple -seq 1 {'-undef' if report.name == 'undefined' else ''}",
            f"tee -q -o {report} equiv_status",
        ]  # fmt: skip
    with suppress(subprocess.SubprocessError):
        _yosys(script, folder)
    return any(
        report.is_file() and "Equivalence successfully proven" in report.read_text()
        for report in reports
    )


def around(cell: str, values: Parameters, name: str = "around") -> str:
    """A module with a cell of these parameters in it, and its ports."""
    ports = _ports(cell, tuple(values.items()))
    given = ", ".join(f".{name}({_constant(value)})" for name, value in values.items())
    declared = ",\n".join(f"  {way} wire [{width - 1}:0] {name}" for name, way, width in ports)
    wired = ", ".join(f".{name}({name})" for name, _, _ in ports)
    return f"module {name} (\n{declared}\n);\n  {cell} #({given}) u_cell ({wired});\nendmodule\n"


@cache
def _ports(cell: str, values: tuple[tuple[str, str], ...]) -> list[tuple[str, str, int]]:
    """Name, direction and width of the ports that a cell has with these parameters."""
    given = " ".join(f"-chparam {name} {_constant(value)}" for name, value in values)
    with tempfile.TemporaryDirectory() as name:
        made = Path(name) / "cell.il"
        passes = [f"read_verilog -sv -defer {CELLS / part}.sv" for part in sorted(parts_of(cell))]
        passes += [f"hierarchy -check -top {cell} {given}", f"select -module {cell}",
                   f"write_rtlil -selected {made}"]  # fmt: skip
        _yosys(passes, Path(name))
        lines = [line.split() for line in made.read_text().splitlines() if line[:7] == "  wire "]
    ports = [
        (words[-1][1:], way, int(words[words.index("width") + 1]) if "width" in words else 1)
        for words in lines
        for way in {"input", "output"} & set(words)
    ]
    text = (CELLS / f"{cell}.sv").read_text()
    if len(ports) != len(re.findall(r"^  (?:input|output) ", text, re.MULTILINE)):
        raise AssertionError(f"the ports of {cell} are {text}")
    return ports


def _constant(value: str) -> str:
    """A constant as Yosys writes it, for its command line."""
    return value.replace("'", "'b") if "'" in value else value


def _yosys(script: Sequence[str], folder: Path) -> None:
    (folder / "script.ys").write_text("\n".join(script) + "\n")
    subprocess.run(
        [sys.executable, "-c", PROGRAM, folder / "script.ys"], check=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=_TIMEOUT_S,
    )  # fmt: skip
