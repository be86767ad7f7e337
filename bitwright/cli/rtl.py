"""The RTL: made, and verified."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bitwright.cli.common import (
    clock_note,
    controls_of,
    design_in,
    end,
    note_replaced,
    plan_of,
    show,
    vectors_for,
)
from bitwright.cli.options import (
    ClockOption,
    ControlsOption,
    DataOption,
    DesignArgument,
    Form,
    GraphArgument,
    JsonOption,
    PlanOption,
    TargetOption,
    VectorsOption,
)

if TYPE_CHECKING:
    from bitwright.models.graph import Graph, Plan

_FAULT_VECTORS = 8  # of a run, each of which sees one flipped bit
_MANY_CYCLES = 20_000_000  # from which on a simulation may take minutes


def rtl(
    graph: GraphArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the design.")] = Path(
        "out/rtl"
    ),
    form: Annotated[
        Form, typer.Option(help="Constant products as adder graphs, or plainly as products.")
    ] = "adder_graph",
    plan: PlanOption = None,
    target: TargetOption = None,
    clock: ClockOption = None,
    as_json: JsonOption = False,
) -> None:
    """Emit SystemVerilog.

    AXI4-Stream in and out, one readable module per layer. Without a plan, vectors that fit a small
    device are unrolled, one a cycle, with as many pipeline stages as the clock asks for; larger
    networks and images are folded. The same graph and plan give the same bytes.

    Examples:
      bitwright rtl out/graph -o out/rtl
      bitwright rtl out/graph -o out/rtl --target xcup --clock 400
      bitwright rtl out/graph -o out/rtl_plain --form plain
      bitwright rtl out/graph -o out/rtl --plan plan.json
    """
    from bitwright.models.graph import digest, load, plan_to_json
    from bitwright.rtl_tb import emit
    from bitwright.tables import design_table

    known = load(graph)
    planned = plan_of(known, plan, target, clock)
    told = plan_to_json(planned)
    note_replaced(out, "design.json", {"graph": digest(known), "plan": told, "form": form})
    design = emit(known, planned, out, form)
    result = {
        "design": out,
        "top": design.top,
        "files": list(design.files),
        "latency": design.latency,
        "ii": design.interval,
        "plan": told,
    }
    note = clock_note(planned.target, planned.clock_mhz, bool(clock or plan))
    show(result, as_json, design_table(design, planned), note)


def verify(
    graph: GraphArgument,
    design: DesignArgument,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the compiled simulation and the waves.")
    ] = Path("out/verify"),
    data: DataOption = None,
    vectors: VectorsOption = None,
    bench: Annotated[
        bool, typer.Option(help="Run the cocotb bench: pauses, packets, a reset on the way.")
    ] = True,
    controls: ControlsOption = False,
    waves: Annotated[
        bool, typer.Option("--waves", help="Leave OUT/waves.fst of the first 100 vectors.")
    ] = False,
    faults: Annotated[
        int,
        typer.Option(
            min=0, help="Flip so many single bits, one a run; without redundancy they may show."
        ),
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Simulate a design, and compare every output and its cycles.

    Every vector goes through at full rate, and some again with random pauses on both sides. Then
    a cocotb bench looks at the protocol. Flipped bits are to show nowhere in a design with
    triple modular redundancy; in another they are counted. OUT/verify.json keeps the result.

    Examples:
      bitwright verify out/graph out/rtl
      bitwright verify out/graph out/rtl --faults 10000
      bitwright verify out/graph out/rtl --data test.npz --vectors 1000000 --no-bench
      bitwright verify out/graph out/rtl --waves   # then: gtkwave out/verify/waves.fst
    """
    from bitwright.checks import check_bench, check_rtl
    from bitwright.console import Steps
    from bitwright.models.graph import digest, evaluate, load
    from bitwright.report import write_json
    from bitwright.rtl_tb import bulk, inject
    from bitwright.tables import engines_table

    known = load(graph)
    emitted = design_in(known, design)
    x = vectors_for(known, data, vectors, emitted.interval)
    _note_many_cycles(len(x) * emitted.interval)
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
            found = check_bench(emitted, x, expected, out / "sim")
    upsets = None
    if faults:
        with steps.step("flip bits") as step:
            few = slice(_FAULT_VECTORS)
            upsets = inject(emitted, x[few], expected[few], folder=out / "sim_faults", flips=faults)
            step.result = str(upsets)
    planned = emitted.plan or plan_of(known, None, None, None)
    caught = controls_of(known, planned, x, ("rtl",), steps) if controls else None
    result = {"graph": digest(known), "design": emitted.digest(), "engines": {"rtl": engine},
              "bench": found, "controls": caught, "upsets": upsets,
              "waves": out / "waves.fst" if waves else None}  # fmt: skip
    write_json(result, out / "verify.json")
    redundant = emitted.plan is not None and emitted.plan.redundancy == 3
    passed = (
        engine.passed
        and not (found and found.failed)
        and (caught is None or caught.passed)
        and not (redundant and upsets and upsets.shown)
    )
    kept = f"kept in {out}/verify.json"
    if passed:
        kept += ", for the README of 'bitwright ip --verified'"
    title = _title(known, planned, emitted.form)
    show(result, as_json, engines_table(known.name, {title: engine}, caught, found), kept)
    end(passed)


def _note_many_cycles(cycles: int) -> None:
    """Tell that a simulation is long before it begins."""
    if cycles >= _MANY_CYCLES:
        typer.echo(
            f"note: {cycles / 1e6:,.0f} million cycles to simulate, which may take minutes; "
            "fewer --vectors are quicker",
            err=True,
        )


def _title(graph: "Graph", plan: "Plan", form: str) -> str:
    """What the table calls the engine: by the form of its unrolled products, if it has any."""
    from bitwright.models.graph import Conv2d, Dense, Unrolled

    products = [node.name for node in graph.nodes if isinstance(node.op, Dense | Conv2d)]
    if not any(isinstance(plan.engines[name], Unrolled) for name in products):
        return "rtl_products"  # folded: multipliers in both forms
    return "rtl" if form == "adder_graph" else "rtl_plain"
