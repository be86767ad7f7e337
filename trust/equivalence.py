"""Whether a mutant is the same hardware, proven by Yosys for the ways in which a cell is used.

`python -m trust battery` writes the parameters of instances of every cell, from the networks that
it looks at and from the cells' own bench, to parameters.json. A mutant that Yosys proves equal to
the cell for all of them is no mutant: no test could notice it. Equal means that every register has
one of the same name on the other side, and that from equal registers and inputs follow equal
outputs and equal next registers; what is equal only from the states that can be reached is not
found here.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from trust.bench import CELLS, uses
from trust.mutants import Mutant

PARAMETERS = Path(__file__).with_name("parameters.json")

Parameters = dict[str, str]
"""Values as Yosys writes them: 24, or 3'101."""

_TIMEOUT_S = 120
_PROGRAM = (
    "import sys\n"
    "from pyosys import libyosys\n"
    "libyosys.run_pass('script ' + sys.argv[1], libyosys.Design())\n"
)


def known_parameters() -> dict[str, list[Parameters]]:
    """For every cell the parameters with which it is used."""
    tree: dict[str, list[Parameters]] = json.loads(PARAMETERS.read_text())
    return tree


def parameters(files: Sequence[Path], top: str) -> Iterator[tuple[str, Parameters]]:
    """The cells that a design has, and the parameters of each; those of no parameters as well."""
    with tempfile.TemporaryDirectory() as name:
        made = Path(name) / "design.il"
        passes = [f"read_verilog -sv -defer {file}" for file in files]
        _yosys([*passes, f"hierarchy -check -top {top}", f"write_rtlil {made}"], Path(name))
        text = made.read_text()
    for module in re.split(r"^attribute \\hdlname ", text, flags=re.MULTILINE)[1:]:
        cell = module[1 : module.index('"', 1)]
        if (CELLS / f"{cell}.sv").is_file():
            head = module[: module.index("  wire") if "  wire" in module else None]
            found = re.findall(r"^  parameter \\(\w+) (\S+)$", head, re.MULTILINE)
            yield cell, {key: _bits(value) if '"' in value else value for key, value in found}


def _bits(word: str) -> str:
    """A string as the bits that it stands for; those of all cells are as long as "distributed"."""
    return "88'" + format(int.from_bytes(word[1:-1].encode(), "big"), "088b")


def most_different(sets: Sequence[Parameters], most: int) -> list[Parameters]:
    """Some of the parameters, first those that have a value that none before them had."""
    seen: set[tuple[str, str]] = set()
    first, others = [], []
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
        parts = sorted(_parts(cell) - {cell})
        for one in sets:
            if not _equal(cell, folder, parts, one):
                return one
    return None


def _parts(cell: str) -> set[str]:
    """The cell and all that it is made of."""
    texts = {file.stem: file.read_text() for file in CELLS.glob("*.sv")}
    found = {cell}
    while more := {n for n in texts if n not in found and any(uses(texts[o], n) for o in found)}:
        found |= more
    return found


def _equal(cell: str, folder: Path, parts: Sequence[str], values: Parameters) -> bool:
    given = " ".join(f"-chparam {name} {_constant(v)}" for name, v in values.items())
    script = []
    for which, text in (("gold", CELLS / f"{cell}.sv"), ("gate", folder / f"{cell}.sv")):
        files = [text, *(CELLS / f"{part}.sv" for part in parts)]
        script += [
            "design -reset",
            *(f"read_verilog -sv -defer {file}" for file in files),
            f"hierarchy -check -top {cell} {given}",
            "proc", "flatten", "memory -nordff", "memory_map", "opt -full", f"rename -top {which}",
            f"design -stash {which}",
        ]  # fmt: skip
    report = folder / "report"
    report.unlink(missing_ok=True)
    script += [
        "design -copy-from gold -as gold gold",
        "design -copy-from gate -as gate gate",
        "equiv_make gold gate equiv", "hierarchy -top equiv", "opt -full",
        # No equiv_induct: it takes for equal to begin with what only one side has registers for.
        "equiv_struct", "equiv_simple -undef -seq 1",
        f"tee -q -o {report} equiv_status",
    ]  # fmt: skip
    try:
        _yosys(script, folder)
    except subprocess.SubprocessError:
        return False
    return "Equivalence successfully proven" in report.read_text()


def _constant(value: str) -> str:
    """A constant as Yosys writes it, for its command line."""
    return value.replace("'", "'b") if "'" in value else value


def _yosys(script: Sequence[str], folder: Path) -> None:
    (folder / "script.ys").write_text("\n".join(script) + "\n")
    subprocess.run(
        [sys.executable, "-c", _PROGRAM, folder / "script.ys"], check=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=_TIMEOUT_S,
    )  # fmt: skip
