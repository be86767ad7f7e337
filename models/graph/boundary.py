"""The boundary between real numbers and the graph's integers, as its ports describe it."""

import numpy as np
import numpy.typing as npt

from bitwright.models.errors import InputError
from bitwright.models.graph.codecs import IntArray
from bitwright.models.graph.graph import Graph


def quantise(graph: Graph, x: npt.ArrayLike) -> IntArray:
    """Real inputs, shape (batch, *input shape), as the graph's integers.

    As `Port` says, and clipped to the type. In float32, because Brevitas computes its input
    quantiser that way and these integers are the first that must be equal.

    Raises:
        InputError: another shape, or a value that is not a number.
    """
    value, port = graph.input, graph.ports[graph.input.name]
    real = np.asarray(x, dtype=np.float32)
    if real.shape[1:] != value.shape:
        raise InputError(
            f"input {value.name} has shape {real.shape}: give (batch, "
            f"{', '.join(map(str, value.shape))})"
        )
    if np.isnan(real).any():
        raise InputError(f"input {value.name} holds NaN: clean the data first")
    if port.binary:
        return np.asarray(real >= np.float64(port.scale * (port.offset + 0.5)), dtype=np.int64)
    scaled = np.rint(real / np.float32(port.scale) - np.float32(port.offset))
    return np.asarray(np.clip(scaled, value.type.min, value.type.max), dtype=np.int64)


def dequantise(graph: Graph, y: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The graph's output integers, shape (batch, *output shape), as the real numbers they mean."""
    port = graph.ports[graph.output.name]
    return (np.asarray(y, dtype=np.float64) + port.offset) * port.scale
