"""Assertions of SystemVerilog decided for all inputs: Yosys makes the circuit, ABC decides.

A bench is a module without outputs in which `assert` says what must hold and `assume` what the
surroundings promise; its inputs are anything, in every cycle. Registers without an initial value
begin with anything. Yosys reads it with its own front end and writes an and-inverter graph; ABC
(both are in the pyosys wheel) then proves it with property directed reachability or k-induction,
for all times, or searches all inputs of the first cycles (bounded model checking).
"""

import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from bitwright.models.errors import ToolError
from bitwright.rtl_tb.tools import run

Method = Literal["sat", "state", "induction", "pdr", "bounded"]
Status = Literal["proven", "refuted", "undecided"]

METHODS: Mapping[Method, str] = {
    "sat": "for all inputs, by satisfiability",
    "state": "for all times, from any state",
    "induction": "for all times, by induction",
    "pdr": "for all times, by property directed reachability",
    "bounded": "for the first {cycles} cycles",
}

_SCRIPT = """\
read_verilog -sv -formal -noautowire {files}
{parameters}hierarchy -check -top {top}
proc
flatten
delete -port {top}/o:*
opt_clean
async2sync
chformal -lower
memory_map
{begin}formalff -clk2ff -ff2anyinit -setundef
setundef -undriven -anyseq
opt -fast
techmap
opt -fast
simplemap
dffunmap
setundef -undriven -anyseq
aigmap
opt_clean
write_aiger -B -zinit -ywmap names.json circuit.aig
"""
_BEGIN = "sim -clock clk_i -resetn rst_ni -rstlen 1 -n 1 -w {top}\n"
_YOSYS = "from pyosys import libyosys\nlibyosys.run_pass('script bench.ys', libyosys.Design())\n"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a bench's assertions.

    method: what decided. cycles: of a bounded proof, how many; of an induction, over how many; of a
    refutation, the cycle in which the assertion fails. failed: the assertion that does.
    """

    status: Status
    method: Method
    cycles: int = 0
    failed: str = ""
    assertions: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        match self.status:
            case "proven":
                return METHODS[self.method].format(cycles=self.cycles)
            case "refuted":
                return f"{self.failed} fails in cycle {self.cycles}"
            case _:
                return f"not decided in {self.seconds:.0f} s"


@dataclass(frozen=True, slots=True)
class Circuit:
    """A bench as ABC reads it. names: of its assertions, in the order of the outputs."""

    file: Path
    names: tuple[str, ...]
    registers: int


def check(
    texts: Mapping[str, str],
    top: str,
    parameters: Mapping[str, int | str] | None = None,
    *,
    bound: int = 0,
    seconds: float = 60.0,
    behind_reset: bool = False,
    history: int = 0,
) -> Verdict:
    """Decide the assertions of module `top`.

    texts: SystemVerilog by the name of its file. bound: 0 to prove for all times, else the cycles
    to search. seconds: of ABC. behind_reset: the first cycle is a reset, and the proof begins
    behind it, where registers with a reset have a value: so signal correspondence finds equal ones.
    history: where assertions are about the last cycles only and nothing has an initial value but
    what counts them, so many cycles from any state are all there is, and no size is too large.

    Raises:
        ToolError: pyosys is missing, or refuses the text (its last lines are in the message), or
            the text asserts nothing.
    """
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bitwright-proof-") as name:
        circuit = _circuit(texts, top, parameters or {}, Path(name), behind_reset)
        if history and not bound:
            verdict = _from_any_state(circuit, history, seconds)
        else:
            verdict = _bounded(circuit, bound, seconds) if bound else _unbounded(circuit, seconds)
    return Verdict(
        verdict.status, verdict.method, verdict.cycles, verdict.failed, len(circuit.names),
        time.monotonic() - begun,
    )  # fmt: skip


def tools() -> str:
    """What decides, with its version. Raises ToolError."""
    _abc()
    return f"Yosys {importlib.metadata.version('pyosys')} and its ABC"


def _circuit(
    texts: Mapping[str, str],
    top: str,
    parameters: Mapping[str, int | str],
    folder: Path,
    behind_reset: bool = False,
) -> Circuit:
    _abc()
    for name, text in texts.items():
        (folder / name).write_text(text)
    given = "".join(f" -set {name} {_constant(value)}" for name, value in parameters.items())
    script = _SCRIPT.format(
        files=" ".join(texts),
        top=top,
        parameters=f"chparam{given} {top}\n" if given else "",
        begin=_BEGIN.format(top=top) if behind_reset else "",
    )
    (folder / "bench.ys").write_text(script)
    run([sys.executable, "-c", _YOSYS], cwd=folder, timeout_s=600)
    tree = json.loads((folder / "names.json").read_text())
    names = tuple(_readable(path) for path in tree["asserts"])
    if not names:  # or it would be proven, whatever it says
        raise ToolError(f"bench {top} has no assertion: nothing can be proven with it")
    circuit = folder / "circuit.aig"
    header = circuit.read_bytes()[:200].split(b"\n", 1)[0].split()  # aig M I L O A B C
    return Circuit(circuit, names, int(header[3]))


def _constant(value: int | str) -> str:
    """A parameter as Yosys takes it: a number, a sized number as text, or another text."""
    return str(value) if isinstance(value, int) or "'" in value else f'"{value}"'


def _readable(path: list[str]) -> str:
    return ".".join(part.removeprefix("\\") for part in path)


@cache
def _abc() -> Path:
    found = importlib.util.find_spec("pyosys")
    program = Path(found.origin or "").with_name("yosys-abc") if found else None
    if program is None or not program.is_file():
        raise ToolError("pyosys, whose Yosys and ABC prove, is not installed: pip install pyosys")
    return program


def _ask(circuit: Circuit, command: str, seconds: float) -> str:
    """What ABC says; it is stopped some seconds after it should have stopped by itself."""
    script = f"read_aiger {circuit.file.name}; fold; strash; {command}"
    try:
        done = subprocess.run(
            [_abc(), "-c", script], cwd=circuit.file.parent, timeout=seconds + 5,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        return error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else ""
    except subprocess.CalledProcessError as error:
        raise ToolError(
            f"ABC failed with exit code {error.returncode}: {error.stdout[-500:]}"
        ) from None
    return done.stdout


_FAILED = re.compile(r"Output (\d+) of miter .* was asserted in frame (\d+)")
_SATISFIED = re.compile(r"^SATISFIABLE \(output = (\d+)\)", re.MULTILINE)


def _refuted(circuit: Circuit, said: str, method: Method) -> Verdict | None:
    """The verdict where ABC found inputs with which an assertion fails."""
    found = _FAILED.search(said)
    if found is None and not _SATISFIED.search(said):
        return None
    # Outputs were one until now: which of them it is only the search among all of them says.
    frame = int(found[2]) if found else 0
    again = (
        _FAILED.search(_ask(circuit, f"bmc3 -F {frame + 2}", 60))
        if circuit.registers
        else _SATISFIED.search(_ask(circuit, "iprove", 60))
    )
    name = circuit.names[int(again[1])] if again and int(again[1]) < len(circuit.names) else "?"
    return Verdict("refuted", method, frame, name)


def _bounded(circuit: Circuit, bound: int, seconds: float) -> Verdict:
    """As many cycles as there is time for, `bound` at most."""
    if not circuit.registers:
        return _unbounded(circuit, seconds)
    said = _ask(circuit, f"orpos; bmc3 -F {bound} -T {seconds:.0f}", seconds)
    if "Does not work for combinational" in said:  # its registers are all constant
        return _unbounded(circuit, seconds)
    if refuted := _refuted(circuit, said, "bounded"):
        return refuted
    done = re.search(r"No output (?:was )?asserted in (\d+) frames", said)
    cycles = bound if "Explored all reachable states" in said else int(done[1]) if done else 0
    return Verdict("proven" if cycles >= bound else "undecided", "bounded", cycles)


def _from_any_state(circuit: Circuit, cycles: int, seconds: float) -> Verdict:
    """The cycles side by side, with inputs and first states that are anything."""
    said = _ask(circuit, f"orpos; frames -F {cycles} -i; orpos; fraig; iprove", seconds)
    if re.search(r"^UNSATISFIABLE", said, re.MULTILINE):
        return Verdict("proven", "state", cycles)
    if _SATISFIED.search(said):
        return _bounded(circuit, cycles, 60)
    return Verdict("undecided", "state")


def _unbounded(circuit: Circuit, seconds: float) -> Verdict:
    """First with registers merged that are always equal, which may cost more than it saves."""
    for first, share in (("orpos; scorr -C 20000", 0.7), ("orpos", 0.3)):
        decide = f"pdr -T {max(seconds * share, 1):.0f}"
        said = _ask(circuit, f"{first}; print_stats; {decide}", seconds)
        method: Method = "pdr"
        if re.search(r"lat = +0 ", said):  # nothing is left that time could change
            method = "induction" if circuit.registers > 1 else "sat"
            said = _ask(circuit, f"{first}; iprove", seconds)
        if refuted := _refuted(circuit, said, method):
            return refuted
        if "Property proved" in said or re.search(r"^UNSATISFIABLE", said, re.MULTILINE):
            return Verdict("proven", method)
    return Verdict("undecided", method)
