"""Element by element arithmetic of an ONNX graph: with constants, and sums of branches."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from bitwright.models.errors import UnsupportedError
from bitwright.models.lower import requantise
from bitwright.models.lower.onnx import branches, images, inputs
from bitwright.models.lower.onnx.names import Names
from bitwright.models.lower.onnx.network import Node
from bitwright.models.lower.onnx.tensors import Array
from bitwright.models.lower.onnx.values import Constant
from bitwright.models.lower.onnx.wires import (
    NO_PADDING,
    Wire,
    affine,
    computed,
    per_channel,
    real_numbers,
)

_ONE, _ZERO = np.array(1.0), np.array(0.0)


def arithmetic(node: Node, given: Sequence[Wire | Constant | None], names: Names) -> Wire:
    """Add, Sub, Mul, Div, Sum of a wire and a constant, or sums of wires.

    Raises UnsupportedError for products of wires, and for constants inside a channel.
    """
    wires = [one for one in given if isinstance(one, Wire)]
    if len(wires) == len(given) and node.op in ("Add", "Sum") and len(wires) > 1:
        return branches.add(wires, names.of(node))
    if len(wires) == len(given) == 2 and node.op == "Sub":
        return branches.add([wires[0], negated(wires[1], names)], names.of(node))
    constants = [one for one in given if isinstance(one, Constant)]
    if len(wires) != 1 or len(constants) != 1 or len(given) != 2:
        raise UnsupportedError(
            f"combines {len(wires)} tensors that depend on the network's input and "
            f"{len(constants)} constants: one of each can be lowered, or a sum of tensors"
        )
    wire, constant = wires[0], real_numbers(constants[0].values, "a constant")
    from_constant = isinstance(given[0], Constant)
    match node.op:
        case "Mul":
            return _scaled(wire, constant, _ZERO, names)
        case "Div" if not from_constant:
            if np.any(constant == 0):
                raise UnsupportedError("divides by 0: check its constant")
            return _scaled(wire, constant, _ZERO, names, divide=True)
        case "Add" | "Sum":
            return _scaled(wire, _ONE, constant, names)
        case "Sub":
            return _scaled(wire, -_ONE if from_constant else _ONE,
                           constant if from_constant else -constant, names)  # fmt: skip
        case _:
            raise UnsupportedError("divides a constant by a tensor: only the reverse is linear")


def negated(wire: Wire, names: Names) -> Wire:
    """-x."""
    return _scaled(wire, -_ONE, _ZERO, names)


def _scaled(wire: Wire, factor: Array, add: Array, names: Names, divide: bool = False) -> Wire:
    """factor * x + add, or x / factor + add, with one number or one per channel each."""
    if wire.padding != NO_PADDING and np.any(add != 0):
        raise UnsupportedError("adds to a padded image: pad behind it")
    if wire.edge is None:
        return inputs.scaled(wire, factor, add, divide)
    computed(wire)
    if factor.size + add.size > 2:
        wire = images.vector(wire, names)
    scale = per_channel(wire, factor, "a factor")
    if divide:
        scale = [1 / s for s in scale]
    return affine(wire, scale, per_channel(wire, add, "a constant"))


def limited(
    node: Node, wire: Wire, known: Sequence[Constant | None], names: Names, waits: bool
) -> Wire:
    """Relu and Clip. waits: whether only quantisers read it, which then do this on the way."""
    low, high = (Fraction(0), None) if node.op == "Relu" else _bounds(node, known)
    below, above = low is not None and low > 0, high is not None and high < 0
    if wire.padding != NO_PADDING and (below or above):
        raise UnsupportedError("clips the zeros around an image: pad behind it")
    if wire.edge is None:
        return inputs.limited(wire, low, high)
    if wire.function:
        computed(wire)
    name = names.of(node)
    before = replace(wire.edge, quantised=False) if waits else wire.edge
    edge = requantise.limit(before, name, low, high)
    if edge.name != name:  # it waits for its quantiser, whose name this should be
        names.spare(name)
    return replace(wire, edge=edge)


def _bounds(
    node: Node, known: Sequence[Constant | None]
) -> tuple[Fraction | None, Fraction | None]:
    found = [
        _bound(node, name, known[i] if i < len(known) else None)
        for i, name in enumerate(("min", "max"))
    ]
    if found[0] is not None and found[1] is not None and found[0] >= found[1]:
        raise UnsupportedError("clips everything to one number: check its minimum and maximum")
    return found[0], found[1]


def _bound(node: Node, name: str, given: Constant | None) -> Fraction | None:
    if given is not None:
        values = np.asarray(given.values)
        if values.size != 1 or values.dtype.kind not in "fiu":
            raise UnsupportedError("clips at several numbers: use one minimum and maximum")
        at = float(values.ravel()[0])
    else:
        stored = node.attributes.get(name)
        if stored is None:
            return None
        if not isinstance(stored, float):
            raise UnsupportedError(f"has a {name} that is no number")
        at = stored
    if at != at:
        raise UnsupportedError(f"has a {name} that is NaN: give it a number")
    # The largest float32 is how exporters say "no bound".
    return None if abs(at) > 3e38 else Fraction(at)
