"""Mutation of the emitters: Python that writes SystemVerilog, with one small mistake each.

    python -m trust mutate-emitters --hours 2

A mutant is imported in a forked process and emits the networks of the battery. It is killed if it
raises, or if a design that differs from the right one in its text does something wrong. Each file
is a row of docs/results/trust/mutation.csv, like the library cells.
"""

import ast
import copy
import importlib
import importlib.util
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.machinery import ModuleSpec
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bitwright.models.errors import BitwrightError, ToolError
from bitwright.rtl_tb import Design, emit, load_design
from bitwright.rtl_tb.many import build_many
from trust import engines, results
from trust.battery import SEED, chosen
from trust.engines import Case
from trust.networks import network

ROOM = Path(__file__).parent.parent / "rtl_tb"
EMITTERS = ("text", "schedule", "memory", "plain", "layers", "heads", "products", "streamed",
            "folded", "redundant", "loading", "emit")  # fmt: skip

_AT_ONCE = 16
_COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_BINARY: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip


def python_mutants(source: str) -> Iterator[tuple[str, str]]:
    """Every mutant of a module: what it is, and its text."""
    tree = ast.parse(source)
    for place, node in enumerate(ast.walk(tree)):
        for name in _kinds(node):
            changed = copy.deepcopy(tree)
            other = next(islice(ast.walk(changed), place, None))
            _apply(other, name)
            before, after = ast.unparse(node), ast.unparse(other)
            line = getattr(node, "lineno", 0)
            if before != after:
                yield f"{line}: {before} -> {after}", ast.unparse(changed)


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
            node.ops[0] = _COMPARE[type(node.ops[0])]()
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

    False where it raised anything or took too long.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            for name in [n for n in sys.modules if n.startswith("bitwright.rtl_tb")]:
                del sys.modules[name]
            mutated = _Mutated(f"bitwright.rtl_tb.{emitter}", ROOM / f"{emitter}.py", text)
            sys.meta_path.insert(0, mutated)  # type: ignore[arg-type]
            fresh = importlib.import_module("bitwright.rtl_tb.emit")
            for case in cases:
                one = case.network
                graph = replace(one.graph, name=f"{one.graph.name}{tag}")
                fresh.emit(graph, one.plan, folder / one.graph.name, one.form)
            status = 0
        finally:
            os._exit(status)
    for _ in range(600):
        done, code = os.waitpid(child, os.WNOHANG)
        if done:
            return code == 0
        time.sleep(0.05)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False


def _text(design: Design, tag: str) -> str:
    return "".join(file.read_text() for file in design.files).replace(tag, "")


class Emitter:
    """An emitter with the battery's networks as it emits them without a mistake."""

    def __init__(self, emitter: str, numbers: Sequence[int], folder: Path) -> None:
        self.emitter, self.folder = emitter, folder
        self.cases = [engines.case(network(SEED, n), n) for n in numbers]
        self.right = []
        for case in self.cases:
            one = case.network
            design = emit(one.graph, one.plan, folder / "right" / one.graph.name, one.form)
            self.right.append(_text(design, "none"))

    def killed(self, given: Sequence[str]) -> list[bool]:
        """For the text of every mutant whether it is noticed."""
        killed = [False] * len(given)
        waiting: dict[int, list[tuple[Case, Design]]] = {}
        for i, text in enumerate(given):
            place = self.folder / f"m{i}"
            shutil.rmtree(place, ignore_errors=True)
            if not emitted_by(self.emitter, text, self.cases, f"m{i}", place):
                killed[i] = True
                continue
            designs = [load_design(place / case.network.graph.name) for case in self.cases]
            both = zip(self.cases, designs, self.right, strict=True)
            waiting[i] = [(c, d) for c, d, right in both if _text(d, f"m{i}") != right]
        turn = 0
        while left := [i for i, differ in waiting.items() if not killed[i] and len(differ) > turn]:
            for i, wrong in self._wrong([(i, *waiting[i][turn]) for i in left], turn):
                killed[i] = wrong
            turn += 1
        return killed

    def _wrong(
        self, given: list[tuple[int, Case, Design]], turn: int
    ) -> Iterator[tuple[int, bool]]:
        place = self.folder / f"sim{turn}_{given[0][0]}_{len(given)}"
        try:
            simulators = build_many([design for _, _, design in given], place)
        except ToolError:
            if len(given) == 1:
                yield given[0][0], True
            else:
                half = len(given) // 2
                yield from self._wrong(given[:half], turn)
                yield from self._wrong(given[half:], turn)
            return
        for (i, case, _), simulator in zip(given, simulators, strict=True):
            try:
                wrong = bool(engines.simulated(case, simulator))
            except BitwrightError:
                wrong = True
            yield i, wrong
        shutil.rmtree(place)


def mutate_emitters(
    hours: Annotated[float, typer.Option(help="how long")] = 2.0,
    emitter: Annotated[str, typer.Option(help="only this one")] = "",
    every: Annotated[int, typer.Option(help="only one mutant in so many")] = 1,
) -> None:
    """Mutants of the emitters against the battery."""
    console = Console()
    end = time.monotonic() + hours * 3600
    known = {row["cell"] for row in results.rows("mutation")}
    numbers = sorted({numbers[0] for numbers in chosen().values()})
    for name in EMITTERS:
        file = ROOM / f"{name}.py"
        wanted = f"{name}.py" == emitter if emitter else f"{name}.py" not in known
        if time.monotonic() > end or not wanted or not file.is_file():
            continue
        begun = time.monotonic()
        total = 0
        survivors = []
        with tempfile.TemporaryDirectory(prefix="bitwright-mutants-") as folder:
            tested = Emitter(name, numbers, Path(folder))
            waiting = islice(python_mutants(file.read_text()), 0, None, every)
            while batch := list(islice(waiting, _AT_ONCE)):
                killed = tested.killed([text for _, text in batch])
                total += len(batch)
                survivors += [w for (w, _), k in zip(batch, killed, strict=True) if not k]
        for what in survivors:
            row = {"cell": f"{name}.py", "what": what, "reason": ""}
            results.record("survivors", ("cell", "what"), row)
        made = {"cell": f"{name}.py", "total": total, "killed": total - len(survivors),
                "seconds": round(time.monotonic() - begun), "commit": results.commit()}  # fmt: skip
        results.record("mutation", ("cell",), made)
        console.print(f"{name}.py: {total - len(survivors)} of {total} killed", highlight=False)
