"""Names of the graph's tensors, made from those in an ONNX file: legal, short, and each once."""

import re
from collections.abc import Iterator
from itertools import count

from bitwright.models.errors import GraphError
from bitwright.models.graph.types import check_name
from bitwright.models.lower.lowered import identifier
from bitwright.models.lower.onnx.network import Node

_MOST = 40  # of 64: what is added to a name later fits behind it
_NOISE = re.compile(r"(act_quant|export_handler|activation_impl)(_\d+)?")  # Brevitas' own parts


class Names:
    """Gives every node a name that no other has, whatever the case of its letters."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, node: Node) -> str:
        """A node's name: the path of the module that it was exported from, where it has one.

        '/features.0/conv/Conv' is features_0_conv, and '/0/act_quant/export_handler/Quant' is l0.
        """
        parts = [part for part in (node.name or node.outputs[0]).split("/") if part]
        kind = re.compile(rf"{re.escape(node.op)}(_\d+)?(_output_\d+)?")
        kept = [part for part in parts if not (_NOISE.fullmatch(part) or kind.fullmatch(part))]
        return self.free(legal("/".join(kept), node.op))

    def spare(self, name: str) -> None:
        """Give back a name that no tensor got."""
        self._taken.discard(name.lower())

    def free(self, name: str) -> str:
        """The name, with a number behind it if it is taken."""
        for made in _numbered(name):
            if made.lower() not in self._taken:
                self._taken.add(made.lower())
                return made
        raise AssertionError("endless")


def legal(text: str, otherwise: str) -> str:
    """A text as an identifier, or `otherwise` as one where nothing is left of it."""
    name = identifier(text)[:_MOST].rstrip("_") or identifier(otherwise)[:_MOST].lower().rstrip("_")
    name = name or "node"
    try:
        check_name(name, "a tensor")
    except GraphError:  # a reserved word
        name = f"{name}_layer"
    return name


def _numbered(name: str) -> Iterator[str]:
    yield name
    for number in count(1):
        yield f"{name}_{number}"
