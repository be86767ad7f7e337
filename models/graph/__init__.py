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
    build.py           Builder: a graph one operation after another
    shapes.py          what each operation demands and makes
    ranges.py          interval arithmetic: what can reach each channel
    reference.py       what a graph computes: the specification
    requantisation.py  exact thresholds, and multiply-add-shift equal to them
    passes.py          graph to graph
    additions.py       a pass: additions no wider than they need be
    plan.py            how nodes become hardware: engine, pipeline, target, clock
    plan_storage.py    a plan as a file
    banks.py           memories of constants in banks
    any_weights.py     weights that are loaded at run time: types that hold them
    loading.py         and where they are in the load stream
    streams.py         the blocks and FIFOs that a plan makes, and the beats between them
    cycles.py          when every beat moves: exact latency and initiation interval
    boundary.py        reals to integers and back
    storage.py         a graph as a folder
"""

from bitwright.models.graph.any_weights import widen_for_loading, with_any_weights
from bitwright.models.graph.boundary import dequantise, quantise
from bitwright.models.graph.build import Builder
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
from bitwright.models.graph.cycles import Cycles, cycles
from bitwright.models.graph.graph import Graph
from bitwright.models.graph.loading import LOAD_BITS, Loading, loading
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
    Op,
    Requantize,
    Reshape,
    Rounding,
    SumPool,
    Threshold,
    Window,
)
from bitwright.models.graph.passes import PASSES, optimise
from bitwright.models.graph.plan import TARGETS, USUAL_MHZ, Engine, Folded, Plan, Target, Unrolled
from bitwright.models.graph.plan_storage import (
    load_plan,
    plan_from_json,
    plan_to_json,
    save_plan,
)
from bitwright.models.graph.ranges import Interval, operands, output_interval, partial_sums
from bitwright.models.graph.reference import Reference, evaluate, trace
from bitwright.models.graph.requantisation import as_requantize, derive_threshold
from bitwright.models.graph.shapes import output_shape
from bitwright.models.graph.storage import digest, load, save
from bitwright.models.graph.types import IntType, Port, Value

__all__ = [
    "LOAD_BITS",
    "PASSES",
    "TARGETS",
    "USUAL_MHZ",
    "Add",
    "ArgMax",
    "BitPlanes",
    "Builder",
    "Codebook",
    "Codec",
    "Concat",
    "Conv2d",
    "Cycles",
    "Dense",
    "Engine",
    "Folded",
    "Graph",
    "IntArray",
    "IntType",
    "Interval",
    "Loading",
    "Lookup",
    "MaxPool",
    "Node",
    "Op",
    "Plain",
    "Plan",
    "Port",
    "Reference",
    "Requantize",
    "Reshape",
    "Rounding",
    "SumPool",
    "Target",
    "Threshold",
    "Tiled",
    "Unrolled",
    "Value",
    "Window",
    "as_requantize",
    "cycles",
    "decode",
    "dequantise",
    "derive_threshold",
    "digest",
    "evaluate",
    "load",
    "load_plan",
    "loading",
    "operands",
    "optimise",
    "output_interval",
    "output_shape",
    "partial_sums",
    "plan_from_json",
    "plan_to_json",
    "quantise",
    "save",
    "save_plan",
    "stored_bits",
    "trace",
    "weight_width",
    "widen_for_loading",
    "with_any_weights",
]
