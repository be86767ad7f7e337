"""What hardware costs: estimated, and measured with Yosys."""

from dataclasses import replace
from typing import Annotated

import typer

from bitwright.cli.common import design_in, plan_of, show
from bitwright.cli.options import (
    ClockOption,
    DesignArgument,
    GraphArgument,
    JsonOption,
    PlanOption,
    TargetOption,
)


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
    from bitwright.tables import cost_table

    known = load(graph)
    planned = plan_of(known, plan, target, clock)
    estimated = estimate_cost(known, planned, solved=not fast)
    both = cost(estimated)
    clocks = {"asked": planned.clock_mhz, "estimated": estimated.clock_mhz}
    if estimated.clock_band is not None:
        clocks |= dict(zip(("low", "high"), estimated.clock_band, strict=True))
    result = {"cost": both, "latency": estimated.latency, "ii": estimated.ii, "clock_mhz": clocks}
    show(result, as_json, cost_table(both, clocks))


def synth(
    graph: GraphArgument,
    design: DesignArgument,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Synthesise a design with Yosys, beside its estimate.

    The design says for which target it was planned; --target counts its cells on another one.
    Layers are synthesised in parallel, each by itself; what was synthesised before, by the same
    Yosys from the same source, is not done again.

    Examples:
      bitwright synth out/graph out/rtl
      bitwright synth out/graph out/rtl --target ice40 --json
    """
    from bitwright.console import Steps
    from bitwright.cost_model import estimate as estimate_cost
    from bitwright.flow import cost, measure_design
    from bitwright.models.graph import load
    from bitwright.tables import cost_table

    known = load(graph)
    emitted = design_in(known, design)
    planned = emitted.plan or plan_of(known, None, target, None)
    planned = replace(planned, target=target or planned.target)
    estimated = estimate_cost(known, planned, solved=True)
    with Steps().step("synthesise with Yosys") as step:
        measured = measure_design(emitted, planned.target, step.progress)
    both = cost(estimated, measured)
    clocks = {"asked": planned.clock_mhz, "estimated": estimated.clock_mhz}
    result = {"cost": both, "clock_mhz": clocks, "tool": measured.tool}
    show(result, as_json, cost_table(both, clocks))
