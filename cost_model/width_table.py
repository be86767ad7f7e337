"""What a layer costs by the bits of its weights and of its activations."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from bitwright.cost_model.cost import Cost, Estimate, total
from bitwright.cost_model.estimate import estimate, unrolled
from bitwright.cost_model.points import Point, Weights
from bitwright.cost_model.rows import Row
from bitwright.models.errors import InputError
from bitwright.models.graph import Folded, IntType, Target, Unrolled

Codec = Literal["plain", "tiled", "float", "codebook"]
CODECS: tuple[Codec, ...] = get_args(Codec)
BITS = range(1, 9)

_MOST_WEIGHTS = 1 << 14
_POINTS: dict[Codec, Weights] = {
    "plain": "bell", "tiled": "tiled", "float": "float", "codebook": "book",
}  # fmt: skip
_BITS_OF: dict[Codec, range] = {
    "plain": BITS, "tiled": range(1, 2), "float": range(3, 9), "codebook": range(2, 9),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layer:
    """A dense layer of random weights, but for the bits.

    sparsity: share of weights that are zero, of the codec "plain". tiles: how often a tile is
    repeated, of "tiled", which has weights of one bit. folded: a folding instead of the unrolled
    hardware that meets `clock_mhz`.
    """

    inputs: int
    outputs: int
    codec: Codec = "plain"
    sparsity: float = 0.0
    tiles: int = 4
    folded: Folded | None = None
    target: Target = "xc7"
    clock_mhz: float = 200.0

    def __post_init__(self) -> None:
        if self.inputs < 1 or self.outputs < 1 or self.inputs * self.outputs > _MOST_WEIGHTS:
            raise InputError(
                f"a layer of {self.inputs} inputs and {self.outputs} outputs: give it 1 to "
                f"{_MOST_WEIGHTS:,} weights"
            )
        if not 0 <= self.sparsity < 1:
            raise InputError(f"a sparsity of {self.sparsity}: give a share from 0 up to below 1")
        if self.codec not in CODECS:
            raise InputError(f"codec {self.codec!r} is not one of {', '.join(CODECS)}")
        if self.codec == "tiled" and self.inputs * self.outputs % self.tiles:
            raise InputError(
                f"{self.inputs} x {self.outputs} weights are not {self.tiles} equal tiles: choose "
                "a number that divides them"
            )

    def point(self, weight_bits: int, activation_bits: int) -> Point:
        """The layer as a sample point, whose constants are alike every time.

        Unrolled hardware gets the pipeline stages that should meet the clock.
        """
        share = 1 - self.sparsity if self.codec == "plain" and weight_bits > 1 else 1
        point = Point(
            "dense", (self.inputs,), IntType(activation_bits, signed=False),
            self.folded or Unrolled(1), self.outputs, bits=weight_bits,
            weights=_POINTS[self.codec], percent=max(round(100 * share), 1),
            copies=self.tiles if self.codec == "tiled" else 1,
            entry_bits=8 if self.codec == "codebook" else 0,
        )  # fmt: skip
        if self.folded is not None:
            return point
        graph = point.graph()
        engine = unrolled(graph, graph.nodes[0], self.target, self.clock_mhz)
        return replace(point, engine=engine)

    def widths(self) -> list[tuple[int, int]]:
        """The bits of weights and of activations that there are."""
        return [(w, a) for w in _BITS_OF[self.codec] for a in BITS]


@dataclass(frozen=True, eq=False, slots=True)
class WidthTable:
    """The estimates of a layer: entry (w - 1, a - 1) is for w-bit weights and a-bit activations.

    measured: what a tool counted of the very same layers. Counts are nan where the codec has no
    weights of so many bits.
    """

    layer: Layer
    estimates: dict[tuple[int, int], Estimate]
    measured: dict[tuple[int, int], Cost] = field(default_factory=dict)

    def counts(self, resource: str) -> npt.NDArray[np.float64]:
        """A resource of every entry, or "latency" in cycles, "ii", "clock_mhz", "latency_ns"."""
        found = np.full((len(BITS), len(BITS)), np.nan)
        for (w, a), one in self.estimates.items():
            counted = one.total.as_dict()
            value = counted[resource] if resource in counted else getattr(one, resource)
            found[w - 1, a - 1] = value
        return found


def width_table(
    layer: Layer,
    rows: Iterable[Row] = (),
    *,
    solved: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> WidthTable:
    """Estimate a layer at 1 to 8 bits of weights and of activations, as far as its codec has them.

    rows: measured ones, of which those of the same layers are kept beside the estimates.
    """
    counted: dict[tuple[str, Target], list[Cost]] = {}
    for row in rows:
        counted.setdefault((row.name, row.target), []).append(row.cost)
    widths = layer.widths()
    estimates, measured = {}, {}
    for done, (w, a) in enumerate(widths):
        point = layer.point(w, a)
        plan = replace(point.plan(layer.target), clock_mhz=layer.clock_mhz)
        estimates[w, a] = estimate(point.graph(), plan, solved=solved)
        if (point.name, layer.target) in counted:
            measured[w, a] = total(counted[point.name, layer.target])
        if progress is not None:
            progress(done + 1, len(widths))
    return WidthTable(layer, estimates, measured)
