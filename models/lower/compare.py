"""A model against its lowered graph: how many integers of each tensor differ, and decisions."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bitwright.models.errors import InputError
from bitwright.models.graph import IntArray, dequantise, quantise, trace
from bitwright.models.lower.lowered import Counterpart, Lowered
from bitwright.models.lower.trace import evaluating, tensor

_ROWS = 4096
Floats = npt.NDArray[np.float64]


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
    """Every quantised activation, and the output, in order."""
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
    real = lowered.flatten(x)
    if not len(real):
        raise InputError("there are no rows to compare: give at least one")
    if y is not None and np.shape(y) != (len(real),):
        raise InputError(f"{len(real)} inputs with labels of shape {np.shape(y)}: give one each")
    differing: Counter[int] = Counter()
    compared: Counter[int] = Counter()
    theirs, ours = [], []
    with evaluating(model), _recording(model, lowered.counterparts) as run:
        for start in range(0, len(real), _ROWS):
            rows = real[start : start + _ROWS]
            integers = trace(lowered.graph, quantise(lowered.graph, rows))
            reals = run(torch.from_numpy(rows.reshape(-1, *lowered.input_shape)))
            for i, (place, found) in enumerate(zip(lowered.counterparts, reals, strict=True)):
                expected = integers[place.tensor]
                differing[i] += int((_integers(place, found) != expected).sum())
                compared[i] += expected.size
            theirs.append(reals[-1])
            ours.append(dequantise(lowered.graph, integers[lowered.graph.output.name]))
    torch_out, reference_out = np.concatenate(theirs), np.concatenate(ours)
    torch_says, reference_says = _decide(torch_out), _decide(reference_out)
    return Comparison(
        tensors=tuple(
            TensorComparison(place.tensor, compared[i], differing[i])
            for i, place in enumerate(lowered.counterparts)
        ),
        decisions=len(real),
        differing_decisions=_differing(torch_out, reference_out),
        largest_output_error=float(np.abs(torch_out - reference_out).max()),
        accuracy_torch=None if y is None else float((torch_says == np.asarray(y)).mean()),
        accuracy_reference=None if y is None else float((reference_says == np.asarray(y)).mean()),
    )


@contextmanager
def _recording(
    model: nn.Module, places: tuple[Counterpart, ...]
) -> Iterator[Callable[[torch.Tensor], list[Floats]]]:
    """A function that runs the model and returns the reals of every place, (batch, channels)."""
    calls: dict[int, list[Floats]] = {}
    try:
        modules = [model.get_submodule(place.module) for place in places]
    except AttributeError as error:
        raise InputError(f"this is not the model that was lowered: {error}") from None

    def record(module: nn.Module, _: Any, result: object) -> None:
        made = tensor(result)
        assert made is not None
        calls.setdefault(id(module), []).append(made.double().flatten(1).numpy().copy())

    def run(x: torch.Tensor) -> list[Floats]:
        calls.clear()
        model(x)
        return [calls[id(m)][place.call] for m, place in zip(modules, places, strict=True)]

    hooks = [
        module.register_forward_hook(record) for module in {id(m): m for m in modules}.values()
    ]
    try:
        yield run
    finally:
        for hook in hooks:
            hook.remove()


def _integers(place: Counterpart, real: Floats) -> IntArray:
    """What torch's reals are in the graph's integers; see `Counterpart`."""
    scale = np.where(place.scale == 0, 1, place.scale)  # constant channels: multiplier 0
    steps: Floats = np.rint((real - place.offset) / scale)
    steps = np.where(np.isfinite(steps), steps, np.iinfo(np.int32).min)
    made: IntArray = steps.astype(np.int64) * place.multiplier + place.bias
    return made


def _decide(outputs: Floats) -> IntArray:
    if outputs.shape[1] == 1:
        return (outputs[:, 0] >= 0).astype(np.int64)
    largest: IntArray = outputs.argmax(axis=1)
    return largest


def _differing(theirs: Floats, ours: Floats) -> int:
    """Rows in which what one decides is not among the largest of the other."""
    a, b = _decide(theirs), _decide(ours)
    if theirs.shape[1] == 1:
        return int((a != b).sum())
    rows = np.arange(len(a))
    tied = (ours[rows, a] == ours.max(axis=1)) | (theirs[rows, b] == theirs.max(axis=1))
    return int((~tied).sum())
