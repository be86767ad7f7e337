"""The cells' own bench: plain-Python models, stepped beside many mutants of a cell at a time.

The models are those of tests/test_rtl_tb_cells.py and tests/test_rtl_tb_small_cells.py, which say
for every cycle what each output has to be. Here every mutant gets the models of its cell, or of the
cells that use it, and all mutants of a batch are one program. A mutant is dropped as soon as one of
its models has noticed it.
"""

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from bitwright.models.errors import ToolError
from bitwright.rtl_tb import tools, verilate
from trust.mutants import Mutant

ROOT = Path(__file__).parent.parent
CELLS = ROOT / "rtl_tb" / "lib"
_TESTS = ROOT / "tests"

_MOST_MODELS = 200  # in one program
_FIRST = 4  # models of the most parameters, before all others
_STOPPED = "the simulation stopped"
_LOOPS = "beside it the cell itself is wrong: a loop without a register"
_RUNS = 2
_CYCLES = 1100  # of a run
_RESET_CYCLES = 4  # before each run


@cache
def _module(name: str) -> Any:
    """A module of the tests, which are no package."""
    called = f"bench_{name.replace('/', '_')}"
    spec = importlib.util.spec_from_file_location(called, _TESTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _models() -> dict[str, Any]:
    """All models, at their beginning."""
    names = ("test_rtl_tb_cells", "test_rtl_tb_small_cells")
    return {name: model for one in names for name, model in _module(one).good().items()}


def _top(instances: list[tuple[str, Any]]) -> str:
    text: str = _module("cells/cell_bench").top(instances)
    return text


def uses(text: str, cell: str) -> bool:
    """Whether a module's text instantiates a cell."""
    return re.search(rf"^\s*{cell} (#\(|u_)", text, re.MULTILINE) is not None


def users(texts: dict[str, str], changed: set[str]) -> set[str]:
    """The changed modules, those that instantiate them, and so on."""
    found = set(changed)
    while more := {n for n in texts if n not in found and any(uses(texts[n], o) for o in found)}:
        found |= more
    return found


def renamed(texts: dict[str, str], names: set[str], tag: str) -> dict[str, str]:
    """The modules of these names under others, and by those in all that use them."""
    pattern = re.compile(r"\b(" + "|".join(sorted(names, key=len, reverse=True)) + r")\b")
    return {f"{name}_{tag}": pattern.sub(rf"\1_{tag}", texts[name]) for name in names}


def write_all(folder: Path) -> tuple[list[Path], str]:
    """Write one top with all models' cells into a folder; the files and the top's name."""
    instances = [(model.module, model) for model in _models().values()]
    for _, model in instances:
        if model.text:
            (folder / f"{model.module}.sv").write_text(model.text)
    (folder / "cells.sv").write_text(_top(instances))
    return [*folder.glob("*.sv"), *CELLS.glob("*.sv")], "cells"


class Bench:
    """The models of a cell, or those of the cells that use it."""

    def __init__(self, cell: str, folder: Path, *, of_users: bool = False) -> None:
        self.cell, self.folder = cell, folder
        self.texts = {file.stem: file.read_text() for file in CELLS.glob("*.sv")}
        models = _models()
        self.texts |= {model.module: model.text for model in models.values() if model.text}
        self.names = users(self.texts, {cell})
        watched = self.names - {cell} if of_users else {cell}
        self.models = [name for name, model in models.items() if model.module in watched]
        self.models.sort(key=lambda name: -_plenty(models[name]))
        self._builds = 0

    def noticed(self, given: Sequence[Mutant]) -> list[str | None]:
        """For every mutant how it was noticed: "" if it was not, None if it is no design."""
        answers: list[str | None] = [""] * len(given)
        for names in (self.models[:_FIRST], self.models[_FIRST:]):
            left = [i for i, answer in enumerate(answers) if answer == ""]
            step = max(1, _MOST_MODELS // max(1, len(names)))
            for start in range(0, len(left) if names else 0, step):
                batch = left[start : start + step]
                made = self._batch([given[i] for i in batch], names)
                for i, answer in zip(batch, made, strict=True):
                    answers[i] = answer
        return answers

    def _batch(self, given: Sequence[Mutant], names: Sequence[str]) -> list[str | None]:
        """One program for all of them; the cell itself is among them, see `in_parts`."""
        if not given:
            return []
        self._builds += 1
        place = self.folder / f"bench{self._builds}"
        place.mkdir(parents=True)
        try:
            instances = []
            for i, text in enumerate([self.texts[self.cell], *(one.text for one in given)]):
                texts = renamed({**self.texts, self.cell: text}, self.names, f"m{i}")
                for name, made in texts.items():
                    (place / f"{name}.sv").write_text(made)
                instances += [(f"{one.module}_m{i}", one) for one in _fresh(names)]
            program = _built(place, instances)
            runs = [[_fresh(names) for _ in range(len(given) + 1)] for _ in range(_RUNS)]
            itself, *answers = _stepped(runs, program)
        except (ToolError, BrokenPipeError) as error:
            if len(given) == 1:
                return [None if isinstance(error, ToolError) else _STOPPED]
            return in_parts(given, blamed(error), lambda part: self._batch(part, names))
        finally:
            shutil.rmtree(place)
        if itself and len(given) > 1:
            return in_parts(given, set(), lambda part: self._batch(part, names))
        return [_LOOPS if itself else answer for answer in answers]


def blamed(error: Exception) -> set[int]:
    """The mutants in whose files Verilator says that there is an error; they count from 1."""
    return {int(n) - 1 for n in re.findall(r"%Error[^\n]*_m(\d+)\.sv", str(error))}


def in_parts(
    given: Sequence[Mutant],
    none: set[int],
    judge: Callable[[Sequence[Mutant]], list[str | None]],
) -> list[str | None]:
    """Judge mutants but for those that are no design; where none is known, each half by itself.

    That is also for a batch in which the cell itself is noticed: a mutant that is a loop without a
    register makes Verilator's program wrong as a whole.
    """
    if not none:
        half = len(given) // 2
        return [*judge(given[:half]), *judge(given[half:])]
    made = iter(judge([one for i, one in enumerate(given) if i not in none]))
    return [None if i in none else next(made) for i in range(len(given))]


def _fresh(names: Sequence[str]) -> list[Any]:
    """Models, at their beginning."""
    models = _models()
    return [models[name] for name in names]


def _plenty(model: Any) -> int:
    """How many of a model's parameters say that there is more than one of something."""
    return sum(isinstance(value, int) and value > 1 for value in model.parameters.values())


def _built(folder: Path, instances: list[tuple[str, Any]]) -> Path:
    """The program of all instances. Raises ToolError where they are no design."""
    (folder / "cells.sv").write_text(_top(instances))
    program, environment = tools.verilator_environment()
    tools.run(
        [program, "--cc", "--quiet", "--no-timing", "-Wno-fatal", "-Wno-lint", "-Wno-style",
         "-Werror-USERERROR", "--prefix", "Vcells", "--top-module", "cells",
         "-Mdir", folder / "cpp", folder / "cells.sv", "-y", folder, "-y", CELLS],
        timeout_s=600, environment=environment,
    )  # fmt: skip
    runtime = verilate._runtime()
    unit = folder / "unit.cxx"
    parts = [*sorted((folder / "cpp").glob("*.cpp")), _TESTS / "cells" / "main.cpp"]
    unit.write_text("".join(f'#include "{file}"\n' for file in parts))
    objects = [runtime / f"{name}.o" for name in verilate._RUNTIME]
    verilate._cxx("-O0", "-include", runtime / "pch_quick.h", "-I", folder / "cpp", unit, *objects,
                  "-o", folder / "bench")  # fmt: skip
    return folder / "bench"


def _stepped(runs: Sequence[list[list[Any]]], program: Path) -> list[str]:
    """Step all models; how each mutant was noticed first, "" where it was not.

    runs: the models of every mutant, fresh ones for each run. In front of each is a reset, so the
    second one finds whatever the first has left.
    Raises BrokenPipeError where the program ends early, as it does when values never settle.
    """
    places, in_bytes, out_bytes = _places(runs[0])
    noticed = [""] * len(runs[0])
    with subprocess.Popen(
        [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        for run, cycle in product(range(len(runs)), range(-_RESET_CYCLES, _CYCLES)):
            word, driven = int(cycle >= 0), []
            for i, model, at_in, at_out in _left(noticed, runs[run], places):
                model.cycle = cycle
                given = model.drive() if cycle >= 0 else _in_reset(model, run)
                word |= _packed(model.inputs, given) << at_in
                driven.append((i, model, given, at_out))
            if not driven:
                process.kill()
                return noticed
            process.stdin.write(word.to_bytes(in_bytes, "little"))
            process.stdin.flush()
            answer = process.stdout.read(out_bytes)
            if len(answer) < out_bytes:
                raise BrokenPipeError
            for i, model, given, at_out in driven:
                if cycle >= 0 and not noticed[i]:
                    noticed[i] = _differs(model, given, answer, at_out)
        process.stdin.close()
    for i, models in enumerate(runs[-1]):
        still = [model.module for model in models if not model.done]
        noticed[i] = noticed[i] or ("; ".join(still) and f"nothing comes out of {still[0]}")
    return noticed


Places = list[list[tuple[int, int]]]
"""Of every model of every mutant the first bit of its inputs and of its outputs."""


def _places(mutants: list[list[Any]]) -> tuple[Places, int, int]:
    """And how many bytes all inputs and all outputs take, as the top's text has them."""
    places: Places = []
    low, high = 1, 0
    for models in mutants:
        places.append([])
        for model in models:
            places[-1].append((low, high))
            low += sum(model.inputs.values())
            high += sum(model.outputs.values())
    inputs, outputs = (-(-max(bits, 65) // 32) * 4 for bits in (low, high))
    return places, inputs, outputs


def _left(
    noticed: list[str], mutants: list[list[Any]], places: Places
) -> Iterator[tuple[int, Any, int, int]]:
    """The models of mutants that nobody has noticed yet."""
    for i, (models, at) in enumerate(zip(mutants, places, strict=True)):
        if not noticed[i]:
            for model, (at_in, at_out) in zip(models, at, strict=True):
                yield i, model, at_in, at_out


def _in_reset(model: Any, run: int) -> dict[str, int]:
    """Ones in front of the first run, then noise, to which nothing may listen in a reset."""
    if "rst_ni" not in model.clocking:
        return {}
    calm = getattr(model, "calm", ())
    return {
        name: model.random.getrandbits(width) if run else (1 << width) - 1
        for name, width in model.inputs.items()
        if name not in calm
    }


def _packed(ports: dict[str, int], given: dict[str, int]) -> int:
    word, at = 0, 0
    for name, width in ports.items():
        word |= given.get(name, 0) << at
        at += width
    return word


def _differs(model: Any, given: dict[str, int], answer: bytes, first: int) -> str:
    """What is wrong with the outputs of a cycle; empty if nothing."""
    width = sum(model.outputs.values())
    end = (first + width + 7) // 8
    bits = int.from_bytes(answer[first // 8 : end], "little") >> first % 8
    wrong = ""
    expected = model.expect(given)
    for name, size in model.outputs.items():
        seen = bits & (1 << size) - 1
        if name in expected and expected[name] != seen:
            wrong = wrong or f"{model.module}, cycle {model.cycle}: {name} {seen}"
        bits >>= size
    return wrong
