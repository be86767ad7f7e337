"""What hardware costs: estimated, and measured with Yosys, nextpnr or Vivado."""

from dataclasses import replace
from typing import Annotated, Literal

import typer

from bitwright.cli.common import clock_note, design_in, plan_of, show
from bitwright.cli.options import (
    ClockOption,
    DesignArgument,
    GraphArgument,
    JsonOption,
    PlanOption,
    TargetOption,
)

Tool = Literal["yosys", "vivado"]


def estimate(
    graph: GraphArgument,
    plan: PlanOption = None,
    target: TargetOption = None,
    clock: ClockOption = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Formulas alone, without solving adder graphs.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Tell what the hardware of a graph will cost, layer by layer.

    LUTs, flip-flops, carry cells, DSP and memory blocks are estimated without any tool, each with
    the band that nine of ten networks stay within; latency and initiation interval are exact. The
    adder graphs of unrolled layers are solved as `rtl` would, unless --fast is given, which is
    less near. What is beyond all that was ever measured is named.

    Examples:
      bitwright estimate out/graph
      bitwright estimate out/graph --target ecp5 --clock 100 --json
      bitwright estimate out/graph --plan plan.json
    """
    from bitwright.cost_model import estimate as estimate_cost
    from bitwright.flow import cost
    from bitwright.models.graph import load
    from bitwright.report import clocks
    from bitwright.tables import cost_table, pace

    known = load(graph)
    planned = plan_of(known, plan, target, clock)
    estimated = estimate_cost(known, planned, solved=not fast)
    both = cost(estimated)
    mhz = clocks(planned, estimated)
    result = {"cost": both, "latency": estimated.latency, "ii": estimated.ii, "clock_mhz": mhz}
    note = clock_note(planned.target, planned.clock_mhz, bool(clock or plan))
    show(result, as_json, cost_table(both, mhz, pace(planned, estimated)), note)


def synth(
    graph: GraphArgument,
    design: DesignArgument,
    target: TargetOption = None,
    tool: Annotated[Tool, typer.Option(help="What measures.")] = "yosys",
    route: Annotated[
        bool, typer.Option("--route", help="Route every layer with nextpnr too, for its clock.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Synthesise a design, beside its estimate.

    The design says for which target it was planned; --target counts its cells on another one.
    Layers are synthesised in parallel, each by itself; what was synthesised before, by the same
    tool from the same source, is not done again.

    Yosys counts before placement. With --route, nextpnr places and routes each layer on ECP5 or
    Gowin, and its slowest path is shown: pip install 'bitwright[route]' brings it. --tool vivado
    places and routes with Vivado, where that is on the PATH.

    Examples:
      bitwright synth out/graph out/rtl
      bitwright synth out/graph out/rtl --target ice40 --json
      bitwright synth out/graph out/rtl --target ecp5 --route
      bitwright synth out/graph out/rtl --target xc7 --tool vivado
    """
    from bitwright.console import Steps
    from bitwright.cost_model import estimate as estimate_cost
    from bitwright.cost_model.nextpnr import router_version
    from bitwright.flow import cost, measure_design, route_design
    from bitwright.models.errors import InputError
    from bitwright.models.graph import load
    from bitwright.report import clocks
    from bitwright.tables import clock_table, cost_table

    known = load(graph)
    emitted = design_in(known, design)
    planned = emitted.plan or plan_of(known, None, target, None)
    planned = replace(planned, target=target or planned.target)
    estimated = estimate_cost(known, planned, solved=True)
    if route and tool == "vivado":
        raise InputError("Vivado routes by itself: leave --route out, or --tool vivado")
    if route:
        router_version(planned.target)  # refuses what it cannot route before anything is measured
    vivado_mhz = planned.clock_mhz if tool == "vivado" else None
    steps = Steps()
    paths: dict[str, str] = {}
    reached: dict[str, float] = {}
    with steps.step(f"synthesise with {tool.capitalize()}") as step:
        measured = measure_design(emitted, planned.target, step.progress, vivado_mhz)
        reached.update(measured.clocks)
    if route:
        with steps.step("place and route with nextpnr") as step:
            routes = route_design(known, emitted, planned.target, step.progress)
            reached = {node: found.mhz for node, found in routes.items()}
            paths = {node: str(found) for node, found in routes.items()}
    both = cost(estimated, measured)
    mhz = clocks(planned, estimated)
    result = {"cost": both, "clock_mhz": mhz, "tool": measured.tool}
    tables = [cost_table(both, mhz)]
    if reached:
        mhz["routed"] = min(reached.values())
        result |= {"layer_clock_mhz": reached, "slowest_paths": paths}
        tables.append(clock_table(reached, paths))
    show(result, as_json, *tables)
