"""Lowering from ONNX: networks of other tools, as QONNX or as QuantizeLinear/DequantizeLinear.

reading
    tensors.py      stored tensors as arrays, every size checked first
    network.py      a file as nodes in execution order
    attributes.py   a node's attributes, of the type they should have
constants
    values.py       constants, and the integers that quantised ones are made of
    constants.py    constants folded
    quantised_constants.py  their quantisers
walking
    wires.py        tensors on the way, and where their elements are in ours
    images.py       wires as vectors and images of the graph
    inputs.py       the real input, and the first quantiser
    activations.py  quantisers of activations
    fused.py        QuantizeLinear, Clip and DequantizeLinear as one of them
    layers.py       dense layers, convolutions, batch-norm
    pools.py        pools, and where windows stop
    branches.py     additions and concatenations
    arithmetic.py   element by element, with constants
    moves.py        reshapes, transposes, padding
    decisions.py    outputs, ArgMax, TopK
    names.py        legal names
    refusals.py     what to do about the rest
    walk.py         the walk over the nodes
lowering.py         `lower_onnx`, which does all of that
"""

from bitwright.models.lower.onnx.lowering import lower_onnx

__all__ = ["lower_onnx"]
