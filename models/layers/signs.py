"""Sign functions for binary weights, with the gradient estimators that train through them."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

Estimator = Literal["identity", "reste"]

RESTE_INNER = 0.1  # below it the slope is a constant, where the power law would blow up
RESTE_OUTER = 1.5  # beyond it nothing is passed back


def sign(
    x: Tensor,
    estimator: Estimator = "identity",
    power: float = 1.0,
    gradient_to: Tensor | None = None,
) -> Tensor:
    """+1 where x > 0, else -1 (so 0 gives -1), differentiable by an estimator.

    The gradient goes to x, or to `gradient_to`, to whose shape x is then broadcast.

    identity: the gradient passes unchanged, not clipped. reste: rectified straight-through, whose
    slope is `reste_slope`; power 1 is the identity inside its limits, and 3 its sharpest.
    """
    target = x if gradient_to is None else gradient_to
    apply: Callable[..., Tensor] = _Sign.apply
    made = apply(target, x.detach().expand_as(target), estimator, power)
    return made


def reste_slope(x: Tensor, power: float) -> Tensor:
    """The estimated derivative of sign at x: (1/o)|x|^((1-o)/o) for 0.1 < |x| <= 1.5, o = power.

    Constant 0.1^(1/o)/0.1 nearer to zero, 0 farther out. ReSTE, "Estimator Meets Equilibrium
    Perspective" (ICCV 2023), as in the authors' code.
    """
    size = x.abs()
    law = size.clamp(min=RESTE_INNER) ** ((1.0 - power) / power) / power
    inner = torch.full_like(x, RESTE_INNER ** (1.0 / power) / RESTE_INNER)
    return torch.where(size <= RESTE_INNER, inner, law) * (size <= RESTE_OUTER)


def reste_power(progress: float, last: float = 3.0) -> float:
    """The power at a point of the training from 0 to 1: from 1 to `last` on half a cosine."""
    return 1.0 + (last - 1.0) * float(1.0 - torch.cos(torch.tensor(progress * torch.pi))) / 2.0


class _Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, _: Tensor, x: Tensor, estimator: Estimator, power: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.estimator, ctx.power = estimator, power
        return torch.where(x > 0, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = gradients
        if ctx.estimator == "reste":
            gradient = gradient * reste_slope(ctx.saved_tensors[0], ctx.power)
        return gradient, None, None, None
