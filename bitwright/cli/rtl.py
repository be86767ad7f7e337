"""The RTL: made, and verified."""

from pathlib import Path
from typing import Annotated

import typer

from bitwright.cli.common import controls_of, design_in, end, plan_and_estimate, show, vectors_for
from bitwright.cli.options import (
    ClockOption,
    ControlsOption,
    DataOption,
    DesignArgument,
    Form,
    GraphArgument,
    JsonOption,
    TargetOption,
    VectorsOption,
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

    Examples:
      bitwright rtl out/graph -o out/rtl
      bitwright rtl out/graph -o out/rtl --target xcup --clock 400
      bitwright rtl out/graph -o out/rtl_plain --form plain
    """
    from bitwright.models.graph import load, plan_to_json
    from bitwright.rtl_tb import emit
    from bitwright.tables import design_table

    known = load(graph)
    plan, _ = plan_and_estimate(known, target, clock)
    design = emit(known, plan, out, form)
    result = {
        "design": out,
        "top": design.top,
        "files": list(design.files),
        "latency": design.latency,
        "ii": design.interval,
        "plan": plan_to_json(plan),
    }
    show(result, as_json, design_table(design, plan))


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

    Examples:
      bitwright verify out/graph out/rtl
      bitwright verify out/graph out/rtl --data test.npz --vectors 1000000 --no-bench
      bitwright verify out/graph out/rtl --waves   # then: gtkwave out/verify/waves.fst
    """
    from bitwright.checks import check_rtl
    from bitwright.console import Steps
    from bitwright.models.graph import evaluate, load
    from bitwright.rtl_tb import bulk
    from bitwright.rtl_tb.bench import run_bench
    from bitwright.tables import engines_table

    known = load(graph)
    emitted = design_in(known, design)
    x = vectors_for(known, data, vectors)
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
    caught = controls_of(known, x, ("rtl",), steps) if controls else None
    result = {"engines": {"rtl": engine}, "bench": found, "controls": caught,
              "waves": out / "waves.fst" if waves else None}  # fmt: skip
    show(result, as_json, engines_table(known.name, {"rtl": engine}, caught, found))
    end(engine.passed and (not (found and found.failed)) and (caught is None or caught.passed))
