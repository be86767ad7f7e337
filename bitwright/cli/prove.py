"""Proofs of the RTL, for all inputs."""

from typing import Annotated

import typer

from bitwright.cli.common import design_in, end, show
from bitwright.cli.options import DesignArgument, GraphArgument, JsonOption


def prove(
    graph: GraphArgument,
    design: DesignArgument,
    seconds: Annotated[
        float, typer.Option(min=1, max=3600, help="Seconds for one question to the solver.")
    ] = 30.0,
    whole: Annotated[
        bool,
        typer.Option("--whole/--nodes", help="Prove the design as a whole too, or its nodes only."),
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Prove a design against its graph, for all inputs, node by node and as a whole.

    Adder graphs are read and every output followed back to a linear form: the graph's own weights
    and bias, no overflow on the way, every addition of values of the same cycle. Folded layers and
    pools of any size are proven by their parts: their wiring, every word of their memories, and
    each cell with the parameters that it has there. Other modules are compared with a specification
    written from the graph alone, by Yosys and ABC: for all inputs at all times, or, where that is
    too hard, for all inputs in so many cycles after the reset. Where all nodes are proven, so is
    the whole, by what connects them. The table says how far each proof goes, and what only
    simulation speaks for, and each verdict is told as soon as it is known.

    The 25 networks of docs/results/trust/proofs.csv, of up to eight nodes, took 2 to 136 s, half of
    them up to 13 s. What is too hard has up to three questions of --seconds each, a cell in a
    folded layer one of a minute.

    Examples:
      bitwright prove out/graph out/rtl
      bitwright prove out/graph out/rtl --seconds 300
      bitwright prove out/graph out/rtl --nodes --json
    """
    from bitwright.console import Steps
    from bitwright.models.graph import load
    from bitwright.rtl_tb.proof import prove as prove_design
    from bitwright.rtl_tb.proof.checker import tools
    from bitwright.tables import proof_line, proof_table

    known = load(graph)
    emitted = design_in(known, design)
    total = len(known.nodes) + whole
    with Steps().step(f"prove {emitted.top}") as step:
        if not as_json:
            step.line(f"{len(known.nodes)} nodes" + (", then the whole" if whole else ""))
        proofs = prove_design(
            known, emitted, seconds=seconds, whole=whole,
            progress=lambda done, name: step.progress(done, total, name or "the whole"),
            found=lambda one: None if as_json else step.line(proof_line(one)),
        )  # fmt: skip
    count = {status: sum(one.status == status for one in proofs)
             for status in ("proven", "bounded", "refuted", "simulated", "unread")}  # fmt: skip
    show({"by": tools(), "proofs": proofs, **count}, as_json, proof_table(known.name, proofs))
    end(not count["refuted"] and not count["unread"])
