"""Lowering from ONNX: a file of another tool becomes an integer graph that computes the same."""

from collections.abc import Sequence
from pathlib import Path

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import Graph, optimise
from bitwright.models.lower.lowered import Lowered
from bitwright.models.lower.onnx.names import legal
from bitwright.models.lower.onnx.network import read_network
from bitwright.models.lower.onnx.refusals import about
from bitwright.models.lower.onnx.walk import Walk


def lower_onnx(
    path: str | Path,
    *,
    name: str | None = None,
    labels: Sequence[str] = (),
    multiplier_bits: int | None = None,
) -> Lowered:
    """Turn a quantised ONNX network into an integer graph, already optimised.

    path: a QONNX or QCDQ file. It may come from anywhere: nothing of it is executed, sizes are
        checked before memory is taken, and external data is read from its own folder alone.
    name: of the graph; the file's by default. labels: of the classes.
    multiplier_bits: as for `lower`.

    The graph computes what the file says, in exact arithmetic; a Brevitas model lowered directly
    and through its export gives the same integers.

    Raises:
        UnsupportedError: an operation, quantiser or size that integers cannot follow; the message
            names the node, its type and the remedy.
        InputError: a graph with duplicate names, edges from nowhere or cycles.
        StorageError: a file that cannot be read, or data that is missing or outside its folder.
        GraphError: integers of more than 64 bits, labels that are not as many as the classes.
    """
    network = read_network(path)
    walk = Walk(network)
    outputs = walk.outputs(multiplier_bits)
    if len(outputs) > 1:
        raise UnsupportedError(
            f"{path} has {len(outputs)} outputs: leave one, or export each by itself"
        )
    (output,) = outputs
    with about(str(path)):
        graph = Graph(
            legal(name or Path(path).stem, "network"),
            (walk.input.edge.value,),
            output.edge.nodes(),
            (output.edge.name,),
            {walk.input.edge.name: walk.input.port, output.edge.name: output.port},
            tuple(labels),
        )
        return Lowered(optimise(graph), network.shape, (), walk.input.order)
