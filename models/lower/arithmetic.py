"""Arithmetic of a tensor with a constant: exact, on what the tensor means."""

import operator
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import torch
from torch import fx

from bitwright.models.errors import UnsupportedError
from bitwright.models.lower import layouts
from bitwright.models.lower.edges import Edge, Real
from bitwright.models.lower.layers import ADDITIONS, called
from bitwright.models.lower.readings import check_finite

_SUBTRACTIONS = (operator.sub, torch.sub, "sub", "sub_")
_PRODUCTS = (operator.mul, torch.mul, "mul", "mul_")
_QUOTIENTS = (operator.truediv, torch.div, "div", "div_")
OPERATORS = (*ADDITIONS, *_SUBTRACTIONS, *_PRODUCTS, *_QUOTIENTS)


def combined(
    node: fx.Node,
    source: fx.Node,
    given: Sequence[object],
    shape: tuple[int, ...],
    edge: Edge | Real,
) -> Edge | Real:
    """The tensor that `source` makes, with a constant: one number, or one for each channel.

    given: the call's arguments in the trial run. shape: of the tensor in torch, without the batch.
    Raises UnsupportedError for other constants, and a division by the tensor or by zero.
    """
    if len(given) != 2 or node.kwargs:
        raise UnsupportedError("is called in an unusual way: write it with an operator")
    at = 0 if node.args[0] is source else 1
    constant = _spread(given[1 - at], shape)
    if isinstance(edge, Real):
        distinct = set(constant.ravel().tolist())
        if len(distinct) > 1:
            raise UnsupportedError(
                "changes the real input by several numbers: do that outside the network"
            )
        gain, shift = _gain_and_shift(node, Fraction(distinct.pop()), at)
        return Real(gain * edge.gain, gain * edge.shift + shift)
    rows = layouts.channels_last(constant[None], edge.value.shape, edge.order)
    rows = rows.reshape(-1, edge.value.channels)
    if not (rows == rows[0]).all():
        raise UnsupportedError(
            "combines a tensor with a constant that differs inside a channel: use one number, or "
            "one for each channel"
        )
    terms = [_gain_and_shift(node, Fraction(x), at) for x in rows[0].tolist()]
    return edge.affine([gain for gain, _ in terms], [shift for _, shift in terms])


def _spread(value: object, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """A constant under a tensor's shape, without the batch."""
    given = value if isinstance(value, torch.Tensor) else torch.tensor(value)
    if not given.is_floating_point() and given.dtype != torch.int64:
        raise UnsupportedError(f"combines a tensor with {given.dtype}: use numbers")
    check_finite(given, "constant")
    try:
        spread = torch.broadcast_to(given.detach().double(), (1, *shape))
    except RuntimeError:
        raise UnsupportedError(
            f"combines a tensor of shape (batch, {', '.join(map(str, shape))}) with a constant of "
            f"shape {tuple(given.shape)}: use one number, or one for each channel"
        ) from None
    made: npt.NDArray[np.float64] = spread[0].numpy()
    return made


def _gain_and_shift(node: fx.Node, constant: Fraction, at: int) -> tuple[Fraction, Fraction]:
    """What a constant does to each element. at: the tensor's place among the arguments."""
    zero, one = Fraction(0), Fraction(1)
    if called(node, ADDITIONS):
        return one, constant
    if called(node, _SUBTRACTIONS):
        return (one, -constant) if at == 0 else (-one, constant)
    if called(node, _PRODUCTS):
        return constant, zero
    if at or not constant:
        raise UnsupportedError("divides by a tensor or by zero: only by a constant can it be done")
    return one / constant, zero
