"""The walk over a traced model: each call makes one `Edge` of others, or is refused by name.

A linear layer makes a `Dense` or a `Conv2d`, a quantiser a `Threshold`; everything between them
(weight scales, biases, batch-norm, zero points) is exact arithmetic on the edge.
"""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import torch
from brevitas import nn as qnn
from torch import fx, nn

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import ArgMax, IntType
from bitwright.models.layers.bottleneck import BitwiseBottleneck
from bitwright.models.layers.rate_distortion import bottleneck_ops
from bitwright.models.lower import arithmetic, joins, layers, layouts, linear, requantise, windows
from bitwright.models.lower.book import Book
from bitwright.models.lower.curves import quantised_curve
from bitwright.models.lower.edges import Edge, Quantiser, Real, append, check_unlimited
from bitwright.models.lower.output import Output, common_scale
from bitwright.models.lower.quantisers import function_quantiser, linear_bias, linear_weights
from bitwright.models.lower.trace import Traced, tensor, tensors_read
from bitwright.models.lower.truncation import truncation


class Walk:
    """One pass over a traced model, from its input to its output."""

    def __init__(self, model: nn.Module, traced: Traced, multiplier_bits: int | None) -> None:
        self._traced, self._multiplier_bits = traced, multiplier_bits
        self.book = Book(model, traced)
        self._edges: dict[fx.Node, Edge | Real] = {traced.input: Real()}
        for node in traced.calls:
            if node.op in ("placeholder", "output"):
                continue
            try:
                self._step(node)
            except UnsupportedError as error:
                raise UnsupportedError(f"{self._title(node)} {error}") from None

    def finish(self) -> Output:
        """The output, and what it is in torch."""
        node = self._traced.output
        edge = self._edges.get(node, Real())
        if isinstance(edge, Real):
            raise UnsupportedError("the model has no quantiser: put a QuantIdentity at its input")
        shape = self.book.shape(node)
        decides = edge.node is not None and isinstance(edge.node.op, ArgMax)
        if shape != (edge.value.size,) and not (decides and shape == ()):
            raise UnsupportedError(f"the output has shape (batch, {shape}): flatten it first")
        if edge.limited:
            raise UnsupportedError(
                f"the output {edge.name} is the result of an activation function that is not "
                "quantised: put a QuantIdentity behind it"
            )
        try:
            return self._scaled(node, edge)
        except UnsupportedError as error:
            raise UnsupportedError(f"the output {edge.name} {error}") from None

    def _step(self, node: fx.Node) -> None:
        module = self.book.module(node)
        value = self._traced.values[node]
        if tensor(value) is None:
            several = isinstance(value, tuple | list) and any(tensor(v) is not None for v in value)
            if module is not None or several:
                raise UnsupportedError(
                    "makes something else than one tensor: use a layer or function that makes one"
                )
            return  # sizes and shapes, on their way into a reshape
        if not node.users:
            raise UnsupportedError("makes a tensor that nothing reads: remove it")
        read = [arg for arg in tensors_read(node) if arg in self._edges]
        if not read:
            return  # a constant, which whatever reads it looks at
        module = module or layers.module_of(node)
        adds = isinstance(module, qnn.QuantEltwiseAdd) or layers.called(node, layers.ADDITIONS)
        if isinstance(module, qnn.QuantCat) or layers.called(node, layers.CONCATENATIONS):
            self._edges[node] = self._join(node, module, read, "dim")
        elif adds and len(read) > 1:
            self._edges[node] = self._join(node, module, read, "alpha")
        elif len(read) > 1:
            raise UnsupportedError(
                f"takes {len(read)} tensors: only additions and concatenations can"
            )
        else:
            self._edges[node] = self._move(node, module, read[0])

    def _join(
        self, node: fx.Node, module: nn.Module | None, read: Sequence[fx.Node], option: str
    ) -> Edge:
        """An addition or a concatenation."""
        name = self.book.name(node)
        edges = []
        for source in read:
            edge = self._edges[source]
            if module is not None:
                edge = self.book.quantised(edge, node, source, "input_quant", name)
            edges.append(_present(edge))
        given = layers.argument(node, option, 1)
        axes = 1 + len(self.book.shape(read[0]))
        if given not in ((1, 1 - axes) if option == "dim" else (1,)):
            raise UnsupportedError(
                f"has {option}={given}: concatenate channels (dim=1), and add without a factor"
            )
        made = joins.concat(edges, name) if option == "dim" else joins.add(edges, name)
        if module is not None:
            return _present(self.book.quantised(made, node, node, "output_quant", name))
        self.book.record_sums(made, node)
        return made

    def _move(self, node: fx.Node, module: nn.Module | None, source: fx.Node) -> Edge | Real:
        """What one tensor becomes."""
        edge = self._edges[source]
        if isinstance(module, layers.LINEAR):
            return self._linear(node, module, source, edge)
        if isinstance(module, layers.ACTIVATIONS):
            layers.check_forward(module, qnn.QuantIdentity)
            name = self.book.name(node)
            edge = self.book.quantised(edge, node, source, "input_quant", name)
            return self.book.quantised(edge, node, source, "act_quant", name)
        if layers.passes(node, module):
            self._check_unchanged(node, source)
            if isinstance(edge, Real) or self.book.shape(node) == self.book.shape(source):
                return edge
            return layouts.reshape(edge, self.book.name(node), self.book.shape(node))
        if isinstance(module, layers.CURVES):
            return self._curve(node, module, source, edge)
        if isinstance(module, BitwiseBottleneck):
            return self._bottleneck(node, module, _present(edge))
        if isinstance(module, layers.LIMITS):
            return requantise.limit(_present(edge), self.book.name(node), *layers.limits(module))
        if type(module) in (nn.BatchNorm1d, nn.BatchNorm2d):
            return self._batch_norm(module, source, _present(edge))
        if isinstance(module, windows.MAX_POOLS + windows.AVERAGE_POOLS):
            return self._pool(node, module, source, _present(edge))
        if layers.called(node, layers.DECISIONS):
            return self._decide(node, source, _present(edge))
        if layers.called(node, arithmetic.OPERATORS):
            given = [self._traced.values[a] if isinstance(a, fx.Node) else a for a in node.args]
            return arithmetic.combined(node, source, given, self.book.shape(source), edge)
        if layers.called(node, layers.CONFIDENCES):
            module = nn.Softmax()
        raise UnsupportedError(layers.remedy(module))

    def _linear(self, node: fx.Node, layer: Any, source: fx.Node, edge: Edge | Real) -> Edge:
        kind = next(one for one in layers.LINEAR if isinstance(layer, one))
        layers.check_forward(layer, kind)
        shape = self.book.shape(source)
        if kind is qnn.QuantLinear:
            _check_flat(shape)
        self.book.check_unshared(node, layer)
        name = self.book.name(node)
        given = self._traced.values[source]
        edge = self.book.quantised(edge, node, source, "input_quant", name)
        if layer.input_quant.is_quant_enabled:
            given = layer.input_quant(given)
        if isinstance(edge, Real) or not edge.quantised:
            raise UnsupportedError(
                "reads a tensor that is not quantised: put a QuantIdentity or another quantiser "
                "directly in front of it, or give it input_quant=…"
            )
        weights = linear_weights(layer, given)
        bias = linear_bias(layer, given, weights)
        codec, scale = weights.codec, weights.scale
        if kind is qnn.QuantLinear:
            made = linear.dense(edge, name, codec, scale, bias)
        else:
            window = windows.conv_window(layer, shape)
            made = linear.conv(edge, name, codec, scale, bias, window, layer.groups)
        self.book.warn_of_lost_tile(made, codec, edge)
        return _present(self.book.quantised(made, node, node, "output_quant", name))

    def _curve(self, node: fx.Node, layer: Any, source: fx.Node, edge: Edge | Real) -> Edge:
        layers.check_forward(layer, qnn.QuantIdentity)
        name = self.book.name(node)
        edge = self.book.quantised(edge, node, source, "input_quant", name)
        to = function_quantiser(layer.act_quant, "an activation quantiser")

        def curve(x: torch.Tensor) -> torch.Tensor:
            made = tensor(layer.act_quant(x))
            assert made is not None
            return made

        rises = not isinstance(layer, qnn.QuantHardSwish)
        made = quantised_curve(_present(edge), name, curve, to, rises)
        self.book.record_module(made, f"{node.target}.act_quant")
        return made

    def _bottleneck(self, node: fx.Node, layer: BitwiseBottleneck, edge: Edge) -> Edge:
        """Source integers, the bits that are kept, and their values; only what changes anything."""
        name, quantiser = self.book.name(node), layer.quantiser
        step, zero = Fraction(quantiser.scale), Fraction(0)
        top = (1 << quantiser.source_bits) - 1
        source = Quantiser((step,), zero, zero, 0, top, "half_even")
        made = requantise.quantise(edge, f"{name}_source", source)
        planes, table = bottleneck_ops(quantiser)
        if table.table[0].tolist() != list(range(top + 1)):
            kept = IntType(len(planes.planes), signed=False)
            made = append(made, f"{name}_planes", planes, kept)
            made = append(made, name, table)
        channels = made.value.channels
        made = replace(made, scale=(Fraction(quantiser.unit),) * channels, quantised=True)
        self.book.record_call(made, node)
        return made

    def _batch_norm(self, layer: Any, source: fx.Node, edge: Edge) -> Edge:
        shape = self.book.shape(source)
        if type(layer) is nn.BatchNorm1d and len(shape) > 1 and edge.value.shape[-1] != shape[0]:
            _check_flat(shape)
        factor, offset = layers.batch_norm(layer)
        return edge.affine(edge.in_order(factor), edge.in_order(offset))

    def _pool(self, node: fx.Node, layer: Any, source: fx.Node, edge: Edge) -> Edge:
        name, made = self.book.name(node), self.book.shape(node)
        shape = self.book.shape(source)
        whole = (*made, *[1] * (len(shape) - len(made)))  # a mean drops its axes
        window = windows.pool_window(layer, shape, whole)
        if isinstance(layer, windows.MAX_POOLS):
            pooled = joins.max_pool(edge, name, window)
        else:
            pooled = joins.average_pool(edge, name, window, windows.divisor(layer, window))
        if isinstance(layer, windows.TRUNCATIONS):
            quantiser = truncation(layer, self._traced.values[source], pooled)
            if quantiser is not None:
                pooled = requantise.quantise(pooled, f"{name}_trunc_quant", quantiser)
                self.book.record_module(pooled, f"{node.target}.trunc_quant")
                return pooled
        if whole != made:
            pooled = layouts.reshape(pooled, f"{name}_flat", made)
        self.book.record_sums(pooled, node)
        return pooled

    def _decide(self, node: fx.Node, source: fx.Node, edge: Edge) -> Edge:
        """The number of the largest output, behind what brings all of them to one scale."""
        _check_flat(self.book.shape(source))
        if layers.argument(node, "dim", None) not in (1, -1):
            raise UnsupportedError("decides over the whole batch: give argmax dim=1")
        scores = self._scaled(source, edge).edge
        made = append(scores, self.book.name(node), ArgMax())
        return replace(
            made, scale=(Fraction(1),), offset=(Fraction(0),), quantised=False, order=None
        )

    def _scaled(self, node: fx.Node, edge: Edge) -> Output:
        """What a node makes, brought to one scale, and recorded."""
        check_unlimited(edge)
        if edge.order is not None:
            raise UnsupportedError(
                "is a flattened image, whose elements have another order in hardware: end with a "
                "pool over the whole image, or a QuantLinear"
            )
        made = common_scale(edge, self._multiplier_bits)
        self.book.record_call(made.edge, node, edge, made.multiplier, made.bias)
        return made

    def _check_unchanged(self, node: fx.Node, source: fx.Node) -> None:
        before, after = tensor(self._traced.values[source]), tensor(self._traced.values[node])
        assert before is not None and after is not None
        if len(before) != len(after) or not torch.equal(before.flatten(), after.flatten()):
            raise UnsupportedError(
                f"turns shape {tuple(before.shape)} into {tuple(after.shape)} or changes values: "
                "only reshapes of each row, and dropout in eval mode, can be followed"
            )

    def _title(self, node: fx.Node) -> str:
        if node.op == "call_module":
            return f"{node.target} ({type(self.book.modules[str(node.target)]).__name__})"
        if node.op == "get_attr":
            return f"the parameter {node.target}, used outside a layer,"
        target = node.target if isinstance(node.target, str) else node.target.__name__
        return f"the call of {target} in the model's forward"


def _present(edge: Edge | Real) -> Edge:
    if isinstance(edge, Real):
        raise UnsupportedError("reads the real input: put a QuantIdentity in front of it")
    return edge


def _check_flat(shape: tuple[int, ...]) -> None:
    if len(shape) != 1:
        raise UnsupportedError(
            f"reads a tensor of shape (batch, {', '.join(map(str, shape))}): put "
            "torch.nn.Flatten in front of it"
        )
