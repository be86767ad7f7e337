"""The network's real input, and the first quantiser, which makes the graph's integers of it."""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import IntArray, Port
from bitwright.models.lower import requantise
from bitwright.models.lower.edges import Edge, Quantiser
from bitwright.models.lower.onnx import activations
from bitwright.models.lower.onnx.names import Names, legal
from bitwright.models.lower.onnx.network import Network
from bitwright.models.lower.onnx.tensors import Array
from bitwright.models.lower.onnx.wires import Wire, image_place, whole

_SPATIAL = (
    "Conv",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "ReduceMean",
    "Concat",
)
_IN_PLACE = (
    "Quant",
    "IntQuant",
    "BipolarQuant",
    "QuantizeLinear",
    "DequantizeLinear",
    "Clip",
    "Relu",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Pad",
    "Cast",
    "Identity",
)


class Input:
    """The graph's only input, once a quantiser has read the network's."""

    def __init__(self, network: Network, names: Names) -> None:
        self._network, self._names = network, names
        self._images = any(node.op in _SPATIAL for node in network.nodes)
        self._channels_last = _channels_last(network)
        self._first: Edge | None = None
        self._port = Port(1.0)
        self._arrival: Wire | None = None

    @property
    def edge(self) -> Edge:
        """The graph's input. Raises UnsupportedError where nothing quantised the network's."""
        if self._first is None:
            raise UnsupportedError(
                "the model has no quantiser: put one (Quant, BipolarQuant or QuantizeLinear) at "
                "its input"
            )
        return self._first

    @property
    def port(self) -> Port:
        """What the integers of the graph's input mean."""
        return self._port

    @property
    def order(self) -> IntArray:
        """For every element of the graph's input, in its order, which of the network's it is."""
        assert self._arrival is not None
        arrived = self._arrival.place
        made = np.empty(arrived.size, np.int64)
        made[self._place(arrived.shape).ravel()] = arrived.ravel()
        return made

    def start(self) -> Wire:
        """The network's input: real, or integers where the file says so."""
        real = Wire(None, whole(self._network.shape))
        if self._network.integers is None:
            return real
        low, high = self._network.integers
        zero = Fraction(0)
        quantiser = Quantiser((Fraction(1),), zero, zero, low, high, "half_even")
        name = self._names.free(legal(self._network.input, "x"))
        return self.quantised(real, name, quantiser)

    def quantised(self, wire: Wire, name: str, quantiser: Quantiser) -> Wire:
        """The wire behind the first quantiser, with a threshold where it clips inside its type."""
        if self._first is not None:
            raise UnsupportedError(
                "is a second quantiser of the network's real input: quantise it once, and let all "
                "branches read that"
            )
        quantiser = activations.clipped(wire, quantiser)
        if wire.gain <= 0:
            raise UnsupportedError(
                "quantises the network's input multiplied by a number that is not above 0: "
                "multiply behind the quantiser"
            )
        self._arrival = wire
        shape = wire.place.shape
        made: tuple[int, ...] = (wire.place.size,)
        if self._is_image(shape) and self._channels_last:
            made = shape
        elif self._is_image(shape):
            made = (*shape[1:], shape[0]) if len(shape) == 3 else (1, shape[1], shape[0])
        kind = quantiser.type
        unclipped = replace(quantiser, low=kind.min, high=kind.max)
        clips = unclipped != quantiser
        given = self._names.free(f"{name}_input") if clips else name
        self._first = requantise.input_edge(given, made, unclipped)
        # gain * x + shift = scale * n + offset, and a port means x = unit * (n + its offset).
        scale, offset = self._first.scale[0], self._first.offset[0]
        unit = scale / wire.gain
        moved = float((offset - wire.shift) / scale)
        self._port = Port(float(unit), moved, quantiser.binary)
        edge = requantise.quantise(self._first, name, quantiser) if clips else self._first
        return Wire(edge, self._place(wire.place.shape), padding=wire.padding)

    def _is_image(self, shape: tuple[int, ...]) -> bool:
        return self._images and (len(shape) == 3 or (len(shape) == 2 and not self._channels_last))

    def _place(self, shape: tuple[int, ...]) -> IntArray:
        if not self._is_image(shape) or self._channels_last:
            return whole(shape)
        if len(shape) == 3:
            return image_place(shape[1], shape[2], shape[0])
        made: IntArray = image_place(1, shape[1], shape[0])[:, 0, :]
        return made


def _channels_last(network: Network) -> bool:
    """Whether the file has its input's channels last: all that it does is transpose them first."""
    behind, found = {network.input}, set()
    for node in network.nodes:
        if behind.isdisjoint(node.inputs):
            continue
        if node.op in _IN_PLACE:
            behind.update(node.outputs)
        else:
            found.add(node.op == "Transpose" and node.attributes.get("perm") == (0, 3, 1, 2))
    return found == {True}


def limited(wire: Wire, low: Fraction | None, high: Fraction | None) -> Wire:
    """The real input behind a Relu or Clip, which waits for the first quantiser."""
    if wire.low is not None and low is not None:
        low = max(low, wire.low)
    if wire.high is not None and high is not None:
        high = min(high, wire.high)
    return replace(
        wire, low=wire.low if low is None else low, high=wire.high if high is None else high
    )


def scaled(wire: Wire, factor: Array, add: Array, divide: bool) -> Wire:
    """The real input times (or divided by) a factor, plus a constant; one number each."""
    if wire.low is not None or wire.high is not None:
        raise UnsupportedError("computes with a clipped input: quantise it first")
    if len(set(factor.ravel().tolist())) != 1 or len(set(add.ravel().tolist())) != 1:
        raise UnsupportedError(
            "scales the network's real input by several numbers, and a port has one scale: "
            "normalise the data and not in the network, or quantise the input first"
        )
    a, b = Fraction(float(factor.ravel()[0])), Fraction(float(add.ravel()[0]))
    a = 1 / a if divide else a
    return replace(wire, gain=wire.gain * a, shift=wire.shift * a + b)
