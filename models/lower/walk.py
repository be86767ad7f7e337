"""The walk over a traced model: each call moves one `Edge` on, or is refused by name.

A linear layer makes a `Dense`, a quantiser a `Threshold`; everything between them (weight scales,
biases, batch-norm, zero points) is exact arithmetic on the edge.
"""

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from brevitas import nn as qnn
from torch import fx, nn
from torch.nn import functional

from bitwright.models.errors import UnsupportedError
from bitwright.models.graph import IntArray, IntType, Port
from bitwright.models.layers.bottleneck import BitwiseBottleneck
from bitwright.models.layers.rate_distortion import bottleneck_ops
from bitwright.models.lower import edges, minifloat
from bitwright.models.lower.edges import Edge, Quantiser
from bitwright.models.lower.lowered import Counterpart, identifier
from bitwright.models.lower.minifloat import Grid
from bitwright.models.lower.output import Output, common_scale
from bitwright.models.lower.quantisers import activation_quantiser, linear_bias, linear_weights
from bitwright.models.lower.readings import rationals
from bitwright.models.lower.trace import Traced, tensor

# Calls that may only move a tensor on unchanged or flattened, which the trial run shows.
_PASSING_MODULES = (nn.Identity, nn.Flatten, nn.Dropout, nn.AlphaDropout)
_PASSING_FUNCTIONS = (torch.flatten, torch.reshape, functional.dropout, torch.dropout)
_PASSING_METHODS = ("flatten", "view", "reshape", "contiguous", "detach", "clone", "float")


class Walk:
    """One pass over a traced model, from its input to its output."""

    def __init__(self, model: nn.Module, traced: Traced, size: int) -> None:
        self._model, self._traced, self._size = model, traced, size
        self._modules = dict(model.named_modules(remove_duplicate=False))
        self._calls: Counter[int] = Counter()
        self._parameters: dict[int, str] = {}
        self.first: Edge | None = None
        self.counterparts: list[Counterpart] = []
        # None stands for the real input, which no quantiser has seen yet.
        self._edges: dict[fx.Node, Edge | None] = {traced.input: None}
        for node in traced.calls:
            if node.op in ("placeholder", "output"):
                continue
            try:
                self._step(node)
            except UnsupportedError as error:
                raise UnsupportedError(f"{self._title(node)} {error}") from None

    def finish(self, multiplier_bits: int | None) -> Output:
        """The output, and what it is in torch."""
        node = self._traced.output
        edge = self._edges.get(node)
        if edge is None:
            raise UnsupportedError("the model has no quantiser: put a QuantIdentity at its input")
        if (shape := self._shape(node)) != (edge.value.channels,):
            raise UnsupportedError(f"the output has shape (batch, {shape}): flatten it first")
        made = common_scale(edge, multiplier_bits)
        self._record(made.edge, edge, "", 0, made.multiplier, made.bias)
        return made

    def port(self) -> Port:
        """The input's port."""
        assert self.first is not None
        scale, offset = self.first.scale[0], self.first.offset[0]
        return Port(float(scale), float(offset / scale))

    def _step(self, node: fx.Node) -> None:
        made = tensor(self._traced.values[node])
        if made is None:  # sizes and shapes, on their way into a reshape
            return
        if not node.users:
            raise UnsupportedError("makes a tensor that nothing reads: remove it")
        sources = [arg for arg in node.all_input_nodes if arg in self._edges]
        module = self._modules[str(node.target)] if node.op == "call_module" else None
        if len(sources) != 1:
            raise UnsupportedError(
                f"takes {len(sources)} tensors: only chains of layers can be lowered"
            )
        source = sources[0]
        edge = self._edges[source]
        if isinstance(module, qnn.QuantLinear):
            edge = self._linear(node, module, source, edge)
        elif isinstance(module, (qnn.QuantIdentity, qnn.QuantReLU, qnn.QuantHardTanh)):
            edge = self._activation(node, module, edge)
        elif isinstance(module, BitwiseBottleneck):
            edge = self._bottleneck(node, module, edge)
        elif type(module) is nn.BatchNorm1d:
            edge = self._batch_norm(module, source, edge)
        elif self._passes(node, module):
            self._check_unchanged(node, source)
        else:
            raise UnsupportedError(_remedy(module))
        self._edges[node] = edge

    def _linear(
        self, node: fx.Node, layer: qnn.QuantLinear, source: fx.Node, edge: Edge | None
    ) -> Edge:
        _check_forward(layer, qnn.QuantLinear)
        self._check_flat(source)
        self._check_unshared(node, layer)
        path, name = str(node.target), self._name(node, layer)
        given = self._traced.values[source]
        if (quantiser := activation_quantiser(layer.input_quant, "an input quantiser")) is not None:
            edge = self._quantise(edge, quantiser, f"{name}_input_quant", f"{path}.input_quant")
            given = layer.input_quant(given)
        if edge is None or not edge.quantised:
            raise UnsupportedError(
                "reads a tensor that is not quantised: put a QuantIdentity or another quantiser "
                "directly in front of it, or give it input_quant=…"
            )
        weights = linear_weights(layer, given)
        bias = linear_bias(layer, given, weights)
        edge = edges.dense(edge, name, weights.codec, weights.scale, bias)
        quantiser = activation_quantiser(layer.output_quant, "an output quantiser")
        if quantiser is not None:
            edge = self._quantise(edge, quantiser, f"{name}_output_quant", f"{path}.output_quant")
        return edge

    def _activation(self, node: fx.Node, layer: Any, edge: Edge | None) -> Edge | None:
        _check_forward(layer, qnn.QuantIdentity)
        path, name = str(node.target), self._name(node, layer)
        before = activation_quantiser(layer.input_quant, "an input quantiser")
        if before is not None:
            edge = self._quantise(edge, before, f"{name}_input_quant", f"{path}.input_quant")
        quantiser = activation_quantiser(layer.act_quant, "an activation quantiser")
        if quantiser is not None:
            edge = self._quantise(edge, quantiser, name, f"{path}.act_quant")
        return edge

    def _bottleneck(self, node: fx.Node, layer: BitwiseBottleneck, edge: Edge | None) -> Edge:
        """Source integers, the bits that are kept, and their values; only what changes anything."""
        call, name, quantiser = self._calls[id(layer)], self._name(node, layer), layer.quantiser
        if edge is None:
            raise UnsupportedError("reads the real input: put a QuantIdentity in front of it")
        step, zero = Fraction(quantiser.scale), Fraction(0)
        top = (1 << quantiser.source_bits) - 1
        source = Quantiser((step,), zero, zero, 0, top, "half_even")
        made = edges.quantise(edge, f"{name}_source", source)
        planes, table = bottleneck_ops(quantiser)
        if table.table[0].tolist() != list(range(top + 1)):
            kept = IntType(len(planes.planes), signed=False)
            made = edges.append(made, f"{name}_planes", planes, kept)
            made = edges.append(made, name, table)
        channels = made.value.channels
        made = replace(made, scale=(Fraction(quantiser.unit),) * channels, quantised=True)
        ones = np.ones(channels, dtype=np.int64)
        self._record(made, made, str(node.target), call, ones, 0 * ones)
        return made

    def _batch_norm(self, layer: nn.BatchNorm1d, source: fx.Node, edge: Edge | None) -> Edge:
        if edge is None:
            raise UnsupportedError("reads the real input: put a QuantIdentity in front of it")
        self._check_flat(source)
        if layer.running_mean is None or layer.running_var is None:
            raise UnsupportedError(
                "has no running statistics: train it with track_running_stats=True"
            )
        mean = rationals(layer.running_mean, "running mean")
        variance = [float(v) + layer.eps for v in rationals(layer.running_var, "running variance")]
        if min(variance) <= 0:
            raise UnsupportedError(
                f"has a running variance of {min(variance) - layer.eps:g}: train it again"
            )
        ones, zeros = torch.ones(len(mean)), torch.zeros(len(mean))
        weight = rationals(ones if layer.weight is None else layer.weight, "weight")
        bias = rationals(zeros if layer.bias is None else layer.bias, "bias")
        factor = [Fraction(float(w) / v**0.5) for w, v in zip(weight, variance, strict=True)]
        return edge.affine(factor, [b - m * f for b, m, f in zip(bias, mean, factor, strict=True)])

    def _quantise(
        self, edge: Edge | None, quantiser: Quantiser | Grid, name: str, path: str
    ) -> Edge:
        if isinstance(quantiser, Grid):
            made = minifloat.quantise(edge, name, quantiser)
        elif edge is None:
            made = self._input(quantiser, name)
        else:
            made = edges.quantise(edge, name, quantiser)
        proxy = self._model.get_submodule(path)
        ones = np.ones(made.value.channels, dtype=np.int64)
        self._record(made, made, path, self._calls[id(proxy)], ones, 0 * ones)
        self._calls[id(proxy)] += 1
        return made

    def _input(self, quantiser: Quantiser, name: str) -> Edge:
        """The graph's input, and a threshold where the quantiser clips inside its type."""
        kind = quantiser.type
        whole = replace(quantiser, low=kind.min, high=kind.max)
        if whole == quantiser:
            self.first = edges.input_edge(name, self._size, quantiser)
            return self.first
        self.first = edges.input_edge(f"{name}_input", self._size, whole)
        return edges.quantise(self.first, name, quantiser)

    def _record(
        self, made: Edge, meant: Edge, path: str, call: int, multiplier: IntArray, bias: IntArray
    ) -> None:
        scale = np.array([float(s) for s in meant.scale])
        offset = np.array([float(o) for o in meant.offset])
        self.counterparts.append(
            Counterpart(made.name, path, call, scale, offset, multiplier, bias)
        )

    def _name(self, node: fx.Node, module: nn.Module) -> str:
        """The path as a name, with a number from the second call of the same module on."""
        earlier = self._calls[id(module)]
        self._calls[id(module)] += 1
        return identifier(str(node.target)) + (f"_{earlier}" if earlier else "")

    def _check_unshared(self, node: fx.Node, layer: qnn.QuantLinear) -> None:
        other = self._parameters.setdefault(id(layer.weight), str(node.target))
        if other != node.target:
            raise UnsupportedError(f"shares its weights with {other}: give each layer its own")
        if self._calls[id(layer)]:
            raise UnsupportedError("is called twice: make two layers, copy.deepcopy gives a second")

    def _shape(self, node: fx.Node) -> tuple[int, ...]:
        made = tensor(self._traced.values[node])
        assert made is not None
        return tuple(made.shape[1:])

    def _check_flat(self, source: fx.Node) -> None:
        if len(shape := self._shape(source)) != 1:
            raise UnsupportedError(
                f"reads a tensor of shape (batch, {', '.join(map(str, shape))}): put "
                "torch.nn.Flatten in front of it"
            )

    def _passes(self, node: fx.Node, module: nn.Module | None) -> bool:
        if module is not None:
            return isinstance(module, _PASSING_MODULES)
        if node.op == "call_function":
            return node.target in _PASSING_FUNCTIONS
        return node.op == "call_method" and node.target in _PASSING_METHODS

    def _check_unchanged(self, node: fx.Node, source: fx.Node) -> None:
        before, after = tensor(self._traced.values[source]), tensor(self._traced.values[node])
        assert before is not None and after is not None
        if len(before) != len(after) or not torch.equal(before.flatten(), after.flatten()):
            raise UnsupportedError(
                f"turns shape {tuple(before.shape)} into {tuple(after.shape)} or changes values: "
                "only flattening, and dropout in eval mode, can be followed"
            )

    def _title(self, node: fx.Node) -> str:
        if node.op == "call_module":
            return f"{node.target} ({type(self._modules[str(node.target)]).__name__})"
        if node.op == "get_attr":
            return f"the parameter {node.target}, used outside a layer,"
        target = node.target if isinstance(node.target, str) else node.target.__name__
        return f"the call of {target} in the model's forward"


def _check_forward(layer: nn.Module, expected: type[nn.Module]) -> None:
    for method in ("forward", "forward_impl", "inner_forward_impl"):
        if getattr(type(layer), method, None) is not getattr(expected, method, None):
            raise UnsupportedError(
                f"has a {method} of its own: use {expected.__name__} as Brevitas defines it"
            )


def _remedy(module: nn.Module | None) -> str:
    match module:
        case nn.Linear():
            return "is not quantised: use brevitas.nn.QuantLinear"
        case nn.ReLU():
            return "is not quantised: use brevitas.nn.QuantReLU"
        case nn.Hardtanh():
            return "is not quantised: use brevitas.nn.QuantHardTanh"
        case _:
            return (
                "is not supported: use QuantIdentity, QuantLinear, QuantReLU, QuantHardTanh, "
                "BatchNorm1d, Dropout, Flatten and Identity"
            )
