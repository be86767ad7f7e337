"""The cost model: what a graph costs as hardware, estimated from formulas or measured with Yosys.

cost.py       Cost, Estimate, Measurement: the results
blocks.py     the additions of binary layers, block by block
lookups.py    the truth tables of lookups
features.py   what the cost of a node depends on
formulas.py   from features to cells and nanoseconds
targets.py    the numbers that differ between device families
estimate.py   estimate and make_plan
sources.py    the files that a module needs
yosys.py      the synthesis script of each target, and the rule by which cells are counted
synth.py      measure: in parallel, cached by content
compare.py    estimate beside measurement
"""

from bitwright.cost_model.compare import Comparison, compare
from bitwright.cost_model.cost import Cost, Estimate, Measurement
from bitwright.cost_model.estimate import estimate, make_plan
from bitwright.cost_model.synth import measure

__all__ = [
    "Comparison",
    "Cost",
    "Estimate",
    "Measurement",
    "compare",
    "estimate",
    "make_plan",
    "measure",
]
