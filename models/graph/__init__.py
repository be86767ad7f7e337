"""The integer graph: the one contract between every part of bitwright.

A graph is integer tensors in, integer tensors out, and a list of nodes in execution order. Each
node applies one operation of a small closed union (`ops.py`, whose docstrings define them) and
makes one named tensor. Tensors have a shape without the batch, channels last, and one integer
type. There are no reals inside: what the integers mean is written on the ports at the edge, as
real = scale * (integer + offset).

    types.py           IntType, Value, Port: what travels on an edge
    codecs.py          how weights are stored, and the integers they mean
    codebooks.py       number formats as tables for the codebook codec: minifloats, power grids
    ops.py             the operations
    graph.py           Graph, checked on construction
    ranges.py          interval arithmetic: what can reach each channel
    reference.py       what a graph computes: the specification
    requantisation.py  exact thresholds, and multiply-add-shift equal to them
    passes.py          graph to graph
    plan.py            how nodes become hardware: engine, pipeline, target, clock
    boundary.py        reals to integers and back
    storage.py         a graph as a folder
"""

from bitwright.models.graph.boundary import dequantise, quantise
from bitwright.models.graph.codecs import (
    Codebook,
    Codec,
    IntArray,
    Plain,
    Tiled,
    decode,
    stored_bits,
    weight_width,
)
from bitwright.models.graph.graph import Graph
from bitwright.models.graph.ops import (
    BitPlanes,
    Dense,
    Lookup,
    Node,
    Op,
    Requantize,
    Rounding,
    Threshold,
)
from bitwright.models.graph.passes import PASSES, optimise
from bitwright.models.graph.plan import TARGETS, Engine, Plan, Target, Unrolled
from bitwright.models.graph.ranges import Interval, output_interval, partial_sums
from bitwright.models.graph.reference import Reference, evaluate, trace
from bitwright.models.graph.requantisation import as_requantize, derive_threshold
from bitwright.models.graph.storage import digest, load, save
from bitwright.models.graph.types import IntType, Port, Value

__all__ = [
    "PASSES",
    "TARGETS",
    "BitPlanes",
    "Codebook",
    "Codec",
    "Dense",
    "Engine",
    "Graph",
    "IntArray",
    "IntType",
    "Interval",
    "Lookup",
    "Node",
    "Op",
    "Plain",
    "Plan",
    "Port",
    "Reference",
    "Requantize",
    "Rounding",
    "Target",
    "Threshold",
    "Tiled",
    "Unrolled",
    "Value",
    "as_requantize",
    "decode",
    "dequantise",
    "derive_threshold",
    "digest",
    "evaluate",
    "load",
    "optimise",
    "output_interval",
    "partial_sums",
    "quantise",
    "save",
    "stored_bits",
    "trace",
    "weight_width",
]
