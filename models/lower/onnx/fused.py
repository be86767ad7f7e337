"""QuantizeLinear, Clip and DequantizeLinear in a row (QCDQ), which are one quantiser."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bitwright.models.errors import UnsupportedError
from bitwright.models.lower.onnx.attributes import integer
from bitwright.models.lower.onnx.network import Network, Node
from bitwright.models.lower.onnx.quantised_constants import only
from bitwright.models.lower.onnx.tensors import Array
from bitwright.models.lower.onnx.values import Constant

_TYPES: dict[int, tuple[int, int]] = {
    2: (0, 255),
    3: (-128, 127),
    4: (0, 65535),
    5: (-32768, 32767),
    21: (0, 15),
    22: (-8, 7),
}


@dataclass(frozen=True, eq=False)
class Fused:
    """A quantiser in several nodes. The clip's bounds are integers, before the zero point."""

    quantise: Node
    clip: Node | None
    dequantise: Node

    @property
    def title(self) -> str:
        """For messages."""
        return self.quantise.title

    @property
    def nodes(self) -> tuple[Node, ...]:
        """In order."""
        made = (self.quantise, self.clip, self.dequantise)
        return tuple(node for node in made if node is not None)

    @property
    def output(self) -> str:
        """The tensor that is left."""
        return self.dequantise.outputs[0]

    def parameters(self, lookup: Callable[[str], Constant | None]) -> tuple[Array, int, int, int]:
        """Scale, smallest and largest integer, and zero point.

        lookup: of constants by name.
        Raises UnsupportedError where quantising and dequantising differ.
        """
        scale, zero = _linear(self.quantise, [lookup(n) for n in self.quantise.inputs[1:]])
        low, high = _range(self.quantise, zero)
        names = self.dequantise.inputs[1:]
        back, back_zero = _linear(self.dequantise, [lookup(name) for name in names])
        point = _point(zero)
        if not np.array_equal(scale, back) or point != _point(back_zero):
            raise UnsupportedError(
                "quantises with another scale or zero point than its DequantizeLinear: give both "
                "the same"
            )
        if (
            integer(self.quantise, "axis", 1) != integer(self.dequantise, "axis", 1)
            and scale.size > 1
        ):
            raise UnsupportedError("quantises along another axis than its DequantizeLinear")
        if self.clip is not None:
            bounds = [lookup(name) for name in self.clip.inputs[1:3]] + [None, None]
            if bounds[0] is not None:
                low = max(low, int(only(bounds[0].values, "a minimum")))
            if bounds[1] is not None:
                high = min(high, int(only(bounds[1].values, "a maximum")))
        if low >= high:
            raise UnsupportedError(f"can only make the integer {low}: check its Clip")
        return scale, low, high, point


def _linear(node: Node, given: Sequence[Constant | None]) -> tuple[Array, Array | None]:
    if not given or given[0] is None:
        raise UnsupportedError("lacks a constant scale: use a constant one")
    if integer(node, "block_size", 0):
        raise UnsupportedError("has scales for blocks: use one, or one per channel")
    zero = given[1].values if len(given) > 1 and given[1] is not None else None
    return given[0].values, zero


def _range(node: Node, zero: Array | None) -> tuple[int, int]:
    named = integer(node, "output_dtype", 0)
    if named:
        if named not in _TYPES:
            raise UnsupportedError(f"quantises to type {named}: use integers of up to 16 bits")
        return _TYPES[named]
    if zero is None:
        return 0, 255
    if zero.dtype.kind not in "iu" or zero.dtype.itemsize > 2:
        raise UnsupportedError(f"quantises to {zero.dtype}: use integers of up to 16 bits")
    held = np.iinfo(zero.dtype)
    return int(held.min), int(held.max)


def _point(zero: Array | None) -> int:
    return 0 if zero is None else int(only(zero, "zero point"))


def fuse(network: Network) -> list[Node | Fused]:
    """The nodes in order, every QuantizeLinear with its Clip and DequantizeLinear as one."""
    readers: dict[str, list[Node]] = {}
    uses = Counter(network.outputs)
    for node in network.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    gone: set[int] = set()
    made: dict[int, Fused] = {}
    for node in network.nodes:
        if node.op != "QuantizeLinear" or not node.inputs:
            continue
        after = _only_reader(node, readers, uses)
        clip = after if after is not None and after.op == "Clip" else None
        if clip is not None and clip.inputs[0] == node.outputs[0]:
            after = _only_reader(clip, readers, uses)
        if after is None or after.op != "DequantizeLinear":
            continue
        fused = Fused(node, clip, after)
        if after.inputs[0] != (clip or node).outputs[0]:
            continue
        made[id(after)] = fused
        gone |= {id(one) for one in fused.nodes}
    return [made.get(id(n), n) for n in network.nodes if id(n) in made or id(n) not in gone]


def _only_reader(node: Node, readers: dict[str, list[Node]], uses: Counter[str]) -> Node | None:
    found = readers.get(node.outputs[0], [])
    return found[0] if len(found) == 1 and not uses[node.outputs[0]] else None
