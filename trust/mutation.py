"""Mutation: every cell of the RTL library with small mistakes, which the battery has to find.

    python -m trust mutate --hours 2

The battery of a cell is a few small networks that use it (`battery.json`, chosen by
`python -m trust battery`); the test suite runs all of them. Mutants are renamed copies beside each
other in one model, so that a build serves many. A mutant is killed by a wrong output, a wrong
cycle, a broken rule of the protocol, or a design that stops. Each cell is a row of
docs/results/trust/mutation.csv, and what survives is in survivors.csv, with a reason where it
computes the same.
"""

import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bitwright.models.errors import BitwrightError, ToolError
from bitwright.rtl_tb import Design, Simulator, emit
from bitwright.rtl_tb.many import build_many
from trust import engines, results
from trust.engines import Case
from trust.mutants import Mutant, mutants
from trust.networks import network, work

SEED = 7  # of the battery's networks
BATTERY = Path(__file__).with_name("battery.json")
CELLS = Path(__file__).parent.parent / "rtl_tb" / "lib"

_AMONG, _EACH = 200, 4
_AT_ONCE = 24


def chosen() -> dict[str, list[int]]:
    """For every cell the numbers of the networks in its battery."""
    tree: dict[str, list[int]] = json.loads(BATTERY.read_text())
    return tree


def battery() -> None:
    """Choose the networks of every cell's battery, and write battery.json."""
    found: dict[str, list[tuple[int, int]]] = {}
    with tempfile.TemporaryDirectory() as name:
        for number in range(_AMONG):
            one = network(SEED, number)
            if one.plan.redundancy == 3 and number > 100:
                continue
            try:
                design = emit(one.graph, one.plan, Path(name) / "rtl", one.form)
            except BitwrightError:
                continue
            size = sum(file.stat().st_size for file in design.files) + 50 * work(one.graph)
            for file in design.files:
                if file.parent.name == "lib":
                    found.setdefault(file.stem, []).append((size, number))
    tree = {cell: [n for _, n in sorted(found[cell])[:_EACH]] for cell in sorted(found)}
    BATTERY.write_text(json.dumps(tree, indent=1) + "\n")
    missing = sorted({file.stem for file in CELLS.glob("*.sv")} - set(tree))
    Console().print(f"{len(tree)} cells; no network has {', '.join(missing) or 'none'}")


def renamed(design: Design, cell: str, mutant: Mutant, tag: str, folder: Path) -> Design:
    """A copy of a design with a mutant in it, all of its own modules and that cell renamed.

    Cells that instantiate the mutated one are copied and renamed as well.
    """
    texts = {file.stem: file.read_text() for file in design.files}
    texts[cell] = mutant.text
    own = {file.stem for file in design.files if file.parent.name != "lib"} | {cell}
    while more := {n for n in texts if n not in own and any(_uses(texts[n], o) for o in own)}:
        own |= more
    pattern = re.compile(r"\b(" + "|".join(sorted(own, key=len, reverse=True)) + r")\b")
    folder.mkdir(parents=True)
    files = []
    for file in design.files:
        if file.stem in own:
            place = folder / f"{file.stem}_{tag}.sv"
            place.write_text(pattern.sub(rf"\1_{tag}", texts[file.stem]))
            files.append(place)
        else:
            files.append(file)
    return replace(design, top=f"{design.top}_{tag}", files=tuple(files))


def _uses(text: str, cell: str) -> bool:
    return re.search(rf"^\s*{cell} (#\(|u_)", text, re.MULTILINE) is not None


class Battery:
    """The networks of one cell, emitted, with their inputs and expected outputs."""

    def __init__(self, cell: str, numbers: Sequence[int], folder: Path) -> None:
        self.cell, self.folder = cell, folder
        self.cases: list[tuple[Case, Design]] = []
        for number in numbers:
            case = engines.case(network(SEED, number), number)
            one = case.network
            design = emit(one.graph, one.plan, folder / f"n{number}", one.form)
            self.cases.append((case, design))
        self._builds = 0

    def killed(self, given: Sequence[Mutant]) -> list[str | None]:
        """For every mutant how it was noticed: "" if it was not, None if it is no design."""
        answers: list[str | None] = [""] * len(given)
        for case, design in self.cases:
            left = [i for i, answer in enumerate(answers) if answer == ""]
            for i, answer in zip(left, self._noticed(case, design, [given[i] for i in left]),
                                 strict=True):  # fmt: skip
                answers[i] = answer
        return answers

    def _noticed(self, case: Case, design: Design, given: Sequence[Mutant]) -> list[str | None]:
        if not given:
            return []
        self._builds += 1
        place = self.folder / f"build{self._builds}"
        try:
            made = [
                renamed(design, self.cell, mutant, f"m{i}", place / f"m{i}")
                for i, mutant in enumerate(given)
            ]
            simulators = build_many(made, place / "sim")
        except ToolError:
            if len(given) == 1:
                return [None]
            half = len(given) // 2
            return [
                *self._noticed(case, design, given[:half]),
                *self._noticed(case, design, given[half:]),
            ]
        answers: list[str | None] = [_judged(case, simulator) for simulator in simulators]
        shutil.rmtree(place)
        return answers


def _judged(case: Case, simulator: Simulator) -> str:
    try:
        return engines.simulated(case, simulator)
    except BitwrightError as error:
        return str(error) or type(error).__name__


def mutate(
    hours: Annotated[float, typer.Option(help="how long")] = 2.0,
    cell: Annotated[str, typer.Option(help="only this one")] = "",
) -> None:
    """Mutants of the library cells against the battery."""
    console = Console()
    end = time.monotonic() + hours * 3600
    numbers = chosen()
    sizes = {name: (CELLS / f"{name}.sv").stat().st_size for name in numbers}
    known = {row["cell"] for row in results.rows("mutation")}
    for name in sorted(numbers, key=lambda one: sizes[one]):
        if time.monotonic() > end or (name != cell if cell else name in known):
            continue
        begun = time.monotonic()
        total, killed = 0, 0
        with tempfile.TemporaryDirectory(prefix="bitwright-mutants-") as folder:
            tested = Battery(name, numbers[name], Path(folder))
            waiting = mutants((CELLS / f"{name}.sv").read_text())
            survivors = []
            for batch in _batches(waiting):
                for mutant, answer in zip(batch, tested.killed(batch), strict=True):
                    total += answer is not None
                    killed += bool(answer)
                    if answer == "":
                        survivors.append(mutant)
        for mutant in survivors:
            row = {"cell": name, "what": mutant.what, "reason": _reason(name, mutant)}
            results.record("survivors", ("cell", "what"), row)
            console.print(f"  survives: {mutant.what}", markup=False, highlight=False)
        row_of_cell = {"cell": name, "total": total, "killed": killed,
                       "seconds": round(time.monotonic() - begun),
                       "commit": results.commit()}  # fmt: skip
        results.record("mutation", ("cell",), row_of_cell)
        console.print(f"{name}: {killed} of {total} killed", highlight=False)


def _batches(waiting: Iterator[Mutant]) -> Iterator[list[Mutant]]:
    while batch := list(islice(waiting, _AT_ONCE)):
        yield batch


def _reason(cell: str, mutant: Mutant) -> str:
    """What a person wrote about this survivor before."""
    for row in results.rows("survivors"):
        if (row["cell"], row["what"]) == (cell, mutant.what):
            return row["reason"]
    return ""
