"""Trainable layers that stand beside Brevitas' own: one file a method, torch only in here."""

from bitwright.models.layers.allocation import Allocation, allocate
from bitwright.models.layers.bottleneck import BitwiseBottleneck
from bitwright.models.layers.codebook import (
    CodebookConv2d,
    CodebookLinear,
    Codebooks,
    IndexedWeights,
)
from bitwright.models.layers.curves import best_step, full_scale_step, rate_distortion
from bitwright.models.layers.insertion import BottleneckReport, LayerReport, insert, place
from bitwright.models.layers.learned import (
    LearnedConv2d,
    LearnedLinear,
    LearnedWeights,
    learn_bits,
)
from bitwright.models.layers.plane_selection import (
    PlaneStatistics,
    Selection,
    best_selections,
    integer_quantiser,
    lasso_selections,
    power_of_two_selections,
)
from bitwright.models.layers.power import PowerConv2d, PowerGrid, PowerLinear
from bitwright.models.layers.rate_distortion import (
    Activations,
    BitQuantiser,
    Curve,
    Point,
    bottleneck_ops,
)
from bitwright.models.layers.rate_plot import plot_curves
from bitwright.models.layers.tiled import TiledConv2d, TiledLinear, Tiling

__all__ = [
    "Activations",
    "Allocation",
    "BitQuantiser",
    "BitwiseBottleneck",
    "BottleneckReport",
    "CodebookConv2d",
    "CodebookLinear",
    "Codebooks",
    "Curve",
    "IndexedWeights",
    "LayerReport",
    "LearnedConv2d",
    "LearnedLinear",
    "LearnedWeights",
    "PlaneStatistics",
    "Point",
    "PowerConv2d",
    "PowerGrid",
    "PowerLinear",
    "Selection",
    "TiledConv2d",
    "TiledLinear",
    "Tiling",
    "allocate",
    "best_selections",
    "best_step",
    "bottleneck_ops",
    "full_scale_step",
    "insert",
    "integer_quantiser",
    "lasso_selections",
    "learn_bits",
    "place",
    "plot_curves",
    "power_of_two_selections",
    "rate_distortion",
]
