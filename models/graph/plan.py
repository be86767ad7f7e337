"""The plan: how each node becomes hardware. A graph says what is computed, a plan never does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from bitwright.models.errors import GraphError
from bitwright.models.graph.graph import Graph
from bitwright.models.graph.ops import BitPlanes

Target = Literal["xc7", "xcup", "ecp5", "ice40"]
"""Device families: Xilinx 7-series, Xilinx UltraScale+, Lattice ECP5, Lattice iCE40."""

TARGETS: tuple[Target, ...] = get_args(Target)


@dataclass(frozen=True, slots=True)
class Unrolled:
    """Every operation its own hardware, one vector a cycle; `stages` registers from in to out.

    Only wiring (`BitPlanes`) may have no stage, and always has none.
    """

    stages: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.stages <= 64:
            raise GraphError(f"an unrolled node of {self.stages} pipeline stages: give it 0 to 64")


Engine = Unrolled


@dataclass(frozen=True, eq=False, slots=True)
class Plan:
    """An engine for every node, and the clock and device family that it was made for.

    The plan fixes the cycles exactly; whether the clock is met is the cost model's estimate and
    the tools' measurement.
    """

    engines: Mapping[str, Engine]
    target: Target = "xc7"
    clock_mhz: float = 200.0

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise GraphError(f"target {self.target!r} is not one of {', '.join(TARGETS)}")
        if not 1.0 <= self.clock_mhz <= 2000.0:
            raise GraphError(f"a clock of {self.clock_mhz} MHz is outside 1..2000 MHz")

    def check(self, graph: Graph) -> None:
        """Raises GraphError unless each node of the graph has an engine that fits it."""
        names = {node.name for node in graph.nodes}
        if set(self.engines) != names:
            odd = ", ".join(sorted(set(self.engines) ^ names))
            raise GraphError(f"plan and graph {graph.name} disagree about the nodes {odd}")
        for node in graph.nodes:
            stages = self.engines[node.name].stages
            if (stages == 0) != isinstance(node.op, BitPlanes):
                raise GraphError(
                    f"node {node.name} ({node.kind}) has {stages} pipeline stages: "
                    "wiring has none, everything else at least one"
                )
        if self.latency == 0:
            raise GraphError(f"graph {graph.name} is only wiring: there is no hardware to make")

    @property
    def latency(self) -> int:
        """Clock cycles from the edge that takes a vector in to the edge that can take it out."""
        return sum(engine.stages for engine in self.engines.values())

    @property
    def interval(self) -> int:
        """Initiation interval: cycles between two vectors at full rate."""
        return 1
