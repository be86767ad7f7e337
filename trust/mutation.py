"""Mutation: every cell of the RTL library with small mistakes, which the test suite has to find.

    python -m trust mutate --hours 2

Mutants are renamed copies beside each other in one model, so that a build serves many. Each goes
through the cell's own bench (bench.py), a look for new warnings (lint.py), the networks of its
battery (battery.py) and the benches of the cells that use it, until something notices: a wrong
output, a wrong cycle, a warning, a broken rule of the protocol, or a design that stops. What
nothing notices and what is proven equal (equivalence.py, sequential.py) is no mutant, like what
cannot be elaborated.
Each cell is a row of docs/results/trust/mutation.csv; what survives is in survivors.csv, for a
person to strengthen the bench, or to write the reason.
"""

import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bitwright.models.errors import BitwrightError, ToolError
from bitwright.rtl_tb import Design, Simulator, emit
from bitwright.rtl_tb.many import build_many
from trust import engines, results
from trust.battery import SEED, chosen
from trust.bench import CELLS, Bench, blamed, in_parts, renamed, users
from trust.engines import Case
from trust.equivalence import known_parameters, same
from trust.lint import warnings
from trust.mutants import Mutant, mutants
from trust.networks import network
from trust.sequential import never_differs

_AT_ONCE = 24


def with_mutant(design: Design, cell: str, mutant: Mutant, tag: str, folder: Path) -> Design:
    """A copy of a design with a mutant in it, all of its own modules and that cell renamed.

    Cells that instantiate the mutated one are copied and renamed as well.
    """
    texts = {file.stem: file.read_text() for file in design.files} | {cell: mutant.text}
    own = {file.stem for file in design.files if file.parent.name != "lib"} | {cell}
    names = users(texts, own)
    folder.mkdir(parents=True)
    for name, text in renamed(texts, names, tag).items():
        (folder / f"{name}.sv").write_text(text)
    files = [folder / f"{f.stem}_{tag}.sv" if f.stem in names else f for f in design.files]
    return replace(design, top=f"{design.top}_{tag}", files=tuple(files))


def itself(cell: str) -> Mutant:
    """The cell without a mistake."""
    return Mutant("no mutant", (CELLS / f"{cell}.sv").read_text())


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

    def noticed(self, given: Sequence[Mutant]) -> list[str | None]:
        """For every mutant how it was noticed: "" if it was not, None if it is no design."""
        answers: list[str | None] = [""] * len(given)
        for case, design in self.cases:
            left = [i for i, answer in enumerate(answers) if answer == ""]
            for start in range(0, len(left), _AT_ONCE):
                batch = left[start : start + _AT_ONCE]
                made = self._noticed(case, design, [given[i] for i in batch])
                for i, answer in zip(batch, made, strict=True):
                    answers[i] = answer
        return answers

    def _noticed(self, case: Case, design: Design, given: Sequence[Mutant]) -> list[str | None]:
        """One model for all of them; the cell itself is among them, see `in_parts`."""
        if not given:
            return []
        self._builds += 1
        place = self.folder / f"build{self._builds}"
        try:
            made = [
                with_mutant(design, self.cell, mutant, f"m{i}", place / f"m{i}")
                for i, mutant in enumerate([itself(self.cell), *given])
            ]
            simulators = build_many(made, place / "sim")
            right, *answers = (_judged(case, simulator) for simulator in simulators)
        except ToolError as error:
            if len(given) == 1:
                return [None]
            return in_parts(given, blamed(error), lambda part: self._noticed(case, design, part))
        finally:
            shutil.rmtree(place, ignore_errors=True)
        if right and len(given) > 1:
            return in_parts(given, set(), lambda part: self._noticed(case, design, part))
        return [right or answer for answer in answers]


def _judged(case: Case, simulator: Simulator) -> str:
    try:
        return engines.simulated(case, simulator)
    except BitwrightError as error:
        return str(error) or type(error).__name__


@dataclass(slots=True)
class Verdict:
    """What became of the mutants of a cell.

    same: how many are the same hardware, which are not among the total.
    """

    total: int = 0
    killed: int = 0
    same: int = 0
    survivors: list[Mutant] = field(default_factory=list)


def judged(cell: str, numbers: Sequence[int], folder: Path) -> Verdict:
    """All mutants of a cell, the quickest way to notice one first."""
    own, users = Bench(cell, folder / "own"), Bench(cell, folder / "users", of_users=True)
    first, last = (own, users) if own.models else (users, own)
    sets = known_parameters().get(cell, [])
    found = Verdict()
    left = _noticed(first, list(mutants((CELLS / f"{cell}.sv").read_text())), found)
    known = warnings(cell, itself(cell).text, sets)
    silent = [mutant for mutant in left if warnings(cell, mutant.text, sets) <= known]
    found.total += len(left) - len(silent)
    found.killed += len(left) - len(silent)
    different = [mutant for mutant in silent if same(cell, mutant, sets) is not None]
    found.same = len(silent) - len(different)
    networks = Battery(cell, numbers, folder / "networks")
    left = _noticed(last, _noticed(networks, different, found), found)
    found.survivors = [mutant for mutant in left if never_differs(cell, mutant, sets) is not None]
    found.same += len(left) - len(found.survivors)
    found.total += len(found.survivors)
    return found


def _noticed(bench: Bench | Battery, given: list[Mutant], found: Verdict) -> list[Mutant]:
    """The mutants that a bench does not notice; the others are counted.

    The cell itself is among them, or nothing would be proven by what is noticed.
    """
    if not given:
        return []
    first, *answers = bench.noticed([itself(bench.cell), *given])
    if first != "":
        raise AssertionError(f"{bench.cell} is no mutant, and {first or 'cannot be elaborated'}")
    killed = len(given) - answers.count("") - answers.count(None)
    found.total += killed
    found.killed += killed
    return [mutant for mutant, answer in zip(given, answers, strict=True) if answer == ""]


def mutate(
    hours: Annotated[float, typer.Option(help="how long")] = 2.0,
    cell: Annotated[str, typer.Option(help="only this one")] = "",
) -> None:
    """Mutants of the library cells against the battery."""
    console = Console()
    end = time.monotonic() + hours * 3600
    numbers = chosen()
    known = {row["cell"] for row in results.rows("mutation")}
    for file in sorted(CELLS.glob("*.sv"), key=lambda one: one.stat().st_size):
        name = file.stem
        if time.monotonic() > end or (name != cell if cell else name in known):
            continue
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="bitwright-mutants-") as folder:
            found = judged(name, numbers.get(name, ()), Path(folder))
        record(name, found.total, found.killed, found.same, begun,
               [mutant.what for mutant in found.survivors])  # fmt: skip
        console.print(
            f"{name}: {found.killed} of {found.total} killed, {found.same} are the same hardware, "
            f"{time.monotonic() - begun:.0f} s",
            highlight=False,
        )
        for mutant in found.survivors:
            console.print(f"  survives: {mutant.what}", markup=False, highlight=False)


def record(
    name: str, total: int, killed: int, same: int, begun: float, survivors: Sequence[str]
) -> None:
    """Write the row of a cell or an emitter, and its survivors in the place of those before."""
    before = {row["what"]: row for row in results.rows("survivors") if row["cell"] == name}
    for row in before.values():
        results.forget("survivors", row)
    for what in survivors:
        reason = before[what]["reason"] if what in before else ""
        results.record(
            "survivors", ("cell", "what"), {"cell": name, "what": what, "reason": reason}
        )
    results.record("mutation", ("cell",), {
        "cell": name, "total": total, "killed": killed, "same": same,
        "seconds": round(time.monotonic() - begun), "commit": results.commit(),
    })  # fmt: skip
