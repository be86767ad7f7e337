"""A torch model as a list of calls: traced symbolically, and run once to see what flows through.

Brevitas and torch layers are leaves. The trial run on a small batch shows every intermediate value
(Brevitas' quantised tensors included), so that the lowering can look instead of assume: shapes, the
scale of a layer's quantised input, whether a reshape only flattens.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from brevitas import nn as qnn
from brevitas.nn.mixin.base import QuantLayerMixin
from torch import Tensor, fx, nn
from torch.fx.node import map_arg

from bitwright.models.errors import InputError, UnsupportedError
from bitwright.models.layers.bottleneck import BitwiseBottleneck

_ROWS = 3
_RECURRENT = (nn.RNNBase, nn.RNNCellBase, qnn.QuantRNN, qnn.QuantLSTM)
_ATTENTION = (nn.MultiheadAttention, qnn.QuantMultiheadAttention)


@dataclass(frozen=True, eq=False)
class Traced:
    """A model's calls in order, and the value that each made in the trial run."""

    calls: tuple[fx.Node, ...]
    values: dict[fx.Node, Any]

    @property
    def input(self) -> fx.Node:
        """The only placeholder."""
        return next(node for node in self.calls if node.op == "placeholder")

    @property
    def output(self) -> fx.Node:
        """The call whose value the model returns."""
        node = next(node for node in self.calls if node.op == "output").args[0]
        assert isinstance(node, fx.Node)
        return node


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in eval mode and without gradients, every module's mode restored afterwards.

    Brevitas' warnings about what its quantised tensors cannot track are hushed: only their values
    and scales are used here.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module=r"brevitas\.")
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def trace_model(model: nn.Module, input_shape: tuple[int, ...]) -> Traced:
    """Trace a model (in eval mode) and run it on a few rows of shape `input_shape`.

    Raises:
        UnsupportedError: control flow that depends on data, several inputs or outputs, parameters
            that are not float32 on the CPU.
        InputError: the model's own forward fails, most often because of the shape.
    """
    graph = trace_calls(model)
    return Traced(tuple(graph.nodes), _run(model, graph, input_shape))


def trace_calls(model: nn.Module) -> fx.Graph:
    """The calls of a model (in eval mode). Raises UnsupportedError as `trace_model`."""
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise UnsupportedError(f"{name} is {tensor.dtype}: call model.float() first")
        if tensor.device.type != "cpu":
            raise UnsupportedError(f"{name} is on {tensor.device}: call model.cpu() first")
    for path, module in model.named_modules():
        for kinds, what in ((_RECURRENT, "recurrent"), (_ATTENTION, "attention")):
            if isinstance(module, kinds):
                raise UnsupportedError(
                    f"{path or 'the model'} ({type(module).__name__}) is {what}, not supported: "
                    "only feed-forward networks can be lowered"
                )
        if path and not all(path.split(".")):
            raise UnsupportedError(
                f"a layer's path is {path!r}, in which torch cannot find it again: name layers "
                "without dots"
            )
    tracer = _Tracer()
    if tracer.is_leaf_module(model, ""):
        raise UnsupportedError(
            f"the model is a single layer, {type(model).__name__}: wrap it in torch.nn.Sequential"
        )
    try:
        graph = tracer.trace(model)
    except Exception as error:  # noqa: BLE001 - the tracer runs the user's code
        raise UnsupportedError(
            f"{type(model).__name__} cannot be traced by torch.fx ({_first_line(error)}): its "
            "forward must be plain calls, without control flow that depends on the data"
        ) from None
    _check_ends(model, graph)
    return graph


class _Proxy(fx.Proxy):
    """Knows what `trace_calls` has checked, for forwards that make tensors of their own."""

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32


class _Tracer(fx.Tracer):
    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        ours = isinstance(m, (QuantLayerMixin, BitwiseBottleneck))
        return ours or super().is_leaf_module(m, module_qualified_name)


def _check_ends(model: nn.Module, graph: fx.Graph) -> None:
    inputs = [node.name for node in graph.nodes if node.op == "placeholder"]
    if len(inputs) != 1:
        raise UnsupportedError(
            f"{type(model).__name__} takes {len(inputs)} inputs ({', '.join(inputs)}): only models "
            "with one input can be lowered"
        )
    result = next(node for node in graph.nodes if node.op == "output").args[0]
    if not isinstance(result, fx.Node):
        count = len(result) if isinstance(result, (tuple, list, dict)) else 0
        raise UnsupportedError(
            f"{type(model).__name__} returns {count} outputs in a {type(result).__name__}: only "
            "models that return one tensor can be lowered"
        )


def _run(model: nn.Module, graph: fx.Graph, input_shape: tuple[int, ...]) -> dict[fx.Node, Any]:
    values: dict[fx.Node, Any] = {}
    calls: list[fx.Node] = []

    class Recorder(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            calls.append(n)
            values[n] = super().run_node(n)
            return values[n]

    size = _ROWS * int(torch.tensor(input_shape).prod())
    rows = torch.linspace(-1, 1, size).reshape(_ROWS, *input_shape)
    try:
        Recorder(fx.GraphModule(model, graph), garbage_collect_values=False).run(rows)
    except Exception as error:  # noqa: BLE001 - the layers are the user's
        raise InputError(
            f"{type(model).__name__} fails at {calls[-1].target} on a batch of {_ROWS} examples of "
            f"shape {tuple(input_shape)} ({_first_line(error)}): give the shape of one example, "
            "without the batch, or correct the model"
        ) from None
    return values


def tensor(value: object) -> Tensor | None:
    """The plain tensor behind a value of the trial run; None for sizes and other numbers."""
    inner = getattr(value, "value", value)
    return inner if isinstance(inner, Tensor) else None


def tensors_read(node: fx.Node) -> list[fx.Node]:
    """The calls whose values a call reads, in order and as often as it does."""
    read: list[fx.Node] = []

    def keep(arg: fx.Node) -> fx.Node:
        read.append(arg)
        return arg

    map_arg((node.args, node.kwargs), keep)
    return read


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
