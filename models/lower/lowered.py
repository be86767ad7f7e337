"""What lowering makes: the graph, and where each of its tensors is found in torch."""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitwright.models.errors import InputError
from bitwright.models.graph import Graph, IntArray
from bitwright.models.lower.layouts import channels_last

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Counterpart:
    """Where one tensor of the graph is found in torch, and what its reals mean in integers.

    integer = multiplier[c] * round((real - offset[c]) / scale[c]) + bias[c], in which the division
    is exact but for float32: its result is an integer of the layer that made the real.
    """

    tensor: str
    module: str
    """Path of the module that returns it; empty where `node` says which call does."""
    call: int
    """Which of that module's calls in one forward."""
    scale: Floats
    offset: Floats
    multiplier: IntArray
    bias: IntArray
    node: str = ""
    """Name of the call in the model's trace (torch.fx) that returns it."""
    order: IntArray | None = None
    """Of a flattened image: element i of the graph's tensor is torch's element order[i]."""


@dataclass(frozen=True, eq=False)
class Lowered:
    """A lowered model: its graph, ready for every engine, and what is needed to compare them."""

    graph: Graph
    input_shape: tuple[int, ...]
    """Of one example in torch, whose images have their channels first; the graph's have them last,
    and its input is flat where the model flattens before it does anything."""
    counterparts: tuple[Counterpart, ...]
    order: IntArray | None = None
    """Where the model's input is arranged otherwise: element i of the graph's is its order[i]."""

    def arrange(self, x: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Real inputs, (batch, *input_shape), as the graph takes them: channels last, or flat.

        Raises InputError for another shape.
        """
        real = np.asarray(x, dtype=np.float32)
        if real.shape[1:] != self.input_shape:
            raise InputError(
                f"inputs have shape {real.shape}: give (batch, "
                f"{', '.join(map(str, self.input_shape))})"
            )
        if self.order is not None:
            return real.reshape(len(real), -1)[:, self.order].reshape(-1, *self.graph.input.shape)
        return np.ascontiguousarray(channels_last(real, self.graph.input.shape))


def identifier(path: str) -> str:
    """What a module's path becomes as a tensor's name: 'net.0' is net_0, and '0' is l0."""
    name = "_".join(re.findall(r"[A-Za-z0-9]+", path))
    return f"l{name}" if name[:1].isdigit() else name
