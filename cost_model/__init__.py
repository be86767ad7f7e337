"""The cost model: what a graph costs as hardware, estimated from formulas or measured with Yosys.

cost.py          Cost, Estimate, Measurement: the results
amounts.py       what a part of the hardware consists of, before any fitted number
blocks.py        the additions of binary layers, block by block
lookups.py       the truth tables of lookups
features.py      what the cost of an unrolled node depends on
formulas.py      from features to amounts of logic
adders.py        the same from a solved adder graph, bit by bit
unrolled.py      unrolled hardware, by formulas or solved
memories.py      what becomes of a memory: logic, tables, blocks
cells.py         what the streaming cells of the RTL library consist of
streamed.py      what folded hardware consists of, and what lies between it
parts.py         a graph under a plan as parts
targets.py       what is known of a device family without a fit
coefficients.py  what is fitted, from data/calibration.json
bands.py         how far an estimate may be off
estimate.py      estimate, and plans without any folding
many.py          PlanTable: many plans of one graph at a time
calibration.py   the fit, from measured rows
candidates.py    the ways to build each part of a graph
planning.py      make_plan and find_plan
programs.py      the integer programs behind them
sources.py       the files that a module needs
yosys.py         the synthesis script of each target, and the rule by which cells are counted
runs.py          runs of tools: in parallel, cached by content
synth.py         measure: modules counted by Yosys
nextpnr.py       route: modules placed and routed, for their clock
vivado.py        the same and the counts with Vivado, where it is
points.py        sample points: one operation each
sweep.py         which of them are measured
rows.py          what was measured, as files
observed.py      measured rows as the calibration sees them
width_table.py   what a layer costs by the bits of its weights and activations
differentiable.py  the same as a torch function
compare.py       estimate beside measurement
"""

from bitwright.cost_model.compare import Comparison, compare
from bitwright.cost_model.cost import Cost, Estimate, Measurement
from bitwright.cost_model.estimate import estimate, unrolled_plan
from bitwright.cost_model.many import Estimates, PlanTable
from bitwright.cost_model.planning import find_plan, make_plan, node_cycles
from bitwright.cost_model.streamed import STREAMS
from bitwright.cost_model.synth import measure

__all__ = [
    "STREAMS",
    "Comparison",
    "Cost",
    "Estimate",
    "Estimates",
    "Measurement",
    "PlanTable",
    "compare",
    "estimate",
    "find_plan",
    "make_plan",
    "measure",
    "node_cycles",
    "unrolled_plan",
]
