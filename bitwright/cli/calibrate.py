"""Fitting the cost model to measured rows."""

from pathlib import Path
from typing import Annotated

import typer

from bitwright.cli.common import show
from bitwright.cli.options import JsonOption


def calibrate(
    rows: Annotated[
        Path | None,
        typer.Option(
            help="File of counted rows.", show_default="the one that comes with bitwright"
        ),
    ] = None,
    clocks: Annotated[
        Path | None,
        typer.Option(help="File of routed clocks.", show_default="the one that comes along"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File of the numbers.", show_default="the one in use"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fit the numbers of the cost model to what was measured.

    Look-up tables and carry cells of every kind of logic, never negative, and the delays of routed
    targets. The table says how far estimates are from rows that were left out of the fit, an eighth
    of the points at a time; bands follow from the same errors. The numbers go to one small file,
    which estimate and plan then use.

    Examples:
      bitwright calibrate
      bitwright calibrate --rows mine.csv -o mine.json
    """
    from bitwright.console import Steps
    from bitwright.cost_model.calibration import calibrate as fit
    from bitwright.cost_model.calibration import to_json, write
    from bitwright.cost_model.coefficients import FILE
    from bitwright.cost_model.observed import clocks as seen_clocks
    from bitwright.cost_model.observed import observations
    from bitwright.cost_model.rows import DATA, read_clocks, read_rows
    from bitwright.tables import calibration_table

    counted = read_rows(rows or DATA / "measured.csv")
    routed = read_clocks(clocks or DATA / "clocks.csv")
    steps = Steps()
    with steps.step("what the rows consist of") as step:
        seen = observations(counted, step.progress)
        step.result = f"{len(counted):,} rows"
    with steps.step("fit, and errors on rows left out") as step:
        found = fit(seen, seen_clocks(routed, counted))
    tools = sorted({row.tool for row in counted} | {row.tool for row in routed})
    file = out or Path(str(FILE))
    write(file, to_json(found, tools))
    errors = [
        {"target": target, "part": kind, "resource": resource, **error.as_dict()}
        for target, one in found.items()
        for (kind, resource), error in sorted(one.errors.items())
    ]
    errors += [
        {"target": target, "part": "clock", "resource": "mhz", **one.clock_error.as_dict()}
        for target, one in found.items()
        if one.clock_error is not None
    ]
    show({"file": file, "tools": tools, "errors": errors}, as_json, calibration_table(errors, file))
