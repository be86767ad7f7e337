"""Mutation of the emitters: Python that writes SystemVerilog, with one small mistake each.

    python -m trust mutate-emitters --hours 2

A mutant is imported in a forked process and goes on until something notices it:

1. it emits a few networks that have every cell in them: it may raise, or a design that differs
   from the right one has warnings, or does something wrong in simulation;
2. networks made by hand (handmade.py) and all others of the battery, likewise; but before the
   simulations come the tests of texts: tests/test_rtl_tb_emit.py and those of the emitter's file.

One that differs in comments or spaces alone is no mutant. Each file is a row of
docs/results/trust/mutation.csv, like the library cells.
"""

import importlib
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal, get_args

import numpy as np
import pytest
import typer
from rich.console import Console

from bitwright.models.errors import BitwrightError
from bitwright.rtl_tb import Design, load_design
from bitwright.rtl_tb.many import build_many
from trust import engines, results
from trust.battery import SEED, chosen
from trust.engines import Case
from trust.handmade import handmade
from trust.lint import said_of
from trust.mutation import record
from trust.networks import network
from trust.python_mutants import Mutated, python_mutants

ROOT = Path(__file__).parent.parent
ROOM = ROOT / "rtl_tb"
EMITTERS = ("text", "memory", "plain", "layers", "heads", "products", "streamed",
            "folded", "redundant", "loading", "emit")  # fmt: skip

_AT_ONCE = 16
_LINTED = 3  # designs of a mutant that are looked at for warnings
_CPU_S, _WALL_S = 60, 240  # to emit all networks, or to run tests
_RIGHT, _TAG = "_right", "_is_{:02}"  # all as long, for lines may be broken behind them
_WORDS = "words.npy"

Verdict = Literal["alike", "comments", "differs", "raises", "warns", "wrong", "fails"]
"""alike: it emits the same text. comments: the same but for comments and spaces. differs: another
design, and nobody noticed. The others are killed; fails: a test."""
_ORDER = get_args(Verdict)
SURVIVES: tuple[Verdict, ...] = ("alike", "differs")
KILLED: tuple[Verdict, ...] = ("raises", "warns", "wrong", "fails")


def _forked(work: Callable[[], bool]) -> bool:
    """What `work` returns in a process of its own; False where it raised or took too long.

    The adder-graph solver's threads do not live on in a forked process: the one that calls this
    must not have used it.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
            os.setsid()  # the tools that it starts end with it
            for stream in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
            status = 0 if work() else 1
        finally:
            os._exit(status)
    end = time.monotonic() + _WALL_S
    while time.monotonic() < end:
        done, code = os.waitpid(child, os.WNOHANG)
        if done:
            return code == 0
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _import_as(emitter: str, text: str, room: str) -> None:
    """Let modules whose names begin with `room` be imported again, and one emitter be a mutant."""
    for name in [n for n in sys.modules if n.startswith(room)]:
        del sys.modules[name]
    mutated = Mutated(f"bitwright.rtl_tb.{emitter}", ROOM / f"{emitter}.py", text)
    sys.meta_path.insert(0, mutated)


def emitted_by(emitter: str, text: str, cases: Sequence[Case], tag: str, folder: Path) -> bool:
    """Emit with a mutant, as graphs named after the tag; False where it raised anything."""

    def work() -> bool:
        _import_as(emitter, text, "bitwright.rtl_tb")
        fresh = importlib.import_module("bitwright.rtl_tb.emit")
        loads = importlib.import_module("bitwright.rtl_tb.loading")
        for case in cases:
            one = case.network
            graph = replace(one.graph, name=f"{one.graph.name}{tag}")
            fresh.emit(graph, one.plan, folder / one.graph.name, one.form)
            made = load_design(folder / one.graph.name)
            assert made.input_beat.size and made.output_beat.size  # or they raise
            if one.loaded is not None:
                words = loads.load_words(one.loaded, one.plan, one.graph)
                np.save(folder / one.graph.name / _WORDS, words)
        return True

    return _forked(work)


def passes(emitter: str, text: str, folder: Path) -> bool:
    """Whether a mutant passes the tests of emitted texts, and of its own file. folder: for them."""
    names = dict.fromkeys((emitter, "emit"))
    files = [ROOT / "tests" / f"test_rtl_tb_{name}.py" for name in names]

    def work() -> bool:
        _import_as(emitter, text, "bitwright")
        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", f"--rootdir={ROOT}",
                   f"--basetemp={folder}"]  # fmt: skip
        return pytest.main([*options, *(str(file) for file in files if file.is_file())]) == 0

    return _forked(work)


def _words(folder: Path) -> engines.Words | None:
    """What is loaded into a design, if anything."""
    file = folder / _WORDS
    return np.load(file, allow_pickle=False) if file.is_file() else None


class Emitter:
    """An emitter, and networks that it emits, with what they are without a mistake."""

    def __init__(
        self, emitter: str, cases: Sequence[Case], folder: Path, tests: bool = False
    ) -> None:
        """tests: mutants have to pass those of texts, too."""
        self.emitter, self.cases, self.folder, self.tests = emitter, cases, folder, tests
        source = (ROOM / f"{emitter}.py").read_text()
        if not emitted_by(emitter, source, cases, _RIGHT, folder / "right"):
            raise AssertionError(f"{emitter}.py does not emit without a mistake")
        if tests and not self._passes(source):
            raise AssertionError(f"the tests of {emitter}.py fail without a mistake")
        self.right = [self._code("right", case, _RIGHT) for case in cases]
        self._turns = 0

    def _passes(self, text: str) -> bool:
        return passes(self.emitter, text, self.folder / "tests")

    def _code(self, place: str, case: Case, tag: str) -> tuple[str, str]:
        """A design's texts without tags, and their words but for comments; with what is loaded.

        The digest of a graph follows from its name, and so from the tag.
        """
        name = case.network.graph.name
        design = load_design(self.folder / place / name)
        parts = [design.to_json(""), *(file.read_text() for file in design.files)]
        text = "".join(parts).replace(f"{name}{tag}", name)
        text = re.sub(r"// Generated by bitwright from graph [0-9a-f]{16}\.", "", text)
        words = repr(getattr(_words(self.folder / place / name), "tolist", str)())
        code = " ".join(re.sub(r"//[^\n]*", "", text).split())
        return text + words, code + words

    def judged(self, given: Sequence[str]) -> list[Verdict]:
        """What becomes of the text of every mutant."""
        verdicts: list[Verdict] = []
        waiting: dict[int, list[tuple[Case, Design]]] = {}
        for i, text in enumerate(given):
            verdict, differ = self._emitted(i, text)
            if self.tests and verdict in SURVIVES and not self._passes(text):
                verdict = "fails"
            verdicts.append(verdict)
            if verdict == "differs":
                waiting[i] = differ
        for turn in range(max(map(len, waiting.values()), default=0)):
            left = [
                (i, *differ[turn])
                for i, differ in waiting.items()
                if len(differ) > turn and verdicts[i] != "wrong"
            ]
            for i, wrong in self._wrong(left):
                if wrong:
                    verdicts[i] = "wrong"
        for i in range(len(given)):
            shutil.rmtree(self.folder / f"m{i}", ignore_errors=True)
        return verdicts

    def _emitted(self, i: int, text: str) -> tuple[Verdict, list[tuple[Case, Design]]]:
        """What a mutant emits, without a simulation, and the designs that differ in words."""
        tag, place = _TAG.format(i), self.folder / f"m{i}"
        if not emitted_by(self.emitter, text, self.cases, tag, place):
            return "raises", []
        verdict: Verdict = "alike"
        differ = []
        for case, (right, code) in zip(self.cases, self.right, strict=True):
            made, made_code = self._code(f"m{i}", case, tag)
            if made_code != code:
                differ.append((case, load_design(place / case.network.graph.name)))
            elif made != right:
                verdict = "comments"
        if differ:
            warned = any(said_of(design.files) for _, design in differ[:_LINTED])
            verdict = "warns" if warned else "differs"
        return verdict, differ

    def _wrong(self, given: list[tuple[int, Case, Design]]) -> Iterator[tuple[int, bool]]:
        if not given:
            return
        self._turns += 1
        place = self.folder / f"sim{self._turns}"
        try:
            simulators = build_many([design for _, _, design in given], place)
        except BitwrightError:
            if len(given) == 1:
                yield given[0][0], True
            else:
                half = len(given) // 2
                yield from self._wrong(given[:half])
                yield from self._wrong(given[half:])
            return
        for (i, case, _), simulator in zip(given, simulators, strict=True):
            try:
                words = _words(self.folder / f"m{i}" / case.network.graph.name)
                wrong = bool(engines.simulated(case, simulator, words))
            except BitwrightError:
                wrong = True
            yield i, wrong
        shutil.rmtree(place)


def _covering(cells: Mapping[str, Sequence[int]]) -> list[int]:
    """A few networks of the battery that have all of its cells."""
    found: list[int] = []
    left = dict(cells)
    while left:
        counts = Counter(number for numbers in left.values() for number in numbers)
        found.append(max(sorted(counts), key=counts.__getitem__))
        left = {cell: numbers for cell, numbers in left.items() if found[-1] not in numbers}
    return found


def judged(emitter: str, mutants: Mapping[str, str]) -> dict[str, Verdict]:
    """What becomes of every mutant of an emitter, the quickest way to notice one first."""
    found: dict[str, Verdict] = dict.fromkeys(mutants, "alike")
    few = _covering(chosen())
    rest = sorted({number for numbers in chosen().values() for number in numbers} - set(few))
    random = {number: network(SEED, number) for number in (*few, *rest)}
    first = [random[number] for number in few]
    then = [*handmade(), *(random[number] for number in rest)]
    for networks, tests in ((first, False), (then, True)):
        left = [what for what in mutants if found[what] not in KILLED]
        cases = [engines.case(one, number) for number, one in enumerate(networks)]
        with tempfile.TemporaryDirectory(prefix="bitwright-mutants-") as folder:
            tested = Emitter(emitter, cases, Path(folder), tests)
            for start in range(0, len(left), _AT_ONCE):
                batch = left[start : start + _AT_ONCE]
                verdicts = tested.judged([mutants[what] for what in batch])
                for what, verdict in zip(batch, verdicts, strict=True):
                    found[what] = max(found[what], verdict, key=_ORDER.index)
    return found


def mutate_emitters(
    hours: Annotated[float, typer.Option(help="how long")] = 2.0,
    emitter: Annotated[str, typer.Option(help="only this one")] = "",
    every: Annotated[int, typer.Option(help="only one mutant in so many")] = 1,
) -> None:
    """Mutants of the emitters against the battery."""
    console = Console()
    end = time.monotonic() + hours * 3600
    known = {row["cell"] for row in results.rows("mutation")}
    for name in EMITTERS:
        file = ROOM / f"{name}.py"
        wanted = name == emitter if emitter else file.name not in known
        if time.monotonic() > end or not wanted:
            continue
        begun = time.monotonic()
        mutants = dict(islice(python_mutants(file.read_text()), 0, None, every))
        found = judged(name, mutants)
        counts = Counter(found.values())
        total = len(mutants) - counts["comments"]
        killed = sum(counts[how] for how in KILLED)
        survivors = [what for what, verdict in found.items() if verdict in SURVIVES]
        record(file.name, total, killed, counts["comments"], begun, survivors)
        console.print(
            f"{file.name}: {killed} of {total} killed ("
            + ", ".join(f"{counts[how]} {how}" for how in KILLED)
            + f"), {counts['comments']} change comments, {time.monotonic() - begun:.0f} s",
            highlight=False,
        )
        for what in survivors:
            console.print(f"  {found[what]}: {what}", markup=False, highlight=False)
