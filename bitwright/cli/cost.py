"""What hardware costs: estimated, and measured with Yosys."""

from bitwright.cli.common import design_in, plan_and_estimate, show
from bitwright.cli.options import (
    ClockOption,
    DesignArgument,
    GraphArgument,
    JsonOption,
    TargetOption,
)
from bitwright.models.errors import InputError


def estimate(
    graph: GraphArgument,
    target: TargetOption = "xc7",
    clock: ClockOption = 200.0,
    as_json: JsonOption = False,
) -> None:
    """Tell what the hardware of a graph will cost, layer by layer.

    LUTs, flip-flops, carry cells, DSP and memory blocks come from formulas; latency and initiation
    interval are exact.

    Examples:
      bitwright estimate out/graph
      bitwright estimate out/graph --target ecp5 --clock 100 --json
    """
    from bitwright.flow import cost
    from bitwright.models.graph import load
    from bitwright.tables import cost_table

    _, estimated = plan_and_estimate(load(graph), target, clock)
    both = cost(estimated)
    clocks = {"asked": clock, "estimated": estimated.clock_mhz}
    result = {"cost": both, "latency": estimated.latency, "ii": estimated.ii, "clock_mhz": clocks}
    show(result, as_json, cost_table(both, clocks))


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

    Examples:
      bitwright synth out/graph out/rtl --target xc7
      bitwright synth out/graph out/rtl --target ice40 --json
    """
    from bitwright.console import Steps
    from bitwright.flow import cost, measure_design
    from bitwright.models.graph import load
    from bitwright.tables import cost_table

    known = load(graph)
    emitted = design_in(known, design)
    _, estimated = plan_and_estimate(known, target, clock)
    if estimated.latency != emitted.latency:
        raise InputError(
            f"{design} has a latency of {emitted.latency} cycles, and {clock:g} MHz on {target} "
            f"asks for {estimated.latency}: give the --target and --clock that it was made with"
        )
    with Steps().step("synthesise with Yosys") as step:
        measured = measure_design(emitted, target, step.progress)
    both = cost(estimated, measured)
    clocks = {"asked": clock, "estimated": estimated.clock_mhz}
    result = {"cost": both, "clock_mhz": clocks, "tool": measured.tool}
    show(result, as_json, cost_table(both, clocks))
