"""How fast the reference evaluates 16-64-32-32-5, beside the peer's own C++ interpreter."""

from dataclasses import replace

import numpy as np

from benchmarks.peer import Peer
from benchmarks.row import Row, seconds, write
from bitwright.models.graph import Graph, Reference, Requantize
from bitwright.models.zoo import random_mlp

VECTORS = 200_000


def network() -> Graph:
    """16-64-32-32-5 as both can compute it: ties round up, which is all that the peer offers."""
    graph = random_mlp()
    nodes = [
        replace(n, op=replace(n.op, rounding="half_up")) if isinstance(n.op, Requantize) else n
        for n in graph.nodes
    ]
    return replace(graph, nodes=tuple(nodes))


def main() -> None:
    graph = network()
    kind = graph.input.type
    x = np.random.default_rng(0).integers(kind.min, kind.max + 1, (VECTORS, *graph.input.shape))
    ours, peer = Reference(graph), Peer(graph)
    few = x[:20_000]
    if not np.array_equal(ours(few), peer(few)):
        raise SystemExit("the two do not compute the same network: nothing to compare")
    our_rate = VECTORS / seconds(lambda: ours(x))
    peer_rate = VECTORS / seconds(lambda: peer(x), repeats=3)
    write(
        "reference",
        [
            Row(
                "reference_vs_peer",
                our_rate,
                "inferences/s",
                f"alkaid's C++ interpreter, {peer_rate:,.0f} inferences/s",
                our_rate / peer_rate,
            )
        ],
    )
