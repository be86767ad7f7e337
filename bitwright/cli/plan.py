"""Plans: which engine each layer becomes."""

from pathlib import Path
from typing import Annotated

import typer

from bitwright.cli.common import clock_note, end, show
from bitwright.cli.options import ClockOption, GraphArgument, JsonOption, TargetOption


def plan(
    graph: GraphArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="File of the plan.")] = Path(
        "out/plan.json"
    ),
    target: TargetOption = None,
    clock: ClockOption = None,
    target_fps: Annotated[
        float | None,
        typer.Option(help="Tensors a second to reach, at the least cost.", show_default=False),
    ] = None,
    max_lut: Annotated[
        int | None, typer.Option(help="Look-up tables to stay within.", show_default=False)
    ] = None,
    max_bram: Annotated[
        int | None, typer.Option(help="Memory blocks to stay within.", show_default=False)
    ] = None,
    max_dsp: Annotated[
        int | None, typer.Option(help="DSP blocks to stay within.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Choose the engine of every layer.

    For a rate, the cheapest plan that reaches it; for a budget, the fastest plan within it. Without
    either, vectors are unrolled, one a cycle, where that fits a small device, and all else is
    folded into it. The table says which layer is the slowest.

    Budgets that are not given are not kept: without --max-dsp, a plan may want more DSP blocks than
    a small device has.

    Without --clock, the plan is for a clock that is usual on the family, or a slower one that it
    should reach. With one that is too fast for the rate, the exit code is 1, where delays were
    routed (ECP5, Gowin).

    The file is for the --plan of estimate, rtl and run, and can be edited: pe outputs at a time,
    each of simd inputs at a time, or unrolled in so many pipeline stages.

    Examples:
      bitwright plan out/graph --target-fps 10000 -o plan.json
      bitwright plan out/graph --target ecp5 --target-fps 2000 -o plan.json
      bitwright plan out/graph --target ecp5 --clock 80 --max-lut 12000 --max-bram 40 -o plan.json
    """
    from bitwright.cost_model import estimate, find_plan, node_cycles
    from bitwright.flow import cost
    from bitwright.models.graph import load, plan_to_json, save_plan
    from bitwright.report import clocks
    from bitwright.tables import plan_table

    known = load(graph)
    found = find_plan(
        known,
        target or "xc7",
        clock,
        target_fps=target_fps,
        max_lut=max_lut,
        max_bram=max_bram,
        max_dsp=max_dsp,
    )
    # A budget is kept as formulas count; without one, the table is what `estimate` will say.
    estimated = estimate(known, found, solved=max_lut is None)
    cycles = node_cycles(known, found)
    reached = min(found.clock_mhz, estimated.clock_mhz) * 1e6 / estimated.ii
    save_plan(found, out)
    result = {
        "file": out,
        "plan": plan_to_json(found),
        "latency": estimated.latency,
        "ii": estimated.ii,
        "per_second": found.clock_mhz * 1e6 / estimated.ii,
        "per_second_estimated": reached,
        "clock_mhz": clocks(found, estimated),
        "cycles": cycles,
        "slowest": max(cycles, key=lambda name: cycles[name]),
        "cost": cost(estimated),
    }
    note = clock_note(found.target, found.clock_mhz, clock is not None)
    show(result, as_json, plan_table(found, estimated, cycles, target_fps), note)
    # Delays that were never routed are too rough to fail by.
    end(target_fps is None or estimated.clock_band is None or reached >= target_fps)
