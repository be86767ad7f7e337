"""The HLS project."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from bitwright.cli.common import controls_of, end, note_replaced, plan_of, show, vectors_for
from bitwright.cli.options import (
    Backend,
    ControlsOption,
    DataOption,
    GraphArgument,
    JsonOption,
    VectorsOption,
)

# As in hls.IO_TYPES; a test compares them. Importing it would cost every --help a second.
IoType = Literal["io_parallel", "io_stream"]


def hls(
    graph: GraphArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the project.")] = Path(
        "out/hls"
    ),
    backend: Annotated[Backend, typer.Option(help="hls4ml's back end.")] = "Vitis",
    io: Annotated[
        IoType | None,
        typer.Option(
            help="Tensors as arrays, or as streams of one pixel at a time.",
            show_default="arrays, or streams where an image has more than 4,096 elements",
        ),
    ] = None,
    part: Annotated[
        str | None, typer.Option(help="Device, as AMD spells it.", show_default="a large VU13P")
    ] = None,
    clock: Annotated[
        float, typer.Option("--clock", min=1, max=2000, help="Clock in MHz that HLS aims at.")
    ] = 200.0,
    data: DataOption = None,
    vectors: VectorsOption = None,
    controls: ControlsOption = False,
    build: Annotated[
        bool, typer.Option("--build", help="Synthesise with the vendor's tool on the PATH.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write hls4ml C++, and compare every output of it.

    The C++ is compiled with g++. The type of every tensor, weight and accumulator is
    explicit, so nothing is left to infer.

    Examples:
      bitwright hls out/graph -o out/hls
      bitwright hls out/graph --data test.npz --vectors 100000
      bitwright hls out/graph --io io_stream
      bitwright hls out/graph --part xcu50-fsvh2104-2-e --build
    """
    from bitwright import hls as room
    from bitwright.checks import check_hls
    from bitwright.console import Steps
    from bitwright.models.graph import digest, evaluate, load
    from bitwright.tables import engines_table, vendor_table

    known = load(graph)
    x = vectors_for(known, data, vectors)
    expected = evaluate(known, x)
    steps = Steps()
    note_replaced(out, "bitwright.json", {"digest": digest(known), "backend": backend})
    with steps.step("write the project"):
        project = room.write(known, out, backend, part or room.DEFAULT_PART, clock, io)
    with steps.step("compile and simulate"):
        engine = check_hls(project, x, expected)
    caught = (
        controls_of(known, plan_of(known, None, None, None), x, ("hls",), steps, io)
        if controls
        else None
    )
    report = None
    if build:
        with steps.step("build with the vendor's tool"):
            report = room.build(project)
    result = {"project": out, "engines": {"hls": engine}, "controls": caught, "vendor": report}
    tables = [engines_table(known.name, {"hls": engine}, caught)]
    show(result, as_json, *tables, *([vendor_table(report)] if report else []))
    end(engine.passed and (caught is None or caught.passed))
