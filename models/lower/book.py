"""What a walk keeps in mind: names, calls so far, and where torch has each tensor."""

import math
from collections import Counter, deque
from dataclasses import replace
from typing import Any

import numpy as np
from torch import fx, nn

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import Codec, IntArray, Port, Tiled
from bitwright.models.lower import layers, layouts, minifloat, requantise
from bitwright.models.lower.edges import Edge, Quantiser, Real
from bitwright.models.lower.lowered import Counterpart, identifier
from bitwright.models.lower.minifloat import Grid
from bitwright.models.lower.quantisers import activation_quantiser
from bitwright.models.lower.trace import Traced, tensor

_EXACT_BITS = 22  # of sums that are compared with torch: float32 has room for their fractions


class Book:
    """The names and records of one walk over a traced model, and its input."""

    def __init__(self, model: nn.Module, traced: Traced) -> None:
        self.model, self.traced = model, traced
        self.modules = dict(model.named_modules(remove_duplicate=False))
        self.counterparts: list[Counterpart] = []
        self.warnings: list[str] = []
        self.first: Edge | None = None
        self._real = Real()
        self._binary = False
        self._calls: Counter[int] = Counter()
        self._parameters: dict[int, str] = {}

    def port(self) -> Port:
        """The input's port."""
        assert self.first is not None
        scale, offset = self.first.scale[0], self.first.offset[0] - self._real.shift
        return Port(float(scale / self._real.gain), float(offset / scale), self._binary)

    def module(self, node: fx.Node) -> nn.Module | None:
        """The module that a node calls, None where it calls a function."""
        return self.modules[str(node.target)] if node.op == "call_module" else None

    def shape(self, node: fx.Node) -> tuple[int, ...]:
        """Of what a node makes in torch, without the batch."""
        made = tensor(self.traced.values[node])
        assert made is not None
        return tuple(made.shape[1:])

    def name(self, node: fx.Node) -> str:
        """The module's path as a name, with a number from its second call on; else the call's."""
        module = self.module(node)
        if module is None:
            return identifier(node.name)
        earlier = self._calls[id(module)]
        self._calls[id(module)] += 1
        return identifier(str(node.target)) + (f"_{earlier}" if earlier else "")

    def check_unshared(self, node: fx.Node, layer: Any) -> None:
        """Raises UnsupportedError for weights that an earlier call has used."""
        other = self._parameters.setdefault(id(layer.weight), str(node.target))
        if other != node.target:
            raise UnsupportedError(f"shares its weights with {other}: give each layer its own")
        if self._calls[id(layer)]:
            raise UnsupportedError("is called twice: make two layers, copy.deepcopy gives a second")

    def quantised(
        self, edge: Edge | Real, node: fx.Node, source: fx.Node, which: str, name: str
    ) -> Edge | Real:
        """The edge after one of the quantisers of the module that `node` calls, if it has that.

        which: the quantiser's attribute. name: of an activation's tensor; others have their own.
        source: the node whose tensor it reads.
        """
        what = {"input_quant": "an input quantiser", "output_quant": "an output quantiser"}
        proxy = getattr(self.module(node), which)
        dims = 1 + len(self.shape(source))
        quantiser = activation_quantiser(proxy, what.get(which, "an activation quantiser"), dims)
        if quantiser is None:
            return edge
        if which != "act_quant":
            earlier = self._calls[id(proxy)]
            name = identifier(f"{node.target}.{which}") + (f"_{earlier}" if earlier else "")
        if isinstance(quantiser, Grid):
            made = minifloat.quantise(None if isinstance(edge, Real) else edge, name, quantiser)
        elif isinstance(edge, Real):
            made = self._input(edge, quantiser, name, self._input_shape(node, source))
        else:
            made = requantise.quantise(edge, name, quantiser)
        self.record_module(made, f"{node.target}.{which}")
        return made

    def warn_of_lost_tile(self, made: Edge, codec: Codec, source: Edge) -> None:
        """Remember to say so where a layer's tile does not repeat in the order of its input."""
        op = made.node.op if made.node is not None else None
        if not isinstance(codec, Tiled) or isinstance(getattr(op, "weights", None), Tiled):
            return
        why, remedy = "its inputs have several scales", "quantise its input with one scale"
        if source.order is not None:
            why = "its tile ends inside an output, and it reads a flattened image"
            remedy = f"give it a compression that divides its {made.value.channels} outputs"
        self.warnings.append(
            f"layer {made.name} is tiled, but its weights are stored one by one, because {why}: "
            f"{remedy}"
        )

    def record_module(self, edge: Edge, path: str) -> None:
        """Remember that a module returns what an edge means."""
        module = self.model.get_submodule(path)
        self._record(edge, edge, path, self._calls[id(module)], "")
        self._calls[id(module)] += 1

    def record_call(
        self,
        edge: Edge,
        node: fx.Node,
        meant: Edge | None = None,
        multiplier: IntArray | None = None,
        bias: IntArray | None = None,
    ) -> None:
        """Remember that a call makes what an edge means, or `meant`, of which it has multiples."""
        self._record(edge, meant or edge, "", 0, node.name, multiplier, bias)

    def record_sums(self, edge: Edge, node: fx.Node) -> None:
        """Remember what a call makes, where float32 tells its integers apart."""
        if edge.quantised and edge.value.type.width <= _EXACT_BITS:
            self._record(edge, edge, "", 0, node.name)

    def _record(
        self,
        made: Edge,
        meant: Edge,
        path: str,
        call: int,
        node: str,
        multiplier: IntArray | None = None,
        bias: IntArray | None = None,
    ) -> None:
        scale = np.array([float(s) for s in meant.scale])
        offset = np.array([float(o) for o in meant.offset])
        ones = np.ones(len(scale), dtype=np.int64)
        self.counterparts.append(
            Counterpart(
                made.name,
                path,
                call,
                scale,
                offset,
                ones if multiplier is None else multiplier,
                0 * ones if bias is None else bias,
                node,
                meant.order,
            )
        )

    def _input(self, real: Real, quantiser: Quantiser, name: str, shape: tuple[int, ...]) -> Edge:
        """The graph's input, and a threshold where the quantiser clips inside its type."""
        if self.first is not None:
            raise UnsupportedError(
                f"quantises the network's input, as {self.first.name} does already: quantise it "
                "once, with a QuantIdentity whose result all branches read"
            )
        if real.gain <= 0:
            raise UnsupportedError(
                f"quantises {float(real.gain):g} * input + {float(real.shift):g}, which the "
                "network's port cannot say: do that to the data outside the network"
            )
        self._real, self._binary = real, quantiser.binary
        kind = quantiser.type
        whole = replace(quantiser, low=kind.min, high=kind.max)
        if whole == quantiser:
            self.first = requantise.input_edge(name, shape, quantiser)
            return self.first
        self.first = requantise.input_edge(f"{name}_input", shape, whole)
        return requantise.quantise(self.first, name, quantiser)

    def _input_shape(self, node: fx.Node, source: fx.Node) -> tuple[int, ...]:
        """The graph's: channels last, or flat where the model flattens before it does anything."""
        shape = self.shape(source)
        size = math.prod(shape)
        pending = deque([node])
        while pending:
            for user in pending.popleft().users:
                made = None if user.op == "output" else tensor(self.traced.values[user])
                if made is None and user.op != "output":
                    continue
                after = () if made is None else self.shape(user)
                if after == shape and self._is_elementwise(user):
                    pending.append(user)
                elif after != (size,):
                    return layouts.graph_shape(shape)
        return (size,)

    def _is_elementwise(self, node: fx.Node) -> bool:
        module = self.module(node) or layers.module_of(node)
        return isinstance(module, layers.ELEMENTWISE) or layers.passes(node, module)
