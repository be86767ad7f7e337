"""What several commands do: read their inputs, show a result, and end."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bitwright.models.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from bitwright.cli.options import Target
    from bitwright.console import Steps
    from bitwright.hls import IoType
    from bitwright.models.graph import Graph, IntArray, Plan
    from bitwright.report import Controls
    from bitwright.rtl_tb import Design


def show(result: object, as_json: bool, *tables: "RenderableType") -> None:
    """Print a result to the standard output: as JSON, or as tables."""
    if as_json:
        from bitwright.report import to_json

        typer.echo(to_json(result), nl=False)
        return
    from rich.console import Console

    # A pipe or file has no width, and a table that is cut helps nobody.
    console = Console() if sys.stdout.isatty() else Console(width=120)
    for table in filter(None, tables):
        console.print(table)


def end(passed: bool) -> None:
    """End with exit code 1 if a check failed."""
    if not passed:
        raise typer.Exit(1)


def labels_of(text: str | None) -> tuple[str, ...]:
    """The names in the text of --labels."""
    return tuple(text.split(",")) if text else ()


def check_files(model: str, *given: Path | None) -> None:
    """Refuse files that are not there, before torch is imported, which takes long.

    model: FILE.py:FACTORY, or an ONNX file. given: weights and data. Raises InputError.
    """
    file = model if model.lower().endswith(".onnx") else model.rpartition(":")[0]
    if file and not Path(file).exists():  # without a file, `load_model` says what to give
        raise InputError(f"model file {file} does not exist")
    for path in given:
        if path is not None and not path.exists():
            raise InputError(f"{path} does not exist")


def vectors_for(
    graph: "Graph", data: Path | None, count: int | None, interval: int = 1
) -> "IntArray":
    """The rows of a data file, quantised, and random vectors behind them.

    interval: the cycles that a simulated design takes for each.

    Raises InputError as `arranged` and `load_rows`.
    """
    import numpy as np

    from bitwright.inputs import arranged, load_rows, random_vectors
    from bitwright.models.graph import quantise

    random = random_vectors(graph, count, interval=interval)
    if data is None:
        return random
    return np.concatenate([quantise(graph, arranged(graph, load_rows(data).x)), random])


def design_in(graph: "Graph", folder: Path) -> "Design":
    """The design in a folder. Raises InputError where it was made from another graph."""
    import json

    from bitwright.models.graph import digest
    from bitwright.rtl_tb import load_design

    design = load_design(folder)
    made_from = json.loads((folder / "design.json").read_text())["graph"]
    if made_from != digest(graph):
        raise InputError(
            f"{folder} was made from another graph ({made_from[:12]}, not "
            f"{digest(graph)[:12]}): make it again with 'bitwright rtl'"
        )
    return design


def note_replaced(folder: Path, marker: str, made: "Mapping[str, object]") -> None:
    """Tell, before a folder is replaced, that it holds what was made from something else.

    marker: the JSON file that says what it was made from. made: what it is made from now, by the
    file's own keys: "graph" and "plan", for example.
    """
    import json

    try:
        held = json.loads((folder / marker).read_text(encoding="utf-8"))
        other = [what for what, value in made.items() if held.get(what) != value]
    except (OSError, ValueError, AttributeError):
        return  # nothing is replaced, or writing says what is in the way
    if other:
        said = " and ".join(
            {"digest": "graph", "name": "network"}.get(what, what) for what in other
        )
        typer.echo(
            f"note: {folder} was made from another {said}, and is replaced; another -o keeps both",
            err=True,
        )


def plan_of(
    graph: "Graph", file: Path | None, target: "Target | None", clock: float | None
) -> "Plan":
    """The plan in a file, or one made for a target and a clock in MHz.

    Raises InputError for a plan together with a target or clock, which it has already.
    """
    from bitwright.cost_model import make_plan

    plan = given_plan(file, target, clock)
    if plan is None:
        return make_plan(graph, target or "xc7", clock)
    plan.check(graph)
    return plan


def clock_note(target: str, mhz: float, given: bool) -> str:
    """Where the clock of a plan comes from, where neither user nor file said one; else nothing."""
    from bitwright.models.graph import USUAL_MHZ

    if given:
        return ""
    usual = next(usual for name, usual in USUAL_MHZ.items() if name == target)
    if mhz == usual:
        return f"[dim]{mhz:g} MHz is what {target} is planned for by default: --clock sets it[/]"
    return (
        f"[dim]{mhz:g} MHz is what this should reach, below the {usual:g} MHz that {target} is "
        "planned for by default: --clock sets it[/]"
    )


def given_plan(file: Path | None, target: "Target | None", clock: float | None) -> "Plan | None":
    """The plan in a file. Raises InputError where it comes with a target or clock."""
    from bitwright.models.graph import load_plan

    if file is None:
        return None
    if target is not None or clock is not None:
        raise InputError(
            f"the plan {file} says for which target and clock it is: leave --target and --clock "
            "out, or make another plan"
        )
    return load_plan(file)


def controls_of(
    graph: "Graph",
    plan: "Plan",
    x: "IntArray",
    engines: tuple[str, ...],
    steps: "Steps",
    io: "IoType | None" = None,
) -> "Controls":
    """What became of the deliberate mistakes, as a step of its own."""
    from bitwright.checks import check_controls

    with steps.step("deliberate mistakes") as step:
        controls = check_controls(graph, plan, x, engines, io, step.progress)
        step.result = str(controls)
    return controls
