"""Lowering from ONNX: networks of other tools, as QONNX or as QuantizeLinear/DequantizeLinear.

tensors.py      stored tensors as arrays, every size checked first
network.py      a file as nodes in execution order
attributes.py   a node's attributes, of the type they should have
constants.py    constants folded, weights with their integers beside them
fused.py        QuantizeLinear, Clip and DequantizeLinear as one quantiser
wires.py        tensors on the way, and where their elements are in ours
activations.py  quantisers of activations
layers.py       dense layers, convolutions, pools, sums
names.py        legal names
refusals.py     what to do about the rest
walk.py         the walk over the nodes
lowering.py     `lower_onnx`, which does all of that
"""

from bitwright.models.lower.onnx.lowering import lower_onnx

__all__ = ["lower_onnx"]
