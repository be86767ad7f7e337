"""Design-space exploration: the study, and its report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bitwright.cli.common import show
from bitwright.cli.options import JsonOption

if TYPE_CHECKING:
    from bitwright.search.executors import Executor


def explore(
    space: Annotated[Path, typer.Argument(help="Search space, a TOML file.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of the study.", show_default="out/explore/NAME"),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = 2,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Instead: a Dask scheduler, tcp://host:8786, or a dask-jobqueue file, farm.yaml.",
            show_default=False,
        ),
    ] = None,
    resource: Annotated[
        list[str] | None,
        typer.Option(help="What there is of an abstract resource: licence=1.", show_default=False),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the data set's files.", show_default="$BITWRIGHT_DATA"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find the best networks within a budget: from a space file to a Pareto front.

    A space names a network, data, what may vary in it, and what it may cost: examples/spaces has
    some to start from. Every candidate is trained shortly from one float network, turned into
    integers, planned and estimated; the points of the front are then trained in full and tested.
    Stopped on the way, however, the same command goes on where it was.

    Examples:
      bitwright explore examples/spaces/digits.toml -o out/explore/digits
      bitwright explore jets.toml --data ~/data --cluster tcp://10.0.0.1:8786
    """
    from bitwright.console import Steps
    from bitwright.search.explore import explore as run
    from bitwright.search.progress import summary, watching
    from bitwright.search.space import read_space
    from bitwright.search.study import read_study

    asked = read_space(space, data)
    folder = out or Path("out/explore") / space.stem
    steps = Steps()
    with steps.step(f"explore {space.stem}", own_bar=True) as step:
        executor = _executor(folder, workers, cluster, resource or [])
        try:
            with watching(asked, steps.console) as watch:
                run(asked, folder, executor, watch)
        finally:
            executor.close()
        with read_study(folder) as study:
            records = study.records()
        current = [r for r in records if r.key == asked.key(r.task) and r.row is not None]
        finals = [r for r in current if r.task.kind == "final"]
        failed = sum(r.error is not None for r in current)
        step.result = f"{len(current)} networks, {failed} failed, {len(finals)} final"
    rows = [(r.number, r.task.candidate, dict(r.row or {})) for r in finals]
    result = {
        "study": folder / "study.db",
        "networks": len(current),
        "failed": failed,
        "points": [{"point": n, "candidate": c.as_dict(), **row} for n, c, row in rows],
    }
    usable = [(row["accuracy"], n) for n, _, row in rows if "error" not in row]
    best = max(usable)[1] if usable else "N"
    following = (
        f"report:  bitwright report {folder}\n"
        f"hardware: bitwright run --from {folder}/study.db --point {best}"
    )
    show(result, as_json, summary(rows, asked), following)


def report(
    study: Annotated[Path, typer.Argument(help="Folder of a study, or its study.db.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File of the page.", show_default="report.html there"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a study as one HTML page: the Pareto front, every network, how to have it again.

    The page needs nothing else and no network. A study that is still running can be shown too.

    Examples:
      bitwright report out/explore/digits
    """
    from bitwright.models.files import replace_file
    from bitwright.search.page import PAGE, page
    from bitwright.search.study import read_study

    with read_study(study) as found:
        text = page(found, str(study if study.is_file() else study / "study.db"))
        file = out or found.folder / PAGE
    replace_file(file, text)
    show({"page": file}, as_json, f"page: {file}")


def _executor(folder: Path, workers: int, cluster: str | None, told: list[str]) -> "Executor":
    from bitwright.models.errors import InputError
    from bitwright.search.executors import LocalExecutor

    resources = {}
    for text in told:
        name, _, amount = text.partition("=")
        try:
            resources[name] = float(amount)
        except ValueError:
            raise InputError(f"resource {text!r}: give a name and an amount, licence=1") from None
    if cluster is None:
        return LocalExecutor(folder, workers, resources=resources)
    if resources:
        raise InputError("workers of a cluster say themselves what they have: leave --resource out")
    from bitwright.search.cluster import DaskExecutor

    return DaskExecutor(cluster)
