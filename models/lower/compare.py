"""A model against its lowered graph: how many integers of each tensor differ, and decisions."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import fx, nn

from bitwright.models.errors import InputError
from bitwright.models.graph import ArgMax, Graph, IntArray, dequantise, quantise, trace
from bitwright.models.lower.layouts import channels_last
from bitwright.models.lower.lowered import Counterpart, Lowered
from bitwright.models.lower.trace import evaluating, tensor, trace_calls

_ROWS = 4096
_ELEMENTS = 1 << 24  # of all tensors of the rows that are compared at once: 128 MiB in int64
Reals = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class TensorComparison:
    """One tensor: integers compared, and how many of them differ."""

    name: str
    compared: int
    differing: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Torch against the reference, tensor by tensor, over a batch."""

    tensors: tuple[TensorComparison, ...]
    """Every quantised activation, pool, addition and concatenation, and the output, in order."""
    decisions: int
    differing_decisions: int
    """Rows whose largest output (of one: its sign) is at another place.

    Where several integers are the largest, float32 makes one of their reals a little larger: any
    of them is right, and none is a difference.
    """
    largest_output_error: float
    """Between torch's outputs and the reals that the graph's mean, in real units."""
    accuracy_torch: float | None
    accuracy_reference: float | None
    """Shares of right decisions; None without labels."""

    @property
    def compared(self) -> int:
        """Integers compared, over all tensors."""
        return sum(one.compared for one in self.tensors)

    @property
    def differing(self) -> int:
        """Integers that differ, over all tensors."""
        return sum(one.differing for one in self.tensors)


def compare(
    model: nn.Module, lowered: Lowered, x: npt.ArrayLike, y: npt.ArrayLike | None = None
) -> Comparison:
    """Run the model itself and the numpy reference on the same inputs and compare their integers.

    x: reals, (batch, *input shape). y: the right classes, (batch,).

    Torch's quantised activations are taken where Brevitas makes them, its outputs from the model.
    An output real is turned into an integer exactly as the graph means it: it is the layer's
    integer sum, a scale and an offset, and float32 is far finer than one sum. What the scale and
    offset themselves were rounded by shows in `largest_output_error`.

    Raises InputError for shapes that disagree, NaN, no rows, or another model than was lowered.
    """
    given = np.asarray(x, dtype=np.float32)
    real = lowered.arrange(given)
    if not len(real):
        raise InputError("there are no rows to compare: give at least one")
    if y is not None and np.shape(y) != (len(real),):
        raise InputError(f"{len(real)} inputs with labels of shape {np.shape(y)}: give one each")
    graph, places = lowered.graph, lowered.counterparts
    differing: Counter[int] = Counter()
    compared: Counter[int] = Counter()
    theirs, ours, wrong = [], [], 0
    elements = sum(value.size for value in graph.values.values())
    count = max(1, min(_ROWS, _ELEMENTS // elements))
    with evaluating(model), _recording(model, places) as run:
        for start in range(0, len(real), count):
            rows = slice(start, start + count)
            integers = trace(graph, quantise(graph, real[rows]))
            reals = run(torch.from_numpy(given[rows]))
            for i, (place, found) in enumerate(zip(places, reals, strict=True)):
                expected = integers[place.tensor]
                made = _integers(place, channels_last(found, expected.shape[1:], place.order))
                differing[i] += int((made != expected).sum())
                compared[i] += expected.size
            if decider := _decider(graph):
                # Where several scores are the largest, any of them is right.
                wrong += (missed := _missed(integers[decider], made))
                differing[i] += missed - int((made != expected).sum())
            theirs.append(channels_last(found, expected.shape[1:]).astype(np.float64))
            ours.append(dequantise(graph, integers[graph.output.name]))
    torch_out, reference_out = np.concatenate(theirs), np.concatenate(ours)
    torch_says, reference_says = (decide(graph, out) for out in (torch_out, reference_out))
    return Comparison(
        tensors=tuple(
            TensorComparison(place.tensor, compared[i], differing[i])
            for i, place in enumerate(places)
        ),
        decisions=len(real),
        differing_decisions=wrong if _decider(graph) else _differing(torch_out, reference_out),
        largest_output_error=float(np.abs(torch_out - reference_out).max()),
        accuracy_torch=None if y is None else float((torch_says == np.asarray(y)).mean()),
        accuracy_reference=None if y is None else float((reference_says == np.asarray(y)).mean()),
    )


@contextmanager
def _recording(
    model: nn.Module, places: tuple[Counterpart, ...]
) -> Iterator[Callable[[torch.Tensor], list[Reals]]]:
    """A function that runs the model and returns the reals of every place, (batch, …)."""
    calls: dict[int, list[Reals]] = {}
    named: dict[str, Reals] = {}
    wanted = {place.node for place in places if place.node}
    try:
        modules = [model.get_submodule(place.module) for place in places]
    except AttributeError as error:
        raise InputError(f"this is not the model that was lowered: {error}") from None
    graph = trace_calls(model)
    if missing := wanted - {node.name for node in graph.nodes}:
        raise InputError(
            f"this is not the model that was lowered: its forward has no {', '.join(missing)}"
        )

    class Recorder(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            result = super().run_node(n)
            if n.name in wanted:
                named[n.name] = _array(result)
            return result

    def record(module: nn.Module, _: Any, result: object) -> None:
        calls.setdefault(id(module), []).append(_array(result))

    def run(x: torch.Tensor) -> list[Reals]:
        calls.clear()
        Recorder(fx.GraphModule(model, graph)).run(x)
        return [
            named[place.node] if place.node else calls[id(m)][place.call]
            for m, place in zip(modules, places, strict=True)
        ]

    hooked = {id(m): m for m, place in zip(modules, places, strict=True) if not place.node}
    hooks = [module.register_forward_hook(record) for module in hooked.values()]
    try:
        yield run
    finally:
        for hook in hooks:
            hook.remove()


def _array(result: object) -> Reals:
    """A copy, because a layer behind may work in place."""
    made = tensor(result)
    assert made is not None
    copied: Reals = made.numpy().copy()
    return copied


def _integers(place: Counterpart, real: Reals) -> IntArray:
    """What torch's reals, channels last, are in the graph's integers; see `Counterpart`."""
    scale = np.where(place.scale == 0, 1, place.scale)  # constant channels: multiplier 0
    steps: Reals = np.rint((real.astype(np.float64) - place.offset) / scale)
    steps = np.where(np.isfinite(steps), steps, np.iinfo(np.int32).min)
    made: IntArray = steps.astype(np.int64) * place.multiplier + place.bias
    return made


def _decider(graph: Graph) -> str | None:
    """The tensor whose largest channel the output names, where it does."""
    for node in graph.nodes:
        if node.name == graph.output.name and isinstance(node.op, ArgMax):
            return node.inputs[0]
    return None


def _missed(scores: IntArray, chosen: IntArray) -> int:
    """Rows in which the chosen channel's score is not the largest."""
    best = np.take_along_axis(scores, chosen.clip(0, scores.shape[1] - 1), axis=1)
    return int((best[:, 0] < scores.max(axis=1)).sum())


def decide(graph: Graph, outputs: Reals) -> IntArray:
    """The class that each row of outputs, (batch, channels), decides for; see `Comparison`."""
    if _decider(graph):
        return outputs[:, 0].astype(np.int64)
    return _largest(outputs)


def _largest(outputs: Reals) -> IntArray:
    if outputs.shape[1] == 1:
        return (outputs[:, 0] >= 0).astype(np.int64)
    made: IntArray = outputs.argmax(axis=1)
    return made


def _differing(theirs: Reals, ours: Reals) -> int:
    """Rows in which what one decides is not among the largest of the other."""
    a, b = _largest(theirs), _largest(ours)
    if theirs.shape[1] == 1:
        return int((a != b).sum())
    rows = np.arange(len(a))
    tied = (ours[rows, a] == ours.max(axis=1)) | (theirs[rows, b] == theirs.max(axis=1))
    return int((~tied).sum())
