"""The cost model: what a graph costs as hardware, estimated from formulas or measured with Yosys.

cost.py       Cost, Estimate, Measurement: the results
blocks.py     the additions of binary layers, block by block
lookups.py    the truth tables of lookups
features.py   what the cost of a node depends on
formulas.py   from features to cells and nanoseconds
targets.py    the numbers that differ between device families
memories.py   what becomes of a memory: logic, tables, blocks
cells.py      what the streaming cells of the RTL library consist of
streamed.py   what folded hardware consists of, and what lies between it
blends.py     the logic of the streaming cells, in tables and carry cells
estimate.py   estimate, and plans without any folding
candidates.py the ways to build each part of a graph
planning.py   make_plan and find_plan
sources.py    the files that a module needs
yosys.py      the synthesis script of each target, and the rule by which cells are counted
synth.py      measure: in parallel, cached by content
compare.py    estimate beside measurement
"""

from bitwright.cost_model.compare import Comparison, compare
from bitwright.cost_model.cost import Cost, Estimate, Measurement
from bitwright.cost_model.estimate import estimate, unrolled_plan
from bitwright.cost_model.planning import find_plan, make_plan, node_cycles
from bitwright.cost_model.streamed import STREAMS
from bitwright.cost_model.synth import measure

__all__ = [
    "STREAMS",
    "Comparison",
    "Cost",
    "Estimate",
    "Measurement",
    "compare",
    "estimate",
    "find_plan",
    "make_plan",
    "measure",
    "node_cycles",
    "unrolled_plan",
]
