"""Lowering: from a trained Brevitas model to the integer graph, and the proof that it is the same.

edges.py        integer tensors with the exact reals they mean; dense layers and quantisers
output.py       the last tensor brought to one scale
quantisers.py   what Brevitas' quantiser objects really do
minifloat*.py   the same for its minifloats: grids with gaps, as steps and a table
readings.py     what quantisers return, as exact rationals
trace.py        a torch model as a list of calls, run once
walk.py         the walk over those calls
lowered.py      what it makes
brevitas.py     `lower`, which does all of that
compare.py      torch against the reference, integer by integer
user_model.py   a model from a user's file and state_dict
"""

from bitwright.models.lower.brevitas import lower
from bitwright.models.lower.compare import Comparison, TensorComparison, compare
from bitwright.models.lower.lowered import Counterpart, Lowered, identifier
from bitwright.models.lower.user_model import load_model

__all__ = [
    "Comparison",
    "Counterpart",
    "Lowered",
    "TensorComparison",
    "compare",
    "identifier",
    "load_model",
    "lower",
]
