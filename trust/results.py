"""Rows of the campaigns under docs/results/trust, and their sums in docs/results/trust.json.

A row belongs to its key and is replaced when that is run again, so a campaign that was stopped goes
on, and what was found and mended is run again. Only the campaigns' commands write here.
"""

import csv
import fcntl
import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from bitwright.models.files import replace_file

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "results" / "trust"
SUMMARY = ROOT / "docs" / "results" / "trust.json"

Row = dict[str, str]

# What is added up for the summary: field of the summary to column of the rows.
SUMS: Mapping[str, Mapping[str, str]] = {
    "fuzz": {"networks": "networks", "vectors": "vectors", "differences": "differences"},
    "loader_fuzz": {"inputs": "inputs", "failures": "failures"},
    "mutation": {"total": "total", "killed": "killed"},
    "kills": {"runs": "runs", "lost": "lost"},
    "proofs": {"cells": "cells", "networks": "networks"},
}


def rows(campaign: str, folder: Path = FOLDER) -> list[Row]:
    """All rows of a campaign so far."""
    path = folder / f"{campaign}.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def record(
    campaign: str, key: Sequence[str], row: Mapping[str, object], folder: Path = FOLDER
) -> None:
    """Add a row, or put it in the place of the one with the same key; then renew the summary.

    key: the columns that say which row it is.
    """
    made = {name: str(value) for name, value in row.items()}
    with _locked(folder):
        known = rows(campaign, folder)
        at = [i for i, one in enumerate(known) if all(one.get(k) == made[k] for k in key)]
        known[at[0] if at else len(known) : at[0] + 1 if at else len(known)] = [made]
        _write(campaign, list(made), known, folder)


def forget(campaign: str, row: Mapping[str, str], folder: Path = FOLDER) -> None:
    """Take a row out."""
    with _locked(folder):
        known = rows(campaign, folder)
        _write(campaign, list(row), [one for one in known if one != dict(row)], folder)


def _write(campaign: str, columns: Sequence[str], known: Sequence[Row], folder: Path) -> None:
    lines = [",".join(columns)]
    lines += [",".join(_cell(one.get(name, "")) for name in columns) for one in known]
    replace_file(folder / f"{campaign}.csv", "\n".join(lines) + "\n")
    if folder == FOLDER:
        summarise()


def summarise(folder: Path = FOLDER, summary: Path = SUMMARY) -> None:
    """Write the sums over all rows; what others wrote into the summary stays."""
    tree = json.loads(summary.read_text()) if summary.is_file() else {}
    for campaign, sums in SUMS.items():
        if known := rows(campaign, folder):
            tree[campaign] = {
                name: sum(int(row[column]) for row in known) for name, column in sums.items()
            }
    replace_file(summary, json.dumps(tree, indent=1) + "\n")


@cache
def commit() -> str:
    """The commit that this process started from, with a + where files differed from it."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short=9", "HEAD"], capture_output=True, text=True)
    # Results are written while a campaign runs, and regressions when it finds something.
    code = ["models", "hls", "rtl_tb", "bitwright", "trust"]
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", *code], check=False)
    return (head.stdout.strip() or "unknown") + ("+" if changed.returncode else "")


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n') else text


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (Path(tempfile.gettempdir()) / "bitwright-trust.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
