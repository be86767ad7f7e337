"""kill -9 at random moments: nothing that was finished is lost, nothing half-written read as whole.

    python -m trust kills --runs 50

A job (jobs.py) is killed with all that it started, at a random moment of the time that it takes.
Then whatever is there has to be read without an error and be what an undisturbed job makes, nothing
that had been finished may be missing, and the same job, run again, has to end with the same. Every
kill is a row of docs/results/trust/kills.csv; the jobs take turns.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trust import results
from trust.jobs import JOBS

# Those that take long less often.
_TURNS = ("emit", "characterise", "explore", *("emit", "characterise") * 2, "run", "emit")


def kill_once(
    name: str, number: int, seconds: float, wanted: dict[str, str], folder: Path
) -> tuple[str, str]:
    """Kill a job and look: what it had finished, and what is wrong, if anything."""
    job = JOBS[name]
    out, log = folder / "out", folder / "log"
    log.touch()
    moment = random.Random(f"{name} {number}").uniform(0, seconds)
    process = _started(name, out, log)
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finished = log.read_text().split("\n")[:-1]
    last = f"{len(finished)} steps" if finished else "nothing"
    try:
        found = job.contents(out)
        if missing := set(finished) - set(found):
            return last, f"{', '.join(sorted(missing))} had been finished and is gone"
        if other := [part for part, made in found.items() if wanted.get(part) != made]:
            return last, f"{', '.join(other)} is not what an undisturbed job makes"
    except Exception as error:  # noqa: BLE001 - whatever escapes is what we look for
        return last, f"{type(error).__name__}: {error}"
    try:
        job.do(out, lambda part: None)
        again = job.contents(out)
    except Exception as error:  # noqa: BLE001
        return last, f"run again: {type(error).__name__}: {error}"
    return last, "" if again == wanted else "run again, it makes something else"


def _started(name: str, out: Path, log: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "trust", "job", name, str(out), "--log", str(log)],
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def kills(
    runs: Annotated[int, typer.Option(help="stop once there are so many")] = 50,
    hours: Annotated[float, typer.Option(help="how long")] = 2.0,
) -> None:
    """Jobs killed at random moments."""
    console = Console()
    end = time.monotonic() + hours * 3600
    undisturbed: dict[str, tuple[float, dict[str, str]]] = {}
    with tempfile.TemporaryDirectory(prefix="bitwright-kills-") as folder:
        while (number := len(results.rows("kills"))) < runs and time.monotonic() < end:
            name = _TURNS[number % len(_TURNS)]
            place = Path(folder) / f"run{number}"
            place.mkdir()
            if name not in undisturbed:
                undisturbed[name] = _undisturbed(name, place)
                seconds = undisturbed[name][0]
                console.print(f"undisturbed, {name} takes {seconds:.1f} s", highlight=False)
            last, wrong = kill_once(name, number, *undisturbed[name], place)
            shutil.rmtree(place, ignore_errors=True)
            row = {"number": number, "job": name, "runs": 1, "killed_after": last,
                   "lost": int(bool(wrong)), "what": wrong, "commit": results.commit()}  # fmt: skip
            results.record("kills", ("number",), row)
            console.print(f"{number}: {name} killed after {last}; {wrong or 'all is well'}",
                          markup=False)  # fmt: skip


def _undisturbed(name: str, folder: Path) -> tuple[float, dict[str, str]]:
    """The seconds that a job takes, and what it leaves."""
    begun = time.monotonic()
    process = _started(name, folder / "undisturbed", folder / "undisturbed.log")
    if process.wait():
        raise AssertionError(f"the job {name} fails undisturbed")
    return time.monotonic() - begun, JOBS[name].contents(folder / "undisturbed")


def job_command(name: str, out: Path, log: Annotated[Path | None, typer.Option()] = None) -> None:
    """The job that `kills` kills."""

    def note(part: str) -> None:
        if log is not None:
            with log.open("a") as file:
                file.write(f"{part}\n")

    JOBS[name].do(out, note)
