"""Adder graphs: constant matrix-vector products as shifts, additions and subtractions only.

The RTL emitter prints them, and the cost model counts what they consist of.

adder_graph.py  Adder, Output, AdderGraph: values, their bounds and widths
solver.py       solve: a matrix to a proven adder graph
schedule.py     schedule: which pipeline stage makes each value, and where it is registered
"""

from bitwright.models.adders.adder_graph import Adder, AdderGraph, Output, adder_bits
from bitwright.models.adders.schedule import Schedule, schedule
from bitwright.models.adders.solver import solve

__all__ = ["Adder", "AdderGraph", "Output", "Schedule", "adder_bits", "schedule", "solve"]
