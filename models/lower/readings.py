"""What Brevitas' quantisers return, as exact rationals and integers, or a refusal."""

from fractions import Fraction

import torch
from brevitas.core.function_wrapper import FloorSte, RoundSte
from torch import Tensor, nn

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import Rounding

MAX_BITS = 16


def rationals(tensor: Tensor, what: str) -> tuple[Fraction, ...]:
    """The elements of a tensor, exactly. Raises UnsupportedError if one is NaN or infinite."""
    values = tensor.detach().double().flatten()
    if not bool(torch.isfinite(values).all()):
        bad = values[~torch.isfinite(values)][0].item()
        raise UnsupportedError(f"has a {what} that is {bad}: train it again, or load other weights")
    return tuple(Fraction(v) for v in values.tolist())


def scales(scale: Tensor, what: str, positive: bool = True) -> tuple[Fraction, ...]:
    """A quantiser's scale, or one per channel. Raises UnsupportedError for 0 and other shapes."""
    made = rationals(scale, f"scale of {what}")
    if any(s == 0 for s in made):
        raise UnsupportedError(f"has {what} with a scale of 0: set its scale, or train it again")
    if positive and any(s < 0 for s in made):
        raise UnsupportedError(f"has {what} with a negative scale: use an unsigned restriction")
    if scale.numel() > 1 and positive and scale.numel() != scale.shape[-1]:
        raise UnsupportedError(
            f"has {what} with scales of shape {tuple(scale.shape)}: use one, or one per channel"
        )
    return made


def zero_point(given: Tensor, what: str) -> int:
    """A quantiser's only zero point. Raises UnsupportedError for several or fractional ones."""
    distinct = set(rationals(given, f"zero point of {what}"))
    if len(distinct) != 1 or (only := distinct.pop()).denominator != 1:
        raise UnsupportedError(
            f"has {what} with several or fractional zero points: use one integer"
        )
    return int(only)


def bits(bit_width: Tensor, what: str) -> int:
    """A quantiser's bit width. Raises UnsupportedError if it is not one integer up to MAX_BITS."""
    values = set(rationals(bit_width, f"bit width of {what}"))
    width = values.pop()
    if values or width.denominator != 1 or not 1 <= width <= MAX_BITS:
        raise UnsupportedError(
            f"has {what} of {float(width):g} bits: bit widths are integers from 1 to {MAX_BITS}"
        )
    return int(width)


def rounding(impl: nn.Module, what: str) -> Rounding:
    """How a quantiser rounds. Raises UnsupportedError for others than ROUND and FLOOR."""
    if type(impl) is RoundSte:
        return "half_even"
    if type(impl) is FloorSte:
        return "floor"
    raise UnsupportedError(
        f"has {what} that rounds with {type(impl).__name__}: use FloatToIntImplType.ROUND or FLOOR"
    )
