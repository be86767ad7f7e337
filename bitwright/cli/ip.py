"""The IP folder: what is handed to a hardware engineer."""

from pathlib import Path
from typing import Annotated

import typer

from bitwright.cli.common import clock_note, note_replaced, plan_of, show
from bitwright.cli.options import (
    ClockOption,
    GraphArgument,
    JsonOption,
    PlanOption,
    TargetOption,
)


def ip(
    graph: GraphArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the IP.")] = Path("out/ip"),
    plan: PlanOption = None,
    target: TargetOption = None,
    clock: ClockOption = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Rows that shall be among the golden vectors: .npz with x.", show_default=False
        ),
    ] = None,
    vectors: Annotated[
        int | None,
        typer.Option(help="Golden vectors.", show_default="256, fewer if they take long"),
    ] = None,
    verified: Annotated[
        Path | None,
        typer.Option(
            help="The verify.json that 'bitwright verify' left, for the README.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make an IP folder for a hardware engineer.

    It holds the RTL under a top with the port names that tools know, with AXI4-Stream in and out
    and registers that tell the graph's digest; golden vectors and benches that run without
    bitwright; a FuseSoC core, IP-XACT, constraints, and for AMD's families a Vivado
    script; a C header and a Python
    driver; and a README. The same graph and plan give the same bytes.

    Examples:
      bitwright ip out/graph -o out/ip
      bitwright ip out/graph -o out/ip --plan plan.json --data rows.npz
      bitwright ip out/graph -o out/ip --verified out/verify/verify.json
      make -C out/ip/tb
    """  # fmt: skip
    from bitwright.handover import hand_over
    from bitwright.models.graph import digest, load, plan_to_json
    from bitwright.tables import ip_table

    known = load(graph)
    planned = plan_of(known, plan, target, clock)
    note_replaced(out, "ip.json", {"graph": digest(known), "plan": plan_to_json(planned)})
    made = hand_over(known, planned, out, data=data, count=vectors, verification=verified)
    result = {
        "folder": out,
        "name": made.name,
        "graph": made.digest,
        "latency": made.design.latency,
        "ii": made.design.interval,
        "vectors": made.vectors,
        "files": made.files,
    }
    note = clock_note(planned.target, planned.clock_mhz, bool(clock or plan))
    show(result, as_json, ip_table(made), note)
