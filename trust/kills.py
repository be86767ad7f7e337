"""kill -9 at random moments: nothing that was finished is lost, nothing half-written read as whole.

    python -m trust kills --runs 50

A job makes every kind of folder that bitwright writes, for a small network: graph, plan, RTL in
both forms, compiled simulation, HLS project, report. It is killed with all that it started, at a
random moment of the time that it takes. Then every folder that is there has to be read without an
error and hold what an undisturbed job makes, nothing that had been finished may be missing, and
the same job, run again, has to end. Every kill is a row of docs/results/trust/kills.csv.
"""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bitwright import hls
from bitwright.models.errors import BitwrightError
from bitwright.models.graph import load, load_plan, save, save_plan
from bitwright.rtl_tb import build, emit, load_design
from trust import results
from trust.networks import network

_SEED, _NUMBER = 7, 3
_AGAIN = 3  # times that every step is done, so that replacing a folder is hit as well


def job(out: Path, log: Path | None = None) -> None:
    """All steps of a job. log: gets a line for every step that is finished."""
    one = network(_SEED, _NUMBER)

    def compiled() -> None:
        build(load_design(out / "rtl"), out / "sim")

    steps: dict[str, Callable[[], object]] = {
        "graph": lambda: save(one.graph, out / "graph"),
        "plan.json": lambda: save_plan(one.plan, out / "plan.json"),
        "rtl": lambda: emit(one.graph, one.plan, out / "rtl"),
        "rtl_plain": lambda: emit(one.graph, one.plan, out / "rtl_plain", "plain"),
        "hls": lambda: hls.write(one.graph, out / "hls"),
    }
    for _ in range(_AGAIN):
        for name, step in steps.items():
            step()
            _note(log, name)
    compiled()
    _note(log, "sim")


def _note(log: Path | None, name: str) -> None:
    if log is not None:
        with log.open("a") as file:
            file.write(f"{name}\n")


def contents(out: Path) -> dict[str, str]:
    """What is there under the names that a job uses, each as a hash of all its files.

    Raises BitwrightError where something is there that its loader refuses.
    """
    loaders: dict[str, Callable[[Path], object]] = {
        "graph": load, "plan.json": load_plan, "rtl": load_design, "rtl_plain": load_design,
        "hls": hls.load, "sim": lambda path: (path / "bulk").stat(),
    }  # fmt: skip
    found = {}
    for name, loader in loaders.items():
        path = out / name
        if path.exists():
            loader(path)
            # A compiler's program holds the name of the folder that it was made in.
            found[name] = _hash(path) if name != "sim" else (path / "model.key").read_text()
    return found


def _hash(path: Path) -> str:
    sha = hashlib.sha256()
    for file in sorted([path] if path.is_file() else path.rglob("*")):
        sha.update(str(file.relative_to(path)).encode() + b"\0")
        if file.is_file():
            sha.update(file.read_bytes())
    return sha.hexdigest()


def kill_once(number: int, seconds: float, wanted: dict[str, str], folder: Path) -> tuple[str, str]:
    """Kill a job and look: the last step that it had finished, and what is wrong, if anything."""
    out, log = folder / "out", folder / "log"
    log.touch()
    moment = random.Random(number).uniform(0, seconds)
    process = subprocess.Popen(
        [sys.executable, "-m", "trust", "job", str(out), "--log", str(log)],
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finished = log.read_text().split()
    last = f"{len(finished)} steps" if finished else "nothing"
    try:
        found = contents(out)
    except (BitwrightError, OSError) as error:
        return last, f"{type(error).__name__}: {error}"
    if missing := set(finished) - set(found):
        return last, f"{', '.join(sorted(missing))} had been finished and is gone"
    if other := [name for name, made in found.items() if wanted[name] != made]:
        return last, f"{', '.join(other)} is not what an undisturbed job makes"
    try:
        job(out)
        again = contents(out)
    except (BitwrightError, OSError) as error:
        return last, f"run again: {type(error).__name__}: {error}"
    return last, "" if again == wanted else "run again, it makes something else"


def kills(
    runs: Annotated[int, typer.Option(help="stop once there are so many")] = 50,
    hours: Annotated[float, typer.Option(help="how long")] = 2.0,
) -> None:
    """A job killed at random moments."""
    console = Console()
    end = time.monotonic() + hours * 3600
    with tempfile.TemporaryDirectory(prefix="bitwright-kills-") as name:
        folder = Path(name)
        undisturbed = folder / "undisturbed"
        begun = time.monotonic()
        subprocess.run([sys.executable, "-m", "trust", "job", str(undisturbed)], check=True)
        seconds = time.monotonic() - begun
        wanted = contents(undisturbed)
        console.print(f"undisturbed, the job takes {seconds:.1f} s", highlight=False)
        while (number := len(results.rows("kills"))) < runs and time.monotonic() < end:
            place = folder / f"run{number}"
            place.mkdir()
            last, wrong = kill_once(number, seconds, wanted, place)
            shutil.rmtree(place)
            row = {"number": number, "job": "graph to hls and sim", "runs": 1, "killed_after": last,
                   "lost": int(bool(wrong)), "what": wrong, "commit": results.commit()}  # fmt: skip
            results.record("kills", ("number",), row)
            console.print(f"{number}: killed after {last}; {wrong or 'all is well'}", markup=False)


def job_command(out: Path, log: Annotated[Path | None, typer.Option()] = None) -> None:
    """The job that `kills` kills."""
    job(out, log)
