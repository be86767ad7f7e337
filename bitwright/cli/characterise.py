"""Measuring what the cost model is fitted to."""

from pathlib import Path
from typing import Annotated

import typer

from bitwright.cli.common import end, show
from bitwright.cli.options import JsonOption


def characterise(
    rows: Annotated[
        Path | None,
        typer.Option(help="File of the rows.", show_default="the one that comes with bitwright"),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(help="Device family; may be said again.", show_default="all"),
    ] = None,
    only: Annotated[
        str, typer.Option(metavar="PATTERN", help="Points of such a name, as 'dense_*_r2'.")
    ] = "*",
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes at a time.", show_default="all cores")
    ] = None,
    limit_minutes: Annotated[
        float | None, typer.Option(min=0, help="Begin nothing more after that.", show_default=False)
    ] = None,
    clocks: Annotated[
        bool, typer.Option("--clocks", help="Place and route each with nextpnr, for its clock.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the placer, with --clocks.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Measure the sample points that the cost model is fitted to.

    Single operations of all kinds, widths and foldings are emitted as RTL, and Yosys counts the
    cells of each; with --clocks nextpnr routes them on ECP5 and Gowin. Only what the file of rows
    lacks is measured, and every row is kept as it comes: stop the command when you like, and run
    it again to go on. The same points and tools give the same file.

    Examples:
      bitwright characterise --limit-minutes 10
      bitwright characterise --target ecp5 --only 'threshold_*' --rows mine.csv
    """
    from fnmatch import fnmatch

    from bitwright.characterise import Limits, measure, measure_clocks, point_subjects
    from bitwright.console import campaign
    from bitwright.cost_model.rows import DATA, POINTS
    from bitwright.cost_model.sweep import points
    from bitwright.tables import campaign_table

    file = rows or DATA / ("clocks.csv" if clocks else "measured.csv")
    # Registers alone have no path in them that nextpnr would time.
    chosen = [
        point
        for point in points()
        if fnmatch(point.name, only) and not (clocks and point.op == "identity")
    ]
    with campaign("measure points") as progress:
        limits = Limits(target or (), jobs, limit_minutes, seed=seed)
        subjects = point_subjects(chosen)
        if clocks:
            found = measure_clocks(subjects, file, limits, progress)
        else:
            found = measure(subjects, file, POINTS, limits, progress)
    result = {
        "file": file,
        "points": len(chosen),
        "measured": found.rows,
        "from_cache": found.known,
        "missing": found.left,
        "failed": found.failed,
    }
    show(result, as_json, campaign_table(result))
    end(not found.failed)
