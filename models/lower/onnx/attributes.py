"""Attributes of an ONNX node, of the type that the operation prescribes."""

import numpy as np

from bitwright.models.errors import UnsupportedError
from bitwright.models.lower.onnx.network import Node
from bitwright.models.lower.onnx.tensors import Array

_LARGEST = 1 << 31


def integer(node: Node, name: str, default: int) -> int:
    """An integer. Raises UnsupportedError for another type, or one that no size can be."""
    value = node.attributes.get(name, default)
    if not isinstance(value, int) or abs(value) > _LARGEST:
        raise _wrong(name, "an integer")
    return value


def real(node: Node, name: str, default: float) -> float:
    """A finite real number, as the shortest decimal that float32 stores as what is in the file.

    Exporters write 1e-5 as the nearest float32; the network was trained with 1e-5.
    """
    value = node.attributes.get(name, default)
    if isinstance(value, int):
        value = float(value)
    if not isinstance(value, float) or not np.isfinite(value):
        raise _wrong(name, "a finite number")
    return float(str(np.float32(value)))


def text(node: Node, name: str, default: str) -> str:
    """A text."""
    value = node.attributes.get(name, default)
    if not isinstance(value, str):
        raise _wrong(name, "a text")
    return value


def integers(node: Node, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    """A list of integers."""
    value = node.attributes.get(name, default)
    if not isinstance(value, tuple) or len(value) > 64:
        raise _wrong(name, "a list of integers")
    made = tuple(one for one in value if isinstance(one, int) and abs(one) <= _LARGEST)
    if len(made) != len(value):
        raise _wrong(name, "a list of integers")
    return made


def whole(given: Array) -> tuple[int, ...]:
    """The integers of a constant that says where something is."""
    if given.size > 64 or not np.all((given >= -_LARGEST) & (given <= _LARGEST)):  # neither is NaN
        raise UnsupportedError("has a constant for sizes or axes that are none: export it again")
    return tuple(int(n) for n in given.ravel())


def axes(node: Node, given: Array | None) -> tuple[int, ...] | None:
    """The axes of a Squeeze, Unsqueeze or mean: an input in newer files, an attribute in older."""
    if given is not None:
        return whole(given)
    return integers(node, "axes", ()) if "axes" in node.attributes else None


def _wrong(name: str, needed: str) -> UnsupportedError:
    return UnsupportedError(f"has an attribute {name!r} that is not {needed}: export it again")
