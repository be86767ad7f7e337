"""Where torch's convolutions and pools stop on an image, and what their averages divide by."""

import math
from typing import Any

from brevitas import nn as qnn
from torch import nn

from bitwright.models.errors import GraphError, UnsupportedError
from bitwright.models.graph import Window

Shape = tuple[int, ...]
Sizes = int | tuple[int, ...] | None

MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)
AVERAGE_POOLS = (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
TRUNCATIONS = (qnn.TruncAvgPool2d, qnn.TruncAdaptiveAvgPool2d)
"""Average pools too."""

_ADAPTIVE = (
    nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
)
_SEQUENCES = (
    nn.Conv1d,
    nn.MaxPool1d,
    nn.AvgPool1d,
    nn.AdaptiveMaxPool1d,
    nn.AdaptiveAvgPool1d,
)


def conv_window(layer: Any, shape: Shape) -> Window:
    """The window of a QuantConv1d or QuantConv2d. shape: of its input in torch, without the batch.

    Raises UnsupportedError for dilation, padding that is not zeros, or padding as large as the
    kernel.
    """
    rows, columns = _image(layer, shape)
    if _sizes(layer, layer.dilation) != (1, 1):
        raise UnsupportedError(
            f"has a dilation of {layer.dilation}: use 1, with a larger kernel or a stride"
        )
    if layer.padding_mode != "zeros":
        raise UnsupportedError(f"pads with {layer.padding_mode!r}: use padding_mode='zeros'")
    kernel, stride = _sizes(layer, layer.kernel_size), _sizes(layer, layer.stride)
    if getattr(layer, "is_same_padded_strided", False) or layer.padding == "same":
        padding = _same((rows, columns), kernel, stride)
    elif layer.padding == "valid":
        padding = (0, 0, 0, 0)
    else:
        padding = _both_sides(_sizes(layer, layer.padding, 0))
    return _window(kernel, stride, padding)


def pool_window(layer: Any, shape: Shape, made: Shape) -> Window:
    """The window of a pool. shape, made: of its input and output in torch, without the batch.

    Raises UnsupportedError for dilation, ceil_mode where it adds an output, indices, and adaptive
    pools whose windows are not all alike.
    """
    size, after = _image(layer, shape), _image(layer, made)
    if isinstance(layer, _ADAPTIVE):
        if getattr(layer, "return_indices", False):
            raise UnsupportedError("returns indices: leave return_indices out")
        if size[0] % after[0] or size[1] % after[1]:
            raise UnsupportedError(
                f"makes {after[0]} x {after[1]} of {size[0]} x {size[1]} with windows that are not "
                "all alike: use an output size that divides the image's"
            )
        kernel = size[0] // after[0], size[1] // after[1]
        return _window(kernel, kernel, (0, 0, 0, 0))
    if _sizes(layer, getattr(layer, "dilation", 1)) != (1, 1):
        raise UnsupportedError(f"has a dilation of {layer.dilation}: use 1")
    if getattr(layer, "return_indices", False):
        raise UnsupportedError("returns indices: leave return_indices out")
    kernel = _sizes(layer, layer.kernel_size)
    stride = kernel if layer.stride is None else _sizes(layer, layer.stride)
    window = _window(kernel, stride, _both_sides(_sizes(layer, layer.padding, 0)))
    if layer.ceil_mode and window.output(*size) != after:
        raise UnsupportedError(
            "has a last window that reaches beyond the image (ceil_mode): use ceil_mode=False, or "
            "an image that the windows fill"
        )
    return window


def divisor(layer: Any, window: Window) -> int:
    """What an average pool divides its sums by.

    Raises UnsupportedError where it is another number at the edges.
    """
    if isinstance(layer, _ADAPTIVE):
        return window.taps
    if window.pads and not layer.count_include_pad:
        raise UnsupportedError(
            "divides by fewer at the edges (count_include_pad=False): use count_include_pad=True, "
            "or no padding"
        )
    override = getattr(layer, "divisor_override", None)
    return int(override) if override else window.taps


def _image(layer: nn.Module, shape: Shape) -> tuple[int, int]:
    """Rows and columns. Raises UnsupportedError for a tensor without batch or channels."""
    axes = 2 if isinstance(layer, _SEQUENCES) else 3
    if len(shape) != axes:
        names = "channels, length" if axes == 2 else "channels, rows, columns"
        raise UnsupportedError(
            f"reads or makes a tensor of shape (batch, {', '.join(map(str, shape))}): give it "
            f"(batch, {names})"
        )
    return (1, shape[1]) if axes == 2 else (shape[1], shape[2])


def _sizes(layer: nn.Module, sizes: Any, missing: int = 1) -> tuple[int, int]:
    """A size, or one for each axis, as rows and columns; a sequence is one row."""
    values = tuple(sizes) if isinstance(sizes, (tuple, list)) else (sizes,)
    if isinstance(layer, _SEQUENCES):
        return missing, int(values[-1])
    return int(values[0]), int(values[-1])


def _both_sides(padding: tuple[int, int]) -> tuple[int, int, int, int]:
    return (*padding, *padding)


def _same(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]
) -> tuple[int, int, int, int]:
    """padding='same': as many outputs as inputs / stride; what is odd goes to the end."""
    ends = []
    for n, k, s in zip(size, kernel, stride, strict=True):
        total = max((math.ceil(n / s) - 1) * s + k - n, 0)
        ends.append((total // 2, total - total // 2))
    return ends[0][0], ends[1][0], ends[0][1], ends[1][1]


def _window(
    kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int, int, int]
) -> Window:
    try:
        return Window(kernel, stride, padding)
    except GraphError:
        raise UnsupportedError(
            f"pads a kernel of {kernel} by {padding} (top, left, bottom, right): pad by less than "
            "the kernel"
        ) from None
