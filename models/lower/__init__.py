"""Lowering: from a trained Brevitas model to the integer graph, and the proof that it is the same.

edges.py        integer tensors with the exact reals they mean, and the nodes behind them
requantise.py   quantisers on edges
linear.py       dense layers and convolutions on edges
joins.py        additions, concatenations and pools on edges
curves.py       sigmoid, tanh and the like on edges
arithmetic.py   constants on edges
layouts.py      channels first in the model, last in the graph
output.py       the last tensor brought to one scale
minifloat.py    quantisers to grids that are not even
quantisers.py   what Brevitas' quantiser objects really do
minifloat_quantisers.py  the same of minifloats
truncation.py   the same of truncated averages
readings.py     what quantisers return, as exact rationals
layers.py       torch's layers and functions, read
windows.py      where convolutions and pools stop
trace.py        a torch model as a list of calls, run once
walk.py         the walk over those calls
book.py         what the walk keeps in mind
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
