"""RTL and its test benches: graph and plan to SystemVerilog, simulated in Verilator.

emit.py, layers.py, plain.py   graph and plan to SystemVerilog, in two independent forms
adders.py, schedule.py         constant products as adder graphs, and their pipeline stages
lib/                           the hand-written cells that generated modules instantiate
design.py                      what was emitted, as the benches need to know it
"""

from bitwright.rtl_tb.design import Design, load_design
from bitwright.rtl_tb.emit import Form, emit

__all__ = ["Design", "Form", "emit", "load_design"]
