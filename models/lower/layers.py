"""torch's own layers and functions, read: which module a call stands for, batch-norm, remedies."""

import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import torch
from brevitas import nn as qnn
from torch import fx, nn
from torch.nn import functional

from bitwright.models.errors import UnsupportedError
from bitwright.models.layers.bottleneck import BitwiseBottleneck
from bitwright.models.lower.readings import rationals

ADDITIONS = (operator.add, torch.add, "add", "add_")
CONCATENATIONS = (torch.cat, torch.concat, torch.concatenate)
DECISIONS = (torch.argmax, "argmax")

# Calls that change no decision, and are left to whoever reads the scores.
CONFIDENCES = (
    torch.softmax,
    torch.log_softmax,
    nn.functional.softmax,
    nn.functional.log_softmax,
    "softmax",
    "log_softmax",
)

# Calls that may only give a tensor another shape, or nothing, which the trial run shows.
PASSING_MODULES = (
    nn.Identity,
    nn.Flatten,
    nn.Unflatten,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)
PASSING = (
    torch.flatten,
    torch.reshape,
    torch.squeeze,
    torch.unsqueeze,
    torch.dropout,
    functional.dropout,
    functional.dropout2d,
    "flatten",
    "view",
    "reshape",
    "squeeze",
    "unsqueeze",
    "unflatten",
    "contiguous",
    "detach",
    "clone",
    "float",
)

_MODULES: dict[object, Callable[..., nn.Module]] = {
    functional.max_pool1d: nn.MaxPool1d,
    functional.max_pool2d: nn.MaxPool2d,
    functional.avg_pool1d: nn.AvgPool1d,
    functional.avg_pool2d: nn.AvgPool2d,
    functional.adaptive_max_pool1d: nn.AdaptiveMaxPool1d,
    functional.adaptive_max_pool2d: nn.AdaptiveMaxPool2d,
    functional.adaptive_avg_pool1d: nn.AdaptiveAvgPool1d,
    functional.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
    functional.relu: nn.ReLU,
    functional.relu6: nn.ReLU6,
    functional.hardtanh: nn.Hardtanh,
    torch.max_pool1d: nn.MaxPool1d,
    torch.max_pool2d: nn.MaxPool2d,
    torch.relu: nn.ReLU,
    "relu": nn.ReLU,
}
"""Functions and methods whose arguments behind the tensor are those of a module."""

LINEAR = (qnn.QuantLinear, qnn.QuantConv1d, qnn.QuantConv2d)
ACTIVATIONS = (qnn.QuantIdentity, qnn.QuantReLU, qnn.QuantHardTanh)
CURVES = (qnn.QuantSigmoid, qnn.QuantTanh, qnn.QuantHardSwish)
LIMITS = (nn.ReLU, nn.ReLU6, nn.Hardtanh)
ELEMENTWISE = (*ACTIVATIONS, *CURVES, *LIMITS, BitwiseBottleneck)


def called(node: fx.Node, group: tuple[object, ...]) -> bool:
    """Whether a node calls one of these functions or methods."""
    return node.op in ("call_function", "call_method") and node.target in group


def passes(node: fx.Node, module: nn.Module | None) -> bool:
    """Whether a call may only change a tensor's shape, or nothing; the trial run shows it."""
    return isinstance(module, PASSING_MODULES) or called(node, PASSING)


def module_of(node: fx.Node) -> nn.Module | None:
    """The module that a call of a function does the same as, None for other functions."""
    if called(node, tuple(_MODULES)):
        made = _MODULES[node.target]
        given = {k: v for k, v in node.kwargs.items() if k != "input"}
        if made in (nn.ReLU, nn.ReLU6):
            return made()
        return made(*node.args[1:], **given)
    return _mean(node) if called(node, (torch.mean, "mean")) else None


def argument(node: fx.Node, name: str, default: object) -> object:
    """An argument that may stand behind the tensor (`dim`), or is given by name only."""
    if name not in node.kwargs and name == "dim" and len(node.args) > 1:
        return node.args[1]
    return node.kwargs.get(name, default)


def _mean(node: fx.Node) -> nn.Module | None:
    """A mean over rows and columns is a global average pool."""
    axes: Any = argument(node, "dim", None)
    if isinstance(axes, (tuple, list)) and sorted(axes, key=int) in ([2, 3], [-2, -1]):
        return nn.AdaptiveAvgPool2d(1)
    return nn.AdaptiveAvgPool1d(1) if axes in (2, [2], (2,)) else None


def limits(layer: nn.Module) -> tuple[Fraction | None, Fraction | None]:
    """The smallest and largest result of a ReLU, ReLU6 or Hardtanh."""
    if isinstance(layer, nn.Hardtanh):  # ReLU6 is one
        return Fraction(layer.min_val), Fraction(layer.max_val)
    return Fraction(0), None


def batch_norm(layer: Any) -> tuple[list[Fraction], list[Fraction]]:
    """A batch-norm's factor and offset, one for each channel.

    Raises UnsupportedError without running statistics, and for variances below 0.
    """
    if layer.running_mean is None or layer.running_var is None:
        raise UnsupportedError("has no running statistics: train it with track_running_stats=True")
    mean = rationals(layer.running_mean, "running mean")
    variance = [float(v) + layer.eps for v in rationals(layer.running_var, "running variance")]
    if min(variance) <= 0:
        raise UnsupportedError(
            f"has a running variance of {min(variance) - layer.eps:g}: train it again"
        )
    ones, zeros = torch.ones(len(mean)), torch.zeros(len(mean))
    weight = rationals(ones if layer.weight is None else layer.weight, "weight")
    bias = rationals(zeros if layer.bias is None else layer.bias, "bias")
    factor = [Fraction(float(w) / v**0.5) for w, v in zip(weight, variance, strict=True)]
    return factor, [b - m * f for b, m, f in zip(bias, mean, factor, strict=True)]


def check_forward(layer: nn.Module, expected: type[nn.Module]) -> None:
    """Raises UnsupportedError for a subclass that computes something else."""
    for method in ("forward", "forward_impl", "inner_forward_impl"):
        if getattr(type(layer), method, None) is not getattr(expected, method, None):
            raise UnsupportedError(
                f"has a {method} of its own: use {expected.__name__} as Brevitas defines it"
            )


def remedy(module: nn.Module | None) -> str:
    """What is to be done about a layer or function that cannot be lowered."""
    match module:
        case nn.Linear():
            return "is not quantised: use brevitas.nn.QuantLinear"
        case qnn.QuantConvTranspose1d() | qnn.QuantConvTranspose2d() | qnn.QuantConvTranspose3d():
            return (
                "is a transposed convolution, which the engines do not have: use QuantConv1d or "
                "QuantConv2d, and enlarge images outside the network"
            )
        case qnn.QuantConv3d():
            return "has three dimensions: use QuantConv1d or QuantConv2d"
        case nn.Conv1d() | nn.Conv2d():
            return f"is not quantised: use brevitas.nn.Quant{type(module).__name__}"
        case nn.Sigmoid() | nn.Tanh() | nn.Hardswish():
            name = {"Hardswish": "HardSwish"}.get(type(module).__name__, type(module).__name__)
            return f"is not quantised: use brevitas.nn.Quant{name}"
        case nn.Softmax() | nn.LogSoftmax() | nn.Softmax2d():
            return "is not supported: leave it out, it does not change which class is largest"
        case _:
            return (
                "is not supported: use QuantIdentity, QuantLinear, QuantConv1d, QuantConv2d, "
                "QuantReLU, QuantHardTanh, QuantSigmoid, QuantTanh, QuantHardSwish, ReLU, ReLU6 or "
                "Hardtanh with a quantiser behind, QuantEltwiseAdd, QuantCat, "
                "BatchNorm, max and average pools, additions, concatenations, Flatten, Dropout and "
                "Identity"
            )
