"""Mutation of the emitters: Python that writes SystemVerilog, with one small mistake each.

    python -m trust mutate-emitters --hours 2

A mutant is imported in a forked process and emits the networks of the battery, at first a few, and
then, if nothing noticed it, all. It is killed if it raises, or if a design that differs from the
right one does something wrong, or has warnings. One that differs in comments or spaces alone is no
mutant. Each file is a row of docs/results/trust/mutation.csv, like the library cells.
"""

import ast
import importlib
import importlib.util
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.machinery import ModuleSpec
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
import typer
from rich.console import Console

from bitwright.models.errors import BitwrightError, ToolError
from bitwright.rtl_tb import Design, load_design
from bitwright.rtl_tb.many import build_many
from trust import engines, results
from trust.battery import SEED, chosen
from trust.engines import Case
from trust.lint import said_of
from trust.mutation import record
from trust.networks import network

ROOM = Path(__file__).parent.parent / "rtl_tb"
EMITTERS = ("text", "memory", "plain", "layers", "heads", "products", "streamed",
            "folded", "redundant", "loading", "emit")  # fmt: skip

_AT_ONCE = 16
_LINTED = 3  # designs of a mutant that are looked at for warnings
_CPU_S, _WALL_S = 30, 120  # to emit all networks
_TAG, _WORDS = "mutant", "words.npy"

Verdict = Literal["alike", "comments", "survives", "killed"]
"""alike: it emits the same text. comments: the same but for comments and spaces. survives: another
design, and nobody noticed."""
_ORDER = get_args(Verdict)

_COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_BINARY: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip


def python_mutants(source: str) -> Iterator[tuple[str, str]]:
    """Every mutant of a module but for its assertions: what it is, and its text."""
    tree = ast.parse(source)
    asserted = {id(n) for a in ast.walk(tree) if isinstance(a, ast.Assert) for n in ast.walk(a)}
    for node in list(ast.walk(tree)):
        for name in () if id(node) in asserted else _kinds(node):
            before, kept = ast.unparse(node), dict(vars(node))
            _apply(node, name)
            after, text = ast.unparse(node), ast.unparse(tree)
            vars(node).update(kept)
            if before != after:
                at = f"{getattr(node, 'lineno', 0)}:{getattr(node, 'col_offset', 0)}"
                yield f"{at}: {before} -> {after}", text


def _kinds(node: ast.AST) -> tuple[str, ...]:
    match node:
        case ast.Compare() if type(node.ops[0]) in _COMPARE:
            return ("compare",)
        case ast.BinOp() if type(node.op) in _BINARY and not isinstance(node.left, ast.JoinedStr):
            return ("binary",)
        case ast.BoolOp():
            return ("boolean",)
        case ast.IfExp():
            return ("swap",)
        case ast.UnaryOp() if isinstance(node.op, ast.Not):
            return ("not",)
        case ast.Constant() if type(node.value) is int:
            return ("more",)
        case ast.Constant() if type(node.value) is bool:
            return ("other",)
    return ()


def _apply(node: Any, kind: str) -> None:
    """Change a node of a tree in place."""
    match kind:
        case "compare":
            node.ops = [_COMPARE[type(node.ops[0])](), *node.ops[1:]]
        case "binary":
            node.op = _BINARY[type(node.op)]()
        case "boolean":
            node.op = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
        case "swap":
            node.body, node.orelse = node.orelse, node.body
        case "not":
            node.op = ast.UAdd()
        case "more":
            node.value += 1
        case "other":
            node.value = not node.value


class _Mutated:
    """An import finder that gives one module another text."""

    def __init__(self, name: str, file: Path, text: str) -> None:
        self.name, self.file, self.text = name, file, text

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return (
            importlib.util.spec_from_file_location(name, self.file, loader=self)  # type: ignore[arg-type]
            if name == self.name
            else None
        )

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: Any) -> None:
        exec(compile(self.text, str(self.file), "exec"), module.__dict__)


def emitted_by(emitter: str, text: str, cases: Sequence[Case], tag: str, folder: Path) -> bool:
    """Emit with a mutant, in a process of its own, as graphs named after the tag.

    False where it raised anything or took too long. The adder-graph solver's threads do not live
    on in a forked process: the one that calls this must not have used it.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            for name in [n for n in sys.modules if n.startswith("bitwright.rtl_tb")]:
                del sys.modules[name]
            mutated = _Mutated(f"bitwright.rtl_tb.{emitter}", ROOM / f"{emitter}.py", text)
            sys.meta_path.insert(0, mutated)
            fresh = importlib.import_module("bitwright.rtl_tb.emit")
            loads = importlib.import_module("bitwright.rtl_tb.loading")
            for case in cases:
                one = case.network
                graph = replace(one.graph, name=f"{one.graph.name}{tag}")
                fresh.emit(graph, one.plan, folder / one.graph.name, one.form)
                if one.loaded is not None:
                    words = loads.load_words(one.loaded, one.plan, one.graph)
                    np.save(folder / one.graph.name / _WORDS, words)
            status = 0
        finally:
            os._exit(status)
    end = time.monotonic() + _WALL_S
    while time.monotonic() < end:
        done, code = os.waitpid(child, os.WNOHANG)
        if done:
            return code == 0
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _words(folder: Path) -> engines.Words | None:
    """What is loaded into a design, if anything."""
    file = folder / _WORDS
    return np.load(file, allow_pickle=False) if file.is_file() else None


class Emitter:
    """An emitter, and the networks that it emits, with what they are without a mistake."""

    def __init__(self, emitter: str, numbers: Sequence[int], folder: Path) -> None:
        self.emitter, self.folder = emitter, folder
        self.cases = [engines.case(network(SEED, n), n) for n in numbers]
        source = (ROOM / f"{emitter}.py").read_text()
        if not emitted_by(emitter, source, self.cases, _TAG, folder / "right"):
            raise AssertionError(f"{emitter}.py does not emit without a mistake")
        self.right = [self._code("right", case, _TAG) for case in self.cases]
        self._turns = 0

    def _code(self, place: str, case: Case, tag: str) -> tuple[str, str]:
        """A design's text without tags, and its words but for comments; with what is loaded."""
        name = case.network.graph.name
        design = load_design(self.folder / place / name)
        text = "".join(file.read_text() for file in design.files).replace(f"{name}{tag}", name)
        words = repr(getattr(_words(self.folder / place / name), "tolist", str)())
        code = " ".join(re.sub(r"//[^\n]*", "", text).split())
        return text + words, code + words

    def judged(self, given: Sequence[str]) -> list[Verdict]:
        """What becomes of the text of every mutant."""
        verdicts: list[Verdict] = ["alike"] * len(given)
        waiting: dict[int, list[tuple[Case, Design]]] = {}
        for i, text in enumerate(given):
            tag = f"{_TAG}{i}x"
            shutil.rmtree(self.folder / f"m{i}", ignore_errors=True)
            if not emitted_by(self.emitter, text, self.cases, tag, self.folder / f"m{i}"):
                verdicts[i] = "killed"
                continue
            waiting[i] = []
            for case, (right, code) in zip(self.cases, self.right, strict=True):
                made, made_code = self._code(f"m{i}", case, tag)
                if made_code != code:
                    verdicts[i] = "survives"
                    place = self.folder / f"m{i}" / case.network.graph.name
                    waiting[i].append((case, load_design(place)))
                elif made != right and verdicts[i] == "alike":
                    verdicts[i] = "comments"
        turn = 0
        while left := [
            i for i, differ in waiting.items() if verdicts[i] != "killed" and len(differ) > turn
        ]:
            for i, wrong in self._wrong([(i, *waiting[i][turn]) for i in left]):
                if wrong:
                    verdicts[i] = "killed"
            turn += 1
        for i, differ in waiting.items():
            if verdicts[i] == "survives" and any(self._warns(*one) for one in differ[:_LINTED]):
                verdicts[i] = "killed"
        return verdicts

    def _warns(self, case: Case, design: Design) -> bool:
        """Whether Verilator warns of a mutant's design, and not of the right one."""
        name = case.network.graph.name
        right = load_design(self.folder / "right" / name)
        return bool(said_of(design.files)) and not said_of(right.files)

    def _wrong(self, given: list[tuple[int, Case, Design]]) -> Iterator[tuple[int, bool]]:
        self._turns += 1
        place = self.folder / f"sim{self._turns}"
        try:
            simulators = build_many([design for _, _, design in given], place)
        except ToolError:
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


def mutate_emitters(
    hours: Annotated[float, typer.Option(help="how long")] = 2.0,
    emitter: Annotated[str, typer.Option(help="only this one")] = "",
    every: Annotated[int, typer.Option(help="only one mutant in so many")] = 1,
) -> None:
    """Mutants of the emitters against the battery."""
    console = Console()
    end = time.monotonic() + hours * 3600
    known = {row["cell"] for row in results.rows("mutation")}
    few = _covering(chosen())
    rest = sorted({number for numbers in chosen().values() for number in numbers} - set(few))
    for name in EMITTERS:
        file = ROOM / f"{name}.py"
        wanted = name == emitter if emitter else file.name not in known
        if time.monotonic() > end or not wanted:
            continue
        begun = time.monotonic()
        mutants = list(islice(python_mutants(file.read_text()), 0, None, every))
        found = {what: "alike" for what, _ in mutants}
        for numbers in (few, rest):
            with tempfile.TemporaryDirectory(prefix="bitwright-mutants-") as folder:
                tested = Emitter(name, numbers, Path(folder))
                left = [one for one in mutants if found[one[0]] != "killed"]
                for start in range(0, len(left), _AT_ONCE):
                    batch = left[start : start + _AT_ONCE]
                    verdicts = tested.judged([text for _, text in batch])
                    for (what, _), verdict in zip(batch, verdicts, strict=True):
                        found[what] = max(found[what], verdict, key=_ORDER.index)
        counts = Counter(found.values())
        total = len(mutants) - counts["comments"]
        survivors = [what for what, verdict in found.items() if verdict in ("alike", "survives")]
        record(file.name, total, counts["killed"], counts["comments"], begun, survivors)
        console.print(
            f"{file.name}: {counts['killed']} of {total} killed, {counts['comments']} change "
            f"comments, {time.monotonic() - begun:.0f} s",
            highlight=False,
        )
        for what in survivors:
            console.print(f"  {found[what]}: {what}", markup=False, highlight=False)
