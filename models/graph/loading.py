"""The load stream: where the weights that are loaded at run time are in it.

It has beats of 32 bits. The memories of all loadable nodes follow one another, in the graph's order
and of each node first the weights and then the bias; each word takes as many beats as it needs,
lowest bits first. Everything else of a graph is wired in and cannot be loaded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bitwright.models.graph.codecs import Plain
from bitwright.models.graph.graph import Graph
from bitwright.models.graph.ops import Conv2d, Dense
from bitwright.models.graph.plan import Folded, Plan
from bitwright.models.graph.streams import product_sweep

LOAD_BITS = 32

Part = Literal["weights", "bias"]


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory that is loaded: `depth` words of `width` bits, from the stream's beat `first` on."""

    first: int
    depth: int
    width: int

    @property
    def beats(self) -> int:
        """Beats that it takes."""
        return self.depth * -(-self.width // LOAD_BITS)


@dataclass(frozen=True, slots=True)
class Loading:
    """The load stream of a plan: every memory, and the beats of all of them together."""

    memories: Mapping[tuple[str, Part], Memory]
    beats: int


def loading(graph: Graph, plan: Plan) -> Loading:
    """Where everything is in the load stream. Raises GraphError as `Plan.check`."""
    plan.check(graph)
    memories: dict[tuple[str, Part], Memory] = {}
    beats = 0
    for node in graph.nodes:
        engine, op = plan.engines[node.name], node.op
        if not (isinstance(engine, Folded) and engine.loadable):
            continue
        assert isinstance(op, Dense | Conv2d) and isinstance(op.weights, Plain)
        sweep = product_sweep(op, engine, graph.values[node.inputs[0]])
        lanes = len(op.bias) // sweep.passes
        words = sweep.passes * sweep.accesses
        terms = op.weights.values.size // (words * lanes)
        sizes: tuple[tuple[Part, int, int], ...] = (
            ("weights", words, lanes * terms * op.weights.width),
            ("bias", sweep.passes, lanes * node.output.type.width),
        )
        for part, depth, width in sizes:
            memories[node.name, part] = Memory(beats, depth, width)
            beats += memories[node.name, part].beats
    return Loading(memories, beats)
