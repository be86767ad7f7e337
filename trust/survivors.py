"""What survived the battery, through the cell's own tests in the suite.

    python -m trust survivors --hours 2

The tests run in a copy of the house in which one cell is the mutant. They pass there without a
mutant first, or nothing would be proven by their failing. A survivor that they find counts as
killed, one that they do not is marked as tried; the reason is for a person to write.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trust import results
from trust.mutants import mutants
from trust.mutation import CELLS

TRIED = "survives its own tests too"

_ROOT = CELLS.parent.parent
_TIMEOUT_S = 3600
_OTHER = {"bw_vote": "tests/test_rtl_tb_faults.py"}


def tests_of(cell: str) -> str:
    """The file of the suite that looks at a cell most closely."""
    modelled = (_ROOT / "tests" / "test_rtl_tb_cells.py").read_text()
    by_itself = f'"{cell}"' in modelled
    return _OTHER.get(cell, f"tests/test_{'rtl_tb_cells' if by_itself else 'agreement'}.py")


def house(folder: Path) -> Path:
    """A copy of the package as links, but for rtl_tb, which is real; returns its cells."""
    package = folder / "bitwright"
    package.mkdir()
    for path in [
        *(_ROOT / "bitwright").iterdir(),
        *(_ROOT / n for n in ("models", "hls", "cost_model")),
    ]:
        if path.name != "__pycache__":
            (package / path.name).symlink_to(path)
    shutil.copytree(_ROOT / "rtl_tb", package / "rtl_tb")
    return package / "rtl_tb" / "lib"


def passes(folder: Path, tests: str) -> bool:
    """Whether the tests pass in a house. A time-out is a failure."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
        tests,
    ]
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{_ROOT}"}
    try:
        done = subprocess.run(command, cwd=_ROOT, env=environment, timeout=_TIMEOUT_S,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def survivors(hours: Annotated[float, typer.Option(help="how long")] = 2.0) -> None:
    """Survivors of the battery, through the cells' own tests."""
    console = Console()
    end = time.monotonic() + hours * 3600
    sound: dict[str, bool] = {}
    for row in results.rows("survivors"):
        cell, tests = row["cell"], tests_of(row["cell"])
        if row["reason"] or cell.endswith(".py") or time.monotonic() > end:
            continue
        text = {m.what: m.text for m in mutants((CELLS / f"{cell}.sv").read_text())}.get(
            row["what"]
        )
        if text is None:
            results.forget("survivors", row)  # the cell has changed since
            continue
        with tempfile.TemporaryDirectory(prefix="bitwright-house-") as name:
            cells = house(Path(name))
            if tests not in sound:
                sound[tests] = passes(Path(name), tests)
            if not sound[tests]:
                console.print(f"{tests} fails without a mutant: nothing can be said of {cell}")
                continue
            (cells / f"{cell}.sv").write_text(text)
            killed = not passes(Path(name), tests)
        console.print(f"{cell} {row['what']}: {'killed' if killed else 'survives'}", markup=False)
        if killed:
            results.forget("survivors", row)
            (of_cell,) = [r for r in results.rows("mutation") if r["cell"] == cell]
            results.record("mutation", ("cell",), {**of_cell, "killed": int(of_cell["killed"]) + 1})
        else:
            results.record("survivors", ("cell", "what"), {**row, "reason": TRIED})
