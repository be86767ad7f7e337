"""Searches on MNIST, UNSW-NB15 and a sample of jets, against networks of uniform precision.

    make bench-search

The best networks of uniform precision of the same shape are trained as fully as the points of the
front, and both are measured with Yosys in the same run. Goes on where it was stopped. Whenever a
data set is done, docs/results/search.json, the plot and the tables of docs/search.md are written.
BITWRIGHT_DATA names the data.
"""

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks import search_page
from bitwright.cost_model import measure
from bitwright.models.data_files import load_dataset
from bitwright.models.files import replace_file, replaced_file
from bitwright.models.graph import load, load_plan
from bitwright.rtl_tb import emit
from bitwright.search.candidate import Candidate, Task
from bitwright.search.executors import LocalExecutor
from bitwright.search.explore import evaluate_one, explore
from bitwright.search.front import front, spread
from bitwright.search.methods import uniform_candidates
from bitwright.search.progress import watching
from bitwright.search.space import Space, read_space
from bitwright.search.study import Record, read_study
from bitwright.versions import versions

FOLDER = Path("out/bench/search")
RESULT = Path("docs/results/search.json")
SPACES = {name: Path(f"benchmarks/spaces/{name}.toml") for name in ("unsw", "mnist14", "jsc")}
UNIFORM_FINALISTS = 2
MOST_LUT = 11000
"""Of uniform networks that are trained in full and measured. Larger ones, of more bits for little
accuracy, would flatter the search, and take Yosys an hour."""
LIMIT = 0.6
"""What the issue asks for: LUTs of the found network, as a share of the uniform one's."""

Row = Mapping[str, Any]


def pooled_mnist(file: Path) -> None:
    """MNIST averaged over 2 x 2 pixels, to 14 x 14, rounded to multiples of 1/256."""
    if file.is_file():
        return
    data = load_dataset("mnist")
    parts: dict[str, Any] = {"y_train": data.y_train, "y_test": data.y_test}
    for part in ("x_train", "x_test"):
        x = getattr(data, part).reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
        parts[part] = (np.floor(x * 256) / 256).astype(np.float32)
    with replaced_file(file) as fresh:
        np.savez_compressed(fresh, **parts)


def records(space: Space, folder: Path, kind: str) -> list[Record]:
    """Finished rows of this space that did not fail."""
    with read_study(folder) as study:
        found = study.records()
    return [r for r in found if r.done and r.task.kind == kind and space.key(r.task) == r.key]


def uniform_finals(space: Space, folder: Path, executor: LocalExecutor) -> list[tuple[str, Row]]:
    """The front of uniform precision, trained in full like the points of the search."""
    plain = [r for r in records(space, folder, "candidate") if "uniform" in r.methods]
    best = front(
        [r for r in plain if lut(r.row) <= MOST_LUT],
        lambda r: accuracy(r.row),
        lambda r: lut(r.row),
    )
    # The most accurate and the cheapest.
    made = []
    for record in spread(best, UNIFORM_FINALISTS):
        task = Task("final", record.task.candidate)
        made.append((space.key(task), evaluate_one(space, folder, executor, task)))
    return [(key, row) for key, row in made if "error" not in row]


def accuracy(row: Row | None) -> float:
    return float((row or {})["accuracy"])


def lut(row: Row | None) -> float:
    return float((row or {})["lut"])


def measured_lut(space: Space, point: Path) -> int:
    """LUTs of a final point, every layer's module counted by Yosys."""
    graph, plan = load(point / "graph"), load_plan(point / "plan.json")
    design = emit(graph, plan, point / "rtl")
    return measure(design.files, dict(design.modules), space.budget.target).total.lut


def compare(space: Space, folder: Path, uniform: list[tuple[str, Row]]) -> Row:
    """At the accuracy of each uniform network the cheapest found one that is as good.

    Which networks are compared is chosen by held-out training rows: the cheapest one whose
    accuracy there is at least the uniform one's. What is told is on test rows, and so is
    `as_good_on_test`. `lut_ratio_chosen_on_test` is the ratio where test rows choose as well.
    """
    plain = set(uniform_candidates(space))
    found = [
        (r.key, r.row, r.task.candidate)
        for r in records(space, folder, "final")
        if r.row is not None and r.task.candidate not in plain
    ]
    lines: list[dict[str, Any]] = []
    for key, row in sorted(uniform, key=lambda u: -accuracy(u[1])):
        line: dict[str, Any] = {
            "uniform": network(space, folder, key),
            "uniform_test_accuracy": row["test_accuracy"],
            "uniform_held_out_accuracy": row["accuracy"],
            "lut_uniform": measured_lut(space, folder / "points" / key),
            "lut_uniform_estimated": row["lut"],
        }
        for by, more in (("accuracy", ""), ("test_accuracy", "_chosen_on_test")):
            as_good = [f for f in found if f[1][by] >= row[by]]
            if not as_good:
                continue
            chosen, other, candidate = min(as_good, key=lambda f: lut(f[1]))
            line |= {
                f"search{more}": str(candidate),
                f"test_accuracy{more}": other["test_accuracy"],
                f"held_out_accuracy{more}": other["accuracy"],
                f"lut_search{more}": measured_lut(space, folder / "points" / chosen),
                f"lut_search_estimated{more}": other["lut"],
            }
            ratio = line[f"lut_search{more}"] / line["lut_uniform"]
            line[f"lut_ratio{more}"] = round(ratio, 4)
        line["as_good_on_test"] = line.get("test_accuracy", 0.0) >= row["test_accuracy"]
        lines.append(line)
    head = next((line for line in lines if "lut_search" in line), {})
    return {
        "accuracy": head.get("test_accuracy"),
        "lut_search": head.get("lut_search"),
        "lut_uniform": head.get("lut_uniform"),
        "lut_ratio_vs_uniform": head.get("lut_ratio"),
        "uniform_accuracy": head.get("uniform_test_accuracy"),
        "uniform_beyond_reach": lines.index(head) if head else len(lines),
        "at_each_uniform": lines,
        "larger_uniform": larger_uniform(space, folder),
        "networks": len(records(space, folder, "candidate")),
        "finals": len(found) + len(uniform),
        "distillation": distillation(space, folder),
        "target": space.budget.target,
        "seed": space.search.seed,
        **seconds(records(space, folder, "candidate") + records(space, folder, "final")),
    }  # fmt: skip


def seconds(made: list[Record]) -> Row:
    """What evaluations took, and from the first one's begin to the last one's end, pauses too."""
    begin, end = min(r.asked for r in made), max(r.finished or 0.0 for r in made)
    spent = sum(float((r.row or {})["seconds"]) for r in made)
    return {"evaluation_seconds": round(spent, 1), "wall_seconds": round(end - begin, 1)}


def larger_uniform(space: Space, folder: Path) -> Row | None:
    """The most accurate uniform network above MOST_LUT, which is not measured.

    Trained shortly, or in full where it is on the search's front: then with `test_accuracy`.
    """
    rows = [r for r in records(space, folder, "candidate")
            if "uniform" in r.methods and lut(r.row) > MOST_LUT]  # fmt: skip
    if not rows:
        return None
    best = max(rows, key=lambda r: accuracy(r.row))
    full = [r for r in records(space, folder, "final") if r.task.candidate == best.task.candidate]
    row = (full or [best])[0].row or {}
    return {
        "network": str(best.task.candidate),
        "held_out_accuracy": row["accuracy"],
        "test_accuracy": row.get("test_accuracy"),
        "lut_estimated": round(lut(row)),
    }


def distillation(space: Space, folder: Path) -> Row:
    """How often learning from the float network's scores was better, on held-out rows."""
    tried = [(r.row or {})["tried"] for r in records(space, folder, "final")]
    gains = [t["distilled"] - t["plain"] for t in tried]
    return {
        "networks": len(gains),
        "better": sum(g > 0 for g in gains),
        "worse": sum(g < 0 for g in gains),
        "mean_gain": round(sum(gains) / max(len(gains), 1), 5),
    }


def network(space: Space, folder: Path, key: str) -> str:
    candidates: dict[str, Candidate] = {
        r.key: r.task.candidate for r in records(space, folder, "final")
    }
    return str(candidates[key])


def run(name: str, workers: int) -> Row:
    """One data set: the study, its finals, the comparison."""
    folder = FOLDER / name
    if name == "mnist14":
        pooled_mnist(FOLDER / "mnist14.npz")
    space = space_of(name)
    executor = LocalExecutor(folder, workers)
    try:
        with watching(space, Console(stderr=True)) as watch:
            explore(space, folder, executor, watch)
        uniform = uniform_finals(space, folder, executor)
    finally:
        executor.close()
    return compare(space, folder, uniform)


def space_of(name: str) -> Space:
    """The space of a data set."""
    return read_space(SPACES[name], os.environ.get("BITWRIGHT_DATA"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(SPACES)}; all without")
    parser.add_argument("--workers", type=int, default=2)
    told = parser.parse_args()
    for name in told.names or SPACES:
        if name not in SPACES:
            raise SystemExit(f"there is no space {name!r}: choose from {', '.join(SPACES)}")
        row = run(name, told.workers)
        known = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
        known = {**known, "versions": versions(), name: row}
        replace_file(RESULT, json.dumps(known, indent=1) + "\n")
        print(f"{name}: {row['lut_search']} LUT at {row['accuracy']}, uniform "
              f"{row['lut_uniform']} at {row['uniform_accuracy']}: {row['lut_ratio_vs_uniform']} "
              f"of at most {LIMIT}", flush=True)  # fmt: skip
        done = {n: space_of(n) for n in SPACES if n in known and (FOLDER / n).is_dir()}
        search_page.write({n: (s, FOLDER / n) for n, s in done.items()}, known)


if __name__ == "__main__":
    main()
