"""Brevitas' float quantisers as exact grids: what each object does, read and then tried out."""

from fractions import Fraction
from typing import Any

import numpy as np
import torch
from brevitas.quant_tensor import FloatQuantTensor, QuantTensor
from torch import Tensor

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import Codebook, IntArray
from bitwright.models.graph.codebooks import minifloat_table
from bitwright.models.lower.edges import MAX_WEIGHT_BITS, Quantiser
from bitwright.models.lower.minifloat import Grid, minifloat_grid
from bitwright.models.lower.readings import bits, rationals, rounding, scales, zero_point

MAX_EXPONENT_BITS = 5
"""The integers of a format with more would not fit 64 bits once they are multiplied."""


def activation_grid(quant: Any, what: str, relu: bool) -> Quantiser | Grid:
    """The quantiser of a Brevitas FloatQuant, in eval mode; an even grid is an ordinary one.

    Raises UnsupportedError for a format, rounding or scale that integers cannot follow.
    """
    _, scale, zero, exponent, mantissa, bias, saturating, _, _ = quant(torch.zeros(1))
    if not saturating:
        raise UnsupportedError(f"has {what} that makes infinity or NaN: set saturating=True")
    if zero_point(zero, what) != 0:
        raise UnsupportedError(f"has {what}, a minifloat with a zero point: use one without")
    x, y, step = _format(exponent, mantissa, bias, what)
    clamp = quant.float_clamp_impl
    made = minifloat_grid(
        x,
        y,
        Fraction(_largest(clamp, exponent, y, bias)) / step,
        tuple(s * step for s in scales(scale, what)),
        rounding(quant.float_to_int_impl, what),
        bool(clamp.signed) and not relu,
    )
    low, high = made.values[0], made.values[-1]
    if high - low == len(made.values) - 1:
        return Quantiser(made.unit, Fraction(0), Fraction(0), low, high, made.rounding)
    return made


def try_grid(proxy: Any, made: Grid, what: str) -> None:
    """Compare the object with `made` in Brevitas' float32 arithmetic, ties and ends included."""
    values = np.array(made.values, dtype=np.float64)
    quarters = values[:-1, None] + np.diff(values)[:, None] * np.array([0, 0.25, 0.5, 0.75])
    reach = max(abs(values[0]), values[-1])
    points = np.concatenate([[-4 * reach, -reach - 1], quarters.ravel(), [values[-1], 4 * reach]])
    unit = torch.tensor([float(u) for u in made.unit])
    x = torch.tensor(points, dtype=torch.float32)[:, None] * unit
    with torch.no_grad():
        given = proxy(x)
    given = given.value if isinstance(given, QuantTensor) else given
    position = 2 * (x / unit).double()
    number = torch.zeros(position.shape, dtype=torch.int64)
    for twice, belongs in zip(*made.steps(), strict=True):
        number += (position >= twice) if belongs else (position > twice)
    if not torch.equal(given, torch.tensor(values, dtype=torch.float32)[number] * unit):
        raise UnsupportedError(
            f"has {what} that does not compute what its parts say (is it a class of your own?): "
            "use one of Brevitas' minifloat quantisers"
        )


def minifloat_weights(quantised: FloatQuantTensor) -> tuple[Codebook, Tensor, Fraction]:
    """Minifloat weights, (outputs, …), as a codebook, Brevitas' scale, and units of it an integer.

    weight = scale * unit * entry. The entries that no weight uses are 0, and the power of two that
    all others share is in the unit, so that nothing is wider than these weights need.

    Raises UnsupportedError for a format or values that integers cannot follow.
    """
    what = "a weight quantiser"
    if not quantised.saturating:
        raise UnsupportedError(f"has {what} that makes infinity or NaN: set saturating=True")
    if zero_point(quantised.zero_point, what) != 0:
        raise UnsupportedError(
            "has weights with a zero point: use a symmetric weight quantiser (zero point 0)"
        )
    x, y, step = _format(
        quantised.exponent_bit_width, quantised.mantissa_bit_width, quantised.exponent_bias, what
    )
    integers = _integers(quantised, step)
    table = minifloat_table(x, y)
    order = np.argsort(table, kind="stable")  # plus zero in front of minus zero
    place = np.searchsorted(table[order], integers).clip(0, len(table) - 1)
    indices: IntArray = order[place]
    if not np.array_equal(table[indices], integers):
        raise UnsupportedError(
            f"has weights that are not E{x}M{y} minifloats times their scale: use one of Brevitas' "
            "minifloat quantisers"
        )
    used = np.where(np.isin(np.arange(len(table)), indices), table, 0)
    shared = int(np.bitwise_or.reduce(np.abs(used))) or 1
    power = (shared & -shared).bit_length() - 1
    codec = Codebook(indices.reshape(len(indices), -1).T.copy(), (used >> power)[None, :])
    if codec.entry_bits > MAX_WEIGHT_BITS:
        raise UnsupportedError(
            f"has E{x}M{y} weights that need {codec.entry_bits} bits as integers, and the limit is "
            f"{MAX_WEIGHT_BITS}: use fewer exponent bits"
        )
    return codec, quantised.scale, step * (1 << power)


def _integers(quantised: FloatQuantTensor, step: Fraction) -> IntArray:
    """The weights in units of scale * step; exactly, or refused."""
    rationals(quantised.value, "quantised weight")
    real, scale = quantised.value.detach(), quantised.scale.detach()
    numbers = torch.round(real.double() / scale.double() / float(step))
    if not torch.equal((numbers * float(step)).float() * scale, real):
        raise UnsupportedError(
            "has weights that are not minifloats times their scale: use one of Brevitas' minifloat "
            "quantisers"
        )
    made: IntArray = numbers.long().numpy()
    return made


def _format(
    exponent: Tensor, mantissa: Tensor, bias: Tensor, what: str
) -> tuple[int, int, Fraction]:
    """Exponent bits, mantissa bits, and the smallest number above zero, 2^(1 - bias - mantissa)."""
    x = bits(exponent, f"the exponent of {what}")
    widths = set(rationals(mantissa, f"mantissa of {what}"))
    biases = set(rationals(bias, f"exponent bias of {what}"))
    y, b = min(widths), min(biases)
    if len(widths | {y}) > 1 or len(biases) > 1 or y.denominator != 1 or b.denominator != 1:
        raise UnsupportedError(
            f"has {what} with several or fractional mantissa widths or exponent biases: use one "
            "integer of each"
        )
    if x > MAX_EXPONENT_BITS or y < 0 or 1 + x + y > 8:
        raise UnsupportedError(
            f"has {what} of format E{x}M{y}: use a minifloat of at most 8 bits, the sign among "
            f"them, and {MAX_EXPONENT_BITS} exponent bits"
        )
    return x, int(y), Fraction(2) ** (1 - int(b) - int(y))


def _largest(clamp: Any, exponent: Tensor, mantissa: int, bias: Tensor) -> float:
    """The largest number: the top binade's last, or less where codes mean infinity or NaN."""
    whole = float((2 - 2.0**-mantissa) * 2.0 ** (2.0 ** float(exponent) - 1 - float(bias)))
    limit = clamp.max_available_float
    return whole if limit is None else min(whole, float(limit()))
