"""The chosen point: from its number in a study to checked hardware."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bitwright import flow
from bitwright.console import Steps
from bitwright.inputs import Rows
from bitwright.models.errors import InputError
from bitwright.models.graph import load_plan
from bitwright.models.lower.lowered import identifier
from bitwright.report import Report, write_json
from bitwright.search.candidate import Task
from bitwright.search.executors import LocalExecutor
from bitwright.search.explore import evaluate_one
from bitwright.search.network import build, load_state, test_data
from bitwright.search.page import hardware_folder
from bitwright.search.space import Space
from bitwright.search.study import read_study

PROOF = "point.json"
"""What the report of a study reads: whether the point passed all checks, and its measured cells."""

_ROWS = 10_000


def prove(
    place: Path, number: int, out: Path | None, settings: flow.Settings, steps: Steps
) -> tuple[Path, Report]:
    """Do the whole job for a point of a study, on test rows; its folder, and what was found.

    One that was trained shortly is trained in full first. out: hardware/NUMBER in the study's
    folder without. Raises InputError for a point that there is not, that failed, or whose network
    has changed; otherwise as `flow.run`.
    """
    with read_study(place) as study:
        space = Space.from_dict(study.fact("space"))
        records = {r.number: r for r in study.records()}
        folder = study.folder
    record = records.get(number)
    if record is None or record.error is not None or space.key(record.task) != record.key:
        if record is None:
            why = "is not in it"
        elif record.error is not None:
            why = f"failed: {record.error}"
        else:
            why = "is of another version of bitwright, of its network or of the space"
        usable = [n for n, r in records.items() if r.done and space.key(r.task) == r.key]
        raise InputError(
            f"point {number} of {place} {why}: choose from "
            f"{', '.join(map(str, usable)) or 'none, and explore again'}"
        )
    final = Task("final", record.task.candidate)
    key = space.key(final)
    point = folder / "points" / key
    if not point.is_dir():
        with steps.step(f"train point {number} in full") as step:
            executor = LocalExecutor(folder, 1)
            try:
                row = evaluate_one(space, folder, executor, final)
            finally:
                executor.close()
            _refuse(row, number)
            step.result = f"{100 * row['test_accuracy']:.2f} % of the test set"
    candidate, data = record.task.candidate, test_data(space)
    model = build(space, candidate)
    model.load_state_dict(load_state(point / "weights.pt"))
    made = out if out is not None else hardware_folder(folder, number)
    report = flow.run(
        model,
        data.x_test.shape[1:],
        made,
        rows=Rows(data.x_test[:_ROWS], data.y_test[:_ROWS]),
        labels=data.labels,
        name=identifier(f"{Path(space.data).stem}_{number}"),
        settings=replace(settings, plan=load_plan(point / "plan.json")),
        steps=steps,
    )
    measured = {name: part.get("measured", {}) for name, part in report.cost.layers.items()}
    proof = {"point": number, "candidate": candidate.as_dict(), "passed": report.passed}
    write_json({**proof, "measured": measured}, hardware_folder(folder, number) / PROOF)
    return made, report


def _refuse(row: Mapping[str, Any], number: int) -> None:
    if "error" in row:
        raise InputError(f"point {number} cannot be trained: {row['error']}")
