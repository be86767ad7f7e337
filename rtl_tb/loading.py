"""The words that load weights and biases into a design while it runs."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from bitwright.models.errors import GraphError
from bitwright.models.graph import (
    LOAD_BITS,
    Conv2d,
    Dense,
    Folded,
    Graph,
    Plan,
    Port,
    digest,
    loading,
)
from bitwright.models.graph.codecs import Plain
from bitwright.models.graph.streams import product_sweep
from bitwright.rtl_tb.products import loaded_words


def load_words(graph: Graph, plan: Plan, emitted: Graph | None = None) -> npt.NDArray[np.uint32]:
    """The beats of the load stream that give a design the weights and biases of a graph.

    plan: the design's. emitted: the graph that the design was made from; `graph` must be the same
    but for loadable weights and biases.

    Raises:
        GraphError: the plan is not for this graph, or the graphs differ in what is wired in.
    """
    places = loading(graph, plan)
    if emitted is not None and digest(_unloaded(graph, plan)) != digest(_unloaded(emitted, plan)):
        raise GraphError(
            f"graph {graph.name} differs from {emitted.name} in more than loadable weights and "
            "biases: types, constants and operations are wired in"
        )
    beats = np.zeros(places.beats, np.uint32)
    for node in graph.nodes:
        engine, op = plan.engines[node.name], node.op
        if node.name not in plan.loadable:
            continue
        assert isinstance(op, Dense | Conv2d) and isinstance(engine, Folded)
        sweep = product_sweep(op, engine, graph.values[node.inputs[0]])
        for part, words in loaded_words(op, node.output, engine, sweep).items():
            place = places.memories[node.name, part]
            each = place.beats // place.depth
            octets = b"".join(word.to_bytes(each * LOAD_BITS // 8, "little") for word in words)
            beats[place.first : place.first + place.beats] = np.frombuffer(octets, "<u4")
    return beats


def _unloaded(graph: Graph, plan: Plan) -> Graph:
    """The graph with the same weights and biases in whatever is loadable."""
    nodes = []
    for node in graph.nodes:
        op = node.op
        if node.name in plan.loadable:
            assert isinstance(op, Dense | Conv2d) and isinstance(op.weights, Plain)
            weights = Plain(np.ones_like(op.weights.values), op.weights.width)
            op = replace(op, weights=weights, bias=np.zeros_like(op.bias))
        nodes.append(replace(node, op=op))
    ports = {name: Port(1.0) for name in graph.ports}  # what integers mean is no hardware
    return replace(graph, name="unloaded", nodes=tuple(nodes), ports=ports, labels=())
