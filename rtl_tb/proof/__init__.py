"""Proofs for all inputs: of the emitted modules, of whole designs, and of the library's cells.

reading.py, linear.py   adder graphs read from their text as exact linear forms
checker.py              assertions decided by Yosys and ABC: for all times, or for some cycles
specification.py        what nodes mean, as SystemVerilog written from the graph alone
benches.py              assertions around a module of a design
netlist.py              what a module instantiates and how, and what a memory holds
parts.py                folded modules of any size: wiring, memories, cells as they are used
composition.py          whole designs of proven nodes
design.py               every node of a design: what is proven, how, what is only simulated
cells.py                the library's cells, with the benches of rtl_tb/formal
"""

from bitwright.rtl_tb.proof.design import NodeProof, prove
from bitwright.rtl_tb.proof.linear import Proof, prove_linear
from bitwright.rtl_tb.proof.reading import ProofError

__all__ = ["NodeProof", "Proof", "ProofError", "prove", "prove_linear"]
