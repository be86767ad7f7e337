"""The plan: how each node becomes hardware. A graph says what is computed, a plan never does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from typing_extensions import assert_never

from bitwright.models.errors import GraphError
from bitwright.models.graph.any_weights import with_any_weights
from bitwright.models.graph.codecs import distinct_outputs
from bitwright.models.graph.graph import Graph
from bitwright.models.graph.ops import (
    Add,
    ArgMax,
    BitPlanes,
    Concat,
    Conv2d,
    Dense,
    Lookup,
    MaxPool,
    Node,
    Requantize,
    Reshape,
    SumPool,
    Threshold,
)
from bitwright.models.graph.products import products
from bitwright.models.graph.types import IntType, Value

Target = Literal["xc7", "xcup", "ecp5", "ice40", "gowin"]
"""Device families: Xilinx 7-series and UltraScale+, Lattice ECP5 and iCE40, Gowin GW2A."""

TARGETS: tuple[Target, ...] = get_args(Target)

USUAL_MHZ: dict[Target, float] = {
    "xc7": 200.0, "xcup": 300.0, "ecp5": 100.0, "ice40": 40.0, "gowin": 100.0,
}  # fmt: skip
"""Clocks to plan for when nobody says one: such as ordinary designs reach on each family.

docs/howto/plan.md has what the networks of benchmarks/ are estimated to reach.
"""

Memory = Literal["auto", "lut", "block"]
"""What a memory is made of: whatever the synthesiser likes, look-up tables, memory blocks."""

MEMORIES: tuple[Memory, ...] = get_args(Memory)


@dataclass(frozen=True, slots=True)
class Unrolled:
    """Every operation its own hardware, constants wired in; `stages` registers from in to out.

    It takes one vector a cycle, of an image one pixel (all channels of a position). Only wiring
    (`BitPlanes`, `Concat`, `Reshape`) may have no stage, and always has none.
    """

    stages: int = 1

    def __str__(self) -> str:
        return "wiring" if self.stages == 0 else f"unrolled, {self.stages} stages"

    def __post_init__(self) -> None:
        if not 0 <= self.stages <= 64:
            raise GraphError(f"an unrolled node of {self.stages} pipeline stages: give it 0 to 64")


@dataclass(frozen=True, slots=True)
class Folded:
    """Hardware used again and again: `pe` outputs at a time, each from `simd` inputs at a time.

    A matrix product then takes inputs / simd x outputs / pe cycles, and its weights lie in a
    memory. Operations on single channels have no simd: they take `pe` channels a cycle. What
    follows is for products alone:

    stages: registers from the memories of weights and inputs to the accumulator. 1 is the one in
    front of the accumulator, with all of the multiplication and the adder tree before it; each
    more takes a cycle more and cuts that into shorter pieces (see `products.py`, which says how
    many there can be). loadable: weights and biases can be changed while the hardware runs (see
    `loading.py`). memory: what the weights lie in: look-up tables, memory blocks, or as the
    synthesiser likes.
    """

    pe: int = 1
    simd: int = 1
    stages: int = 1
    loadable: bool = False
    memory: Memory = "auto"

    def __str__(self) -> str:
        text = f"folded, pe {self.pe}, simd {self.simd}"
        text += f", {self.stages} stages" if self.stages > 1 else ""
        text += ", loadable weights" if self.loadable else ""
        return text + {"auto": "", "lut": ", in LUTs", "block": ", in memory blocks"}[self.memory]

    def __post_init__(self) -> None:
        if min(self.pe, self.simd) < 1:
            raise GraphError(f"a folded node of pe {self.pe} and simd {self.simd}: both are >= 1")
        if self.stages < 1:
            raise GraphError(f"a folded node of {self.stages} stages: give it at least 1")
        if self.memory not in MEMORIES:
            raise GraphError(f"a memory {self.memory!r} is not one of {', '.join(MEMORIES)}")


Engine = Unrolled | Folded


@dataclass(frozen=True, eq=False, slots=True)
class Plan:
    """An engine for every node, and the clock and device family that it was made for.

    The plan fixes the cycles exactly (`cycles.py`); whether the clock is met is the cost model's
    estimate and the tools' measurement.
    """

    engines: Mapping[str, Engine]
    target: Target = "xc7"
    clock_mhz: float = USUAL_MHZ["xc7"]
    redundancy: Literal[1, 3] = 1
    """3: triple modular redundancy, all of the hardware three times and a majority vote."""

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise GraphError(f"target {self.target!r} is not one of {', '.join(TARGETS)}")
        if not 1.0 <= self.clock_mhz <= 2000.0:
            raise GraphError(f"a clock of {self.clock_mhz} MHz is outside 1..2000 MHz")
        if self.redundancy not in (1, 3):
            raise GraphError(f"a redundancy of {self.redundancy}: it is 1, or 3 for a majority")

    def check(self, graph: Graph) -> None:
        """Raises GraphError unless each node of the graph has an engine that fits it.

        Where weights are loadable, types hold all that can be loaded, or it says what would.
        """
        names = {node.name for node in graph.nodes}
        if set(self.engines) != names:
            odd = ", ".join(sorted(set(self.engines) ^ names))
            raise GraphError(f"plan and graph {graph.name} disagree about the nodes {odd}")
        for node in graph.nodes:
            engine = self.engines[node.name]
            match engine:
                case Unrolled():
                    _check_unrolled(node, engine)
                case Folded():
                    _check_folded(node, engine, graph.values[node.inputs[0]], self.target)
                case _:
                    assert_never(engine)
        if all(is_wiring(node) for node in graph.nodes):
            raise GraphError(f"graph {graph.name} is only wiring: there is no hardware to make")
        with_any_weights(graph, self.loadable)

    @property
    def loadable(self) -> frozenset[str]:
        """The nodes whose weights and biases are loaded at run time."""
        return frozenset(n for n, e in self.engines.items() if isinstance(e, Folded) and e.loadable)

    def stages(self, node: str) -> int:
        """Pipeline stages of a node that is unrolled. Raises GraphError for a folded one."""
        engine = self.engines[node]
        if isinstance(engine, Folded):
            raise GraphError(f"node {node} is folded, and has no pipeline stages of its own")
        return engine.stages


def is_wiring(node: Node) -> bool:
    """Whether the node is connections alone, without logic or registers."""
    return isinstance(node.op, BitPlanes | Concat | Reshape)


def _check_unrolled(node: Node, engine: Unrolled) -> None:
    if (engine.stages == 0) != is_wiring(node):
        raise GraphError(
            f"node {node.name} ({node.kind}) has {engine.stages} pipeline stages: wiring has none, "
            "everything else at least one"
        )


def _check_folded(node: Node, engine: Folded, source: Value, target: Target) -> None:
    op = node.op
    match op:
        case Dense():
            _check_divides(node, "simd", engine.simd, source.channels, "inputs")
            _check_divides(node, "pe", engine.pe, distinct_outputs(op.weights), "distinct outputs")
            _check_sum(node, op, engine, source.type, target)
        case Conv2d():
            inputs = source.channels if is_depthwise(op) else op.channels // op.groups
            parallel = ("simd", engine.simd, 1 if is_depthwise(op) else inputs, "inputs of a group")
            _check_divides(node, *parallel)
            outputs = distinct_outputs(op.weights) if op.groups == 1 else len(op.bias) // op.groups
            outputs = len(op.bias) if is_depthwise(op) else outputs
            _check_divides(node, "pe", engine.pe, outputs, "distinct outputs of a group")
            _check_sum(node, op, engine, source.type, target)
        case Threshold() | Requantize() | Lookup() | MaxPool() | SumPool() | Add():
            if (engine.stages, engine.memory) != (1, "auto"):
                raise GraphError(
                    f"node {node.name} ({node.kind}) is planned {engine}: only products have "
                    "stages and a memory of weights, leave them out"
                )
            _check_divides(node, "simd", engine.simd, 1, "input of each channel")
            _check_divides(node, "pe", engine.pe, node.output.channels, "channels")
        case BitPlanes() | Concat() | Reshape() | ArgMax():
            raise GraphError(f"node {node.name} ({node.kind}) cannot be folded: plan it Unrolled")
        case _:
            assert_never(op)


def _check_sum(
    node: Node, op: Dense | Conv2d, engine: Folded, kind: IntType, target: Target
) -> None:
    most = products(op, kind, engine.simd, engine.loadable).most_stages
    if engine.stages > most:
        raise GraphError(
            f"node {node.name} ({node.kind}) has {engine.stages} stages: with simd {engine.simd} "
            f"its sum has places for 1 to {most}"
        )
    if (target, engine.loadable, engine.memory) == ("ice40", True, "lut"):
        raise GraphError(
            f"node {node.name} ({node.kind}) has loadable weights in look-up tables, which "
            'cannot be written on ice40: give it the memory "block" or "auto"'
        )


def is_depthwise(op: Conv2d) -> bool:
    """Whether every channel has one filter of its own."""
    return op.groups == op.channels == len(op.bias) and op.groups > 1


def _check_divides(node: Node, what: str, value: int, whole: int, of: str) -> None:
    if whole % value:
        raise GraphError(
            f"node {node.name} ({node.kind}) has {what} {value}, which does not divide its {whole} "
            f"{of}: choose a divisor"
        )
