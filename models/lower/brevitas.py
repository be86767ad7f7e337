"""Lowering from Brevitas: a trained torch model becomes an integer graph that computes the same.

The model is traced (see `trace`) and walked once. Each call moves one `Edge` on: a linear layer
makes a `Dense`, a quantiser a `Threshold`, everything between them (weight scales, biases,
batch-norm, zero points) is exact arithmetic on the edge. What cannot be followed is refused by
name.
"""

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from brevitas import nn as qnn
from torch import fx, nn
from torch.nn import functional

from bitwright.models.errors import InputError, UnsupportedError
from bitwright.models.graph import (
    Dense,
    Graph,
    IntArray,
    IntType,
    Port,
    Threshold,
    Tiled,
    decode,
    optimise,
)
from bitwright.models.layers.bottleneck import BitwiseBottleneck
from bitwright.models.layers.rate_distortion import bottleneck_ops
from bitwright.models.lower import edges
from bitwright.models.lower.edges import Edge, Quantiser
from bitwright.models.lower.output import Output, common_scale
from bitwright.models.lower.quantisers import (
    activation_quantiser,
    linear_bias,
    linear_weights,
    rationals,
)
from bitwright.models.lower.trace import Traced, evaluating, tensor, trace_model

Floats = npt.NDArray[np.float64]

# Calls that may only move a tensor on unchanged or flattened, which the trial run shows.
_PASSING_MODULES = (nn.Identity, nn.Flatten, nn.Dropout, nn.AlphaDropout)
_PASSING_FUNCTIONS = (torch.flatten, torch.reshape, functional.dropout, torch.dropout)
_PASSING_METHODS = ("flatten", "view", "reshape", "contiguous", "detach", "clone", "float")


@dataclass(frozen=True, eq=False)
class Counterpart:
    """Where one tensor of the graph is found in torch, and what its reals mean in integers.

    integer = multiplier[c] * round((real - offset[c]) / scale[c]) + bias[c], in which the division
    is exact but for float32: its result is an integer of the layer that made the real.
    """

    tensor: str
    module: str
    """Path of the module that returns it; empty for the model itself."""
    call: int
    """Which of that module's calls in one forward."""
    scale: Floats
    offset: Floats
    multiplier: IntArray
    bias: IntArray


@dataclass(frozen=True, eq=False)
class Lowered:
    """A lowered model: its graph, ready for every engine, and what is needed to compare them."""

    graph: Graph
    input_shape: tuple[int, ...]
    """Of one example in torch; the graph's input is the same, flattened."""
    counterparts: tuple[Counterpart, ...]

    def flatten(self, x: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Real inputs, (batch, *input_shape), as the graph takes them: (batch, elements).

        Raises InputError for another shape.
        """
        real = np.asarray(x, dtype=np.float32)
        if real.shape[1:] != self.input_shape:
            raise InputError(
                f"inputs have shape {real.shape}: give (batch, "
                f"{', '.join(map(str, self.input_shape))})"
            )
        return real.reshape(len(real), -1)


def lower(
    model: nn.Module,
    input_shape: int | Sequence[int],
    *,
    name: str | None = None,
    labels: Sequence[str] = (),
    multiplier_bits: int | None = None,
) -> Lowered:
    """Turn a Brevitas model into an integer graph, already optimised.

    model: QuantIdentity, QuantLinear, QuantReLU, QuantHardTanh, BatchNorm1d, Dropout, Flatten and
        Identity, in nn.Sequential or a forward of your own, on float32 and the CPU. It is used in
        eval mode and left as it was.
    input_shape: of one example, without the batch.
    name: of the graph; the class's by default. labels: of the classes.
    multiplier_bits: width of the factors that bring an output with different scales per channel to
        one scale; see `output`. By default enough for no decision to change in practice.

    The integers of every quantised tensor equal those of the model wherever torch's float32 is
    exact, as with power-of-two scales; `compare` counts the others.

    Raises:
        UnsupportedError: a layer, quantiser or structure that integers cannot follow; the message
            names the module and the remedy.
        InputError: the model fails on `input_shape`.
        GraphError: a module's name cannot be one in hardware.
    """
    shape = (input_shape,) if isinstance(input_shape, int) else tuple(int(n) for n in input_shape)
    if not shape or any(n < 1 for n in shape):
        raise InputError(f"input shape {shape}: give the positive sizes of one example")
    title = identifier(name or type(model).__name__.lower())
    with evaluating(model):
        walk = _Walk(model, trace_model(model, shape), int(np.prod(shape)))
        output = walk.finish(multiplier_bits)
    assert walk.first is not None
    ports = {walk.first.name: walk.port(), output.edge.name: output.port}
    graph = Graph(
        title,
        (walk.first.value,),
        output.edge.nodes(),
        (output.edge.name,),
        ports,
        tuple(labels),
    )
    for message in equal_replicas(graph):
        warnings.warn(message, stacklevel=2)
    return Lowered(optimise(graph), shape, tuple(walk.counterparts))


def equal_replicas(graph: Graph) -> list[str]:
    """A sentence for each tiled layer whose repeated outputs nothing tells apart."""
    found = []
    for node in graph.nodes:
        if not isinstance(node.op, Dense) or not isinstance(node.op.weights, Tiled):
            continue
        columns = [decode(node.op.weights), node.op.bias[None, :]]
        for reader in graph.readers(node.name):
            if isinstance(reader.op, Threshold):
                after = (reader.op.thresholds.T, reader.op.base[None, :], reader.op.step[None, :])
                columns += after
        outputs = node.output.channels
        different = len(np.unique(np.concatenate(columns), axis=1).T)
        if different < outputs:
            found.append(
                f"layer {node.name} has {outputs} outputs but computes only {different} different "
                "ones, because its tile repeats and nothing per channel follows: put a "
                "BatchNorm1d or a bias behind it, or make it smaller"
            )
    return found


def identifier(path: str) -> str:
    """What a module's path becomes as a tensor's name: 'net.0' is net_0, and '0' is l0."""
    name = "_".join(re.findall(r"[A-Za-z0-9]+", path))
    return f"l{name}" if name[:1].isdigit() else name


class _Walk:
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

    def _quantise(self, edge: Edge | None, quantiser: Quantiser, name: str, path: str) -> Edge:
        made = (
            self._input(quantiser, name) if edge is None else edges.quantise(edge, name, quantiser)
        )
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
