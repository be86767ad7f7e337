"""Proofs of the RTL, for all inputs."""

from bitwright.cli.common import design_in, end, show
from bitwright.cli.options import DesignArgument, GraphArgument, JsonOption


def prove(
    graph: GraphArgument,
    design: DesignArgument,
    as_json: JsonOption = False,
) -> None:
    """Prove the adder graphs of a design, for all inputs.

    The emitted SystemVerilog is read, and every output followed back to a linear form over the
    inputs: it has to be the graph's own weights and bias, no value may overflow on the way, and
    every addition has to be of values of the same clock cycle. Library cells and other operations
    are not proven: the table says which nodes simulation alone speaks for.

    Examples:
      bitwright prove out/graph out/rtl
      bitwright prove out/graph out/rtl --json
    """
    from bitwright.models.graph import load
    from bitwright.rtl_tb.proof import prove as prove_design
    from bitwright.tables import proof_table

    known = load(graph)
    proofs, others = prove_design(known, design_in(known, design))
    refuted = [one for one in proofs if one.refuted]
    result = {"proofs": proofs, "proven": len(proofs) - len(refuted), "refuted": len(refuted),
              "simulated_only": others}  # fmt: skip
    show(result, as_json, proof_table(known.name, proofs, others))
    end(not refuted)
