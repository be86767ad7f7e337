"""RTL and its test benches: graph and plan to SystemVerilog, simulated in Verilator.

emit.py, layers.py, plain.py   graph and plan to SystemVerilog, in two independent forms
text.py                        how generated SystemVerilog is written
lib/                           the hand-written cells that generated modules instantiate
design.py, vectors.py          what was emitted, and its vectors as beats of a stream
tools.py, verilate.py          the programs, and a design compiled with them
bulk.py, sim/                  whole data sets through a compiled design
many.py                        several designs in one model
loading.py                     the words of weights that are loaded at run time
redundant.py, faults.py        the design three times with a vote, and bits flipped in it
proof/, formal/                 proofs for all inputs: nodes, whole designs, and the cells of lib/
ip/                            folders to hand over, that need no bitwright
bench.py, cocotb_stream.py     the protocol, by cocotb, with vectors as hex text
"""

from bitwright.rtl_tb.bench import BenchResult, run_bench
from bitwright.rtl_tb.bulk import Load, Simulation, Simulator, Verification, build
from bitwright.rtl_tb.design import Design, load_design
from bitwright.rtl_tb.emit import Form, emit
from bitwright.rtl_tb.faults import FaultReport, inject
from bitwright.rtl_tb.loading import load_words

__all__ = [
    "BenchResult",
    "Design",
    "FaultReport",
    "Form",
    "Load",
    "Simulation",
    "Simulator",
    "Verification",
    "build",
    "emit",
    "inject",
    "load_design",
    "load_words",
    "run_bench",
]
