"""The command line: one command for each step of the job, and `run` for all of them.

Nothing heavy is imported before a command needs it, so that `--help` answers at once. Results go to
the standard output, as tables or with --json as JSON alone; everything else to the error stream.
"""

import errno
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, TypeVar

import typer
from typer.exceptions import TyperException

from bitwright.models.errors import BitwrightError, InputError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from bitwright.console import Steps
    from bitwright.cost_model import Estimate
    from bitwright.models.graph import Graph, IntArray, Plan
    from bitwright.report import Controls
    from bitwright.rtl_tb import Design

# As in models.graph.TARGETS, rtl_tb.Form and hls.BACKENDS; a test compares them. Spelled out here
# because importing them would cost every --help a second.
Target = Literal["xc7", "xcup", "ecp5", "ice40"]
Form = Literal["adder_graph", "plain"]
Backend = Literal["Vitis", "Vivado"]

Command = TypeVar("Command", bound=Callable[..., Any])

_OURS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE}

app = typer.Typer(
    name="bitwright",
    help="From a Brevitas-trained mixed-precision network to proven RTL, and what it costs.",
    epilog="A network of your own, step by step:\n"
    "  bitwright lower net.py:make --weights net.pt --input-shape 64 -o out/graph\n"
    "  bitwright estimate out/graph --target ecp5\n"
    "  bitwright rtl out/graph -o out/rtl && bitwright verify out/graph out/rtl\n\n"
    "Exit codes: 0 all is well, 1 a check failed, 2 something to mend, said in one sentence.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

GraphArgument = Annotated[
    Path, typer.Argument(help="Folder of an integer graph, made by 'bitwright lower'.")
]
ModelArgument = Annotated[
    str, typer.Argument(help="Python file and the function in it that makes the network.",
                        metavar="FILE.py:FACTORY", show_default=False)
]  # fmt: skip
WeightsOption = Annotated[
    Path | None,
    typer.Option("--weights", "-w", help="state_dict that torch.save() wrote.", show_default=False),
]
ShapeOption = Annotated[
    str, typer.Option(help="Sizes of one example without the batch: 64, or 1,8,8.",
                      show_default=False)
]  # fmt: skip
DataOption = Annotated[
    Path | None,
    typer.Option(help="Test rows: .npz with x and, for the accuracy, y. Random ones without.",
                 show_default=False),
]  # fmt: skip
VectorsOption = Annotated[int, typer.Option(help="Random vectors, besides those of --data.")]
TargetOption = Annotated[Target, typer.Option(help="Device family.")]
ClockOption = Annotated[
    float, typer.Option("--clock", min=1, max=2000, help="Clock in MHz to pipeline for.")
]
NameOption = Annotated[
    str | None, typer.Option(help="Name of the network, and of its top module.", show_default=False)
]
LabelsOption = Annotated[
    str | None, typer.Option(help="Names of the classes: a,b,c.", show_default=False)
]
ControlsOption = Annotated[
    bool, typer.Option("--controls", help="Show that the check finds deliberate mistakes.")
]
DesignArgument = Annotated[
    Path, typer.Argument(help="Folder of a design, made by 'bitwright rtl'.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def _command(*examples: str) -> Callable[[Command], Command]:
    """Add a command; its help is its docstring, with lines as wide as the terminal."""

    def add(function: Command) -> Command:
        paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
        text = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
        epilog = "\n".join(["Examples:", *(f"  {example}" for example in examples)])
        app.command(help=text, epilog=epilog)(function)
        return function

    return add


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"bitwright {installed('bitwright')}")
        raise typer.Exit


@_command(
    "bitwright lower net.py:make --weights net.pt --input-shape 64 -o out/graph",
    "bitwright lower net.py:make -w net.pt --input-shape 1,8,8 --data test.npz --json",
)
def lower(
    model: ModelArgument,
    input_shape: ShapeOption,
    weights: WeightsOption = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the graph.")] = Path(
        "out/graph"
    ),
    data: DataOption = None,
    name: NameOption = None,
    labels: LabelsOption = None,
    multiplier_bits: Annotated[
        int | None,
        typer.Option(
            help="Width of the factors that bring an output with a scale per channel to one scale.",
            show_default="as needed",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Turn a trained Brevitas network into integers, and compare.

    The integer graph is what every other command starts from. Both are
    run on the same rows: accuracies side by side, and how many integers of each tensor differ.
    With power-of-two scales none does.
    """
    from bitwright.flow import compare_with_torch, random_rows
    from bitwright.inputs import load_rows, parse_shape
    from bitwright.models.graph import digest, save
    from bitwright.models.lower import load_model
    from bitwright.models.lower import lower as lower_model
    from bitwright.tables import graph_table, lowering_table

    rows = load_rows(data) if data is not None else None
    network = load_model(model, weights)
    if weights is None:
        typer.echo("note: no --weights given, so the network is as its function makes it", err=True)
    lowered = lower_model(
        network,
        parse_shape(input_shape),
        name=name,
        labels=_labels(labels),
        multiplier_bits=multiplier_bits,
    )
    graph = lowered.graph
    accuracy, lowering = compare_with_torch(network, lowered, rows or random_rows(lowered))
    save(graph, out)
    result = {"graph": out, "digest": digest(graph), "name": graph.name, "accuracy": accuracy,
              "lowering": lowering}  # fmt: skip
    _show(result, as_json, graph_table(graph), lowering_table(graph.name, accuracy, lowering))


@_command(
    "bitwright estimate out/graph",
    "bitwright estimate out/graph --target ecp5 --clock 100 --json",
)
def estimate(
    graph: GraphArgument,
    target: TargetOption = "xc7",
    clock: ClockOption = 200.0,
    as_json: JsonOption = False,
) -> None:
    """Tell what the hardware of a graph will cost, layer by layer.

    LUTs, flip-flops, carry cells, DSP and memory blocks come from formulas; latency and initiation
    interval are exact.
    """
    from bitwright.flow import cost
    from bitwright.models.graph import load
    from bitwright.tables import cost_table

    plan, estimated = _estimate(load(graph), target, clock)
    both = cost(estimated)
    clocks = {"asked": clock, "estimated": estimated.clock_mhz}
    result = {"cost": both, "latency": plan.latency, "ii": plan.interval, "clock_mhz": clocks}
    _show(result, as_json, cost_table(both, clocks))


@_command(
    "bitwright hls out/graph -o out/hls",
    "bitwright hls out/graph --data test.npz --vectors 100000",
    "bitwright hls out/graph --part xcu50-fsvh2104-2-e --build",
)
def hls(
    graph: GraphArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the project.")] = Path(
        "out/hls"
    ),
    backend: Annotated[Backend, typer.Option(help="hls4ml's back end.")] = "Vitis",
    part: Annotated[
        str | None, typer.Option(help="Device, as AMD spells it.", show_default="a large VU13P")
    ] = None,
    clock: Annotated[
        float, typer.Option("--clock", min=1, max=2000, help="Clock in MHz that HLS aims at.")
    ] = 200.0,
    data: DataOption = None,
    vectors: VectorsOption = 10_000,
    controls: ControlsOption = False,
    build: Annotated[
        bool, typer.Option("--build", help="Synthesise with the vendor's tool on the PATH.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write hls4ml C++, and compare every output of it.

    The C++ is compiled with g++. The type of every tensor, weight and accumulator is
    explicit, so nothing is left to infer.
    """
    from bitwright import hls as room
    from bitwright.checks import check_hls
    from bitwright.console import Steps
    from bitwright.models.graph import evaluate, load
    from bitwright.tables import engines_table, vendor_table

    known = load(graph)
    x = _vectors(known, data, vectors)
    expected = evaluate(known, x)
    steps = Steps()
    with steps.step("write the project"):
        project = room.write(known, out, backend, part or room.DEFAULT_PART, clock)
    with steps.step("compile and simulate"):
        engine = check_hls(project, x, expected)
    caught = _controls(known, x, ("hls",), steps) if controls else None
    report = None
    if build:
        with steps.step("build with the vendor's tool"):
            report = room.build(project)
    result = {"project": out, "engines": {"hls": engine}, "controls": caught, "vendor": report}
    tables = [engines_table(known.name, {"hls": engine}, caught)]
    _show(result, as_json, *tables, *([vendor_table(report)] if report else []))
    _end(engine.passed and (caught is None or caught.passed))


@_command(
    "bitwright rtl out/graph -o out/rtl",
    "bitwright rtl out/graph -o out/rtl --target xcup --clock 400",
    "bitwright rtl out/graph -o out/rtl_plain --form plain",
)
def rtl(
    graph: GraphArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the design.")] = Path(
        "out/rtl"
    ),
    form: Annotated[
        Form, typer.Option(help="Constant products as adder graphs, or plainly as products.")
    ] = "adder_graph",
    target: TargetOption = "xc7",
    clock: ClockOption = 200.0,
    as_json: JsonOption = False,
) -> None:
    """Emit SystemVerilog.

    Unrolled, one vector a cycle, AXI4-Stream in and out. One readable module per layer; as
    many pipeline stages as the clock asks for. The same graph,
    target and clock give the same bytes.
    """
    from bitwright.models.graph import load
    from bitwright.rtl_tb import emit
    from bitwright.tables import design_table

    known = load(graph)
    plan, _ = _estimate(known, target, clock)
    design = emit(known, plan, out, form)
    result = {
        "design": out,
        "top": design.top,
        "files": list(design.files),
        "latency": design.latency,
        "ii": design.interval,
        "stages": {name: engine.stages for name, engine in plan.engines.items()},
    }
    _show(result, as_json, design_table(design, plan))


@_command(
    "bitwright verify out/graph out/rtl",
    "bitwright verify out/graph out/rtl --data test.npz --vectors 1000000 --no-bench",
    "bitwright verify out/graph out/rtl --waves   # then: gtkwave out/verify/waves.fst",
)
def verify(
    graph: GraphArgument,
    design: DesignArgument,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the compiled simulation and the waves.")
    ] = Path("out/verify"),
    data: DataOption = None,
    vectors: VectorsOption = 10_000,
    bench: Annotated[
        bool, typer.Option(help="Run the cocotb bench: pauses, packets, a reset on the way.")
    ] = True,
    controls: ControlsOption = False,
    waves: Annotated[
        bool, typer.Option("--waves", help="Leave OUT/waves.fst of the first 100 vectors.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Simulate a design, and compare every output and its cycles.

    Every vector goes through at full rate, and some again with random pauses on both sides. Then
    a cocotb bench looks at the protocol.
    """
    from bitwright.checks import check_rtl
    from bitwright.console import Steps
    from bitwright.models.graph import evaluate, load
    from bitwright.rtl_tb import bulk
    from bitwright.rtl_tb.bench import run_bench
    from bitwright.tables import engines_table

    known = load(graph)
    emitted = _design(known, design)
    x = _vectors(known, data, vectors)
    expected = evaluate(known, x)
    steps = Steps()
    with steps.step("compile with Verilator"):
        simulator = bulk.build(emitted, out / "sim")
    with steps.step("simulate") as step:
        engine = check_rtl(simulator, x, expected)
        step.result = str(engine)
    if waves:
        with steps.step("record waves") as step:
            recorder = bulk.build(emitted, out / "sim_waves", waves=True)
            recorder.simulate(x[:100], waves=out / "waves.fst")
            step.result = str(out / "waves.fst")
    found = None
    if bench:
        with steps.step("cocotb bench"):
            found = run_bench(emitted, x, expected, folder=out / "sim")
    caught = _controls(known, x, ("rtl",), steps) if controls else None
    result = {"engines": {"rtl": engine}, "bench": found, "controls": caught,
              "waves": out / "waves.fst" if waves else None}  # fmt: skip
    _show(result, as_json, engines_table(known.name, {"rtl": engine}, caught, found))
    _end(engine.passed and (not (found and found.failed)) and (caught is None or caught.passed))


@_command(
    "bitwright synth out/graph out/rtl --target xc7",
    "bitwright synth out/graph out/rtl --target ice40 --json",
)
def synth(
    graph: GraphArgument,
    design: DesignArgument,
    target: TargetOption = "xc7",
    clock: ClockOption = 200.0,
    as_json: JsonOption = False,
) -> None:
    """Synthesise a design with Yosys, beside its estimate.

    Layers are synthesised in parallel, each by itself; what was synthesised before, by the same
    Yosys from the same source, is not done again.
    """
    from bitwright.console import Steps
    from bitwright.flow import cost, measure_design
    from bitwright.models.graph import load
    from bitwright.tables import cost_table

    known = load(graph)
    emitted = _design(known, design)
    plan, estimated = _estimate(known, target, clock)
    if plan.latency != emitted.latency:
        raise InputError(
            f"{design} has a latency of {emitted.latency} cycles, and {clock:g} MHz on {target} "
            f"asks for {plan.latency}: give the --target and --clock that it was made with"
        )
    with Steps().step("synthesise with Yosys") as step:
        measured = measure_design(emitted, target, step.progress)
    both = cost(estimated, measured)
    clocks = {"asked": clock, "estimated": estimated.clock_mhz}
    result = {"cost": both, "clock_mhz": clocks, "tool": measured.tool}
    _show(result, as_json, cost_table(both, clocks))


@_command(
    "bitwright run --demo",
    "bitwright run net.py:make -w net.pt --input-shape 64 --data test.npz -o out/net",
)
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
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder of the results.", show_default="out/demo, or out/run"
        ),
    ] = None,
    data: DataOption = None,
    vectors: VectorsOption = 10_000,
    target: TargetOption = "xc7",
    clock: ClockOption = 200.0,
    name: NameOption = None,
    labels: LabelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Do the whole job, and report what was found.

    Lower, estimate, HLS, RTL, verify, synthesise. Ends with a table, and with report.json in
    the output folder. Stopped on the way, the same
    command goes on from where it was.
    """
    from bitwright import flow
    from bitwright.inputs import load_rows, parse_shape
    from bitwright.models.lower import load_model
    from bitwright.tables import report_table

    settings = flow.Settings(target, clock, vectors)
    if demo:
        if model or weights or input_shape or data:
            raise InputError("--demo brings its own network: give either that or one of yours")
        report = flow.demo(out or Path("out/demo"), settings)
    else:
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
            labels=_labels(labels),
            name=name,
            settings=settings,
        )
    _show(report, as_json, report_table(report))
    _end(report.passed)


def main() -> NoReturn:
    """The program. Whatever a user can mend ends in one sentence and exit code 2."""
    try:
        code = app(standalone_mode=False)
    except TyperException as error:
        _refuse(error.format_message())
    except BitwrightError as error:
        _refuse(str(error))
    except OSError as error:
        if error.errno == errno.EPIPE:  # the reader of our output has gone, as with | head
            sys.exit(141)
        if error.errno not in _OURS:
            raise
        _refuse(f"{error.filename or 'a file'}: {error.strerror}")
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _refuse(sentence: str) -> NoReturn:
    print(f"bitwright: {sentence}", file=sys.stderr)  # noqa: T201
    sys.exit(2)


def _show(result: object, as_json: bool, *tables: "RenderableType") -> None:
    if as_json:
        from bitwright.report import to_json

        typer.echo(to_json(result), nl=False)
        return
    from rich.console import Console

    # A pipe or file has no width, and a table that is cut helps nobody.
    console = Console() if sys.stdout.isatty() else Console(width=120)
    for table in tables:
        console.print(table)


def _end(passed: bool) -> None:
    if not passed:
        raise typer.Exit(1)


def _labels(text: str | None) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def _vectors(graph: "Graph", data: Path | None, count: int) -> "IntArray":
    """The rows of a data file, quantised, and random vectors behind them."""
    import numpy as np

    from bitwright.inputs import load_rows, random_vectors
    from bitwright.models.graph import quantise

    random = random_vectors(graph, count)
    if data is None:
        return random
    rows = load_rows(data).x
    return np.concatenate([quantise(graph, rows.reshape(len(rows), -1)), random])


def _design(graph: "Graph", folder: Path) -> "Design":
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


def _estimate(graph: "Graph", target: Target, clock: float) -> "tuple[Plan, Estimate]":
    from bitwright.cost_model import estimate as estimate_cost
    from bitwright.cost_model import make_plan

    plan = make_plan(graph, target, clock_mhz=clock)
    return plan, estimate_cost(graph, plan)


def _controls(
    graph: "Graph", x: "IntArray", engines: tuple[str, ...], steps: "Steps"
) -> "Controls":
    from bitwright.checks import check_controls
    from bitwright.cost_model import make_plan

    with steps.step("deliberate mistakes") as step:
        controls = check_controls(graph, make_plan(graph, "xc7", 200.0), x, engines, step.progress)
        step.result = str(controls)
    return controls


if __name__ == "__main__":
    main()
