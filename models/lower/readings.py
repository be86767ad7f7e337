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
    check_finite(tensor, what)
    return tuple(Fraction(v) for v in tensor.detach().double().flatten().tolist())


def check_finite(tensor: Tensor, what: str) -> None:
    """Raises UnsupportedError if an element is NaN or infinite."""
    finite = torch.isfinite(tensor)
    if not bool(finite.all()):
        bad = tensor[~finite][0].item()
        raise UnsupportedError(f"has a {what} that is {bad}: train it again, or load other weights")


def scales(
    scale: Tensor, what: str, positive: bool = True, dims: int | None = 2
) -> tuple[Fraction, ...]:
    """A quantiser's scale, or one per channel, for tensors of `dims` axes (None: any).

    Raises UnsupportedError for 0 and other shapes.
    """
    made = rationals(scale, f"scale of {what}")
    if any(s == 0 for s in made):
        raise UnsupportedError(f"has {what} with a scale of 0: set its scale, or train it again")
    if positive and any(s < 0 for s in made):
        raise UnsupportedError(f"has {what} with a negative scale: use an unsigned restriction")
    if scale.numel() > 1 and dims is not None:
        # torch lines shapes up from the right, so that only these are scales of channels.
        fits = scale.dim() <= 2 if dims == 2 else scale.dim() == dims
        if not fits or scale.shape[-1 if dims == 2 else 1] != scale.numel():
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
