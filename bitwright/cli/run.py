"""The whole job."""

from pathlib import Path
from typing import Annotated

import typer

from bitwright.cli.common import check_files, clock_note, end, given_plan, labels_of, show
from bitwright.cli.options import (
    ClockOption,
    DataOption,
    JsonOption,
    LabelsOption,
    NameOption,
    PlanOption,
    TargetOption,
    VectorsOption,
    WeightsOption,
)
from bitwright.models.errors import InputError


def run(
    model: Annotated[
        str,
        typer.Argument(
            help="Python file and the function in it that makes the network.",
            metavar="[FILE.py:FACTORY]",
            show_default=False,
        ),
    ] = "",
    weights: WeightsOption = None,
    input_shape: Annotated[
        str,
        typer.Option(
            help="Sizes of one example without the batch: 64, or 1,8,8.", show_default=False
        ),
    ] = "",
    demo: Annotated[
        bool, typer.Option("--demo", help="Train and use a small network on handwritten digits.")
    ] = False,
    study: Annotated[
        Path | None,
        typer.Option(
            "--from", help="Study that 'bitwright explore' made; with --point.", show_default=False
        ),
    ] = None,
    point: Annotated[
        int | None, typer.Option(help="Number of the point in the study.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder of the results.",
            show_default="out/demo, out/run, or hardware/POINT in the study's folder",
        ),
    ] = None,
    data: DataOption = None,
    vectors: VectorsOption = None,
    plan: PlanOption = None,
    target: TargetOption = None,
    clock: ClockOption = None,
    name: NameOption = None,
    labels: LabelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Do the whole job, and report what was found.

    Lower, estimate, HLS, RTL, verify, synthesise. Ends with a table, and with report.json in
    the output folder. Stopped on the way, the same
    command goes on from where it was.

    Examples:
      bitwright run --demo
      bitwright run net.py:make -w net.pt --input-shape 64 --data test.npz -o out/net
      bitwright run --from out/explore/digits/study.db --point 81
    """
    if model and not (demo or study or model.lower().endswith(".onnx")):
        check_files(model, weights, data)
    from bitwright import flow
    from bitwright.inputs import load_rows, parse_shape
    from bitwright.models.lower import load_model
    from bitwright.tables import report_table

    planned = given_plan(plan, target, clock)
    settings = flow.Settings(target or "xc7", clock, vectors, plan=planned)
    if study is not None or point is not None:
        if demo or model or weights or input_shape or data or plan or target or clock:
            raise InputError("a point of a study has its own network, data and plan: give no other")
        if study is None or point is None:
            raise InputError("give both --from and --point, the study and the number in it")
        from bitwright.console import Steps
        from bitwright.search.hardware import prove

        _, report = prove(study, point, out, settings, Steps())
    elif demo:
        if model or weights or input_shape or data:
            raise InputError("--demo brings its own network: give either that or one of yours")
        report = flow.demo(out or Path("out/demo"), settings)
    else:
        if model and model.lower().endswith(".onnx"):
            raise InputError(
                f"run compares with torch, which {model} has not: take it step by step, beginning "
                f"with 'bitwright lower {model}'"
            )
        if not model or not input_shape:
            raise InputError(
                "run needs a network, such as net.py:make with --input-shape 64; or give --demo"
            )
        rows = load_rows(data) if data is not None else None
        report = flow.run(
            load_model(model, weights),
            parse_shape(input_shape),
            out or Path("out/run"),
            rows=rows,
            labels=labels_of(labels),
            name=name,
            settings=settings,
        )
    given = bool(clock or plan) or study is not None
    note = clock_note(report.cost.target, report.clock_mhz["asked"], given)
    show(report, as_json, report_table(report), note)
    end(report.passed)
