"""Training: seeded, resumable after a kill, with gradual pruning.

Equal arguments make equal weights on one machine, whether or not the run was interrupted: every
epoch draws from a generator seeded by (seed, epoch), and a checkpoint holds everything else.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from brevitas.core.scaling import ParameterFromRuntimeStatsScaling
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn
from torch.nn import functional
from typing_extensions import assert_never

from bitwright.models.checkpoints import load_checkpoint, save_tensors
from bitwright.models.data import Dataset
from bitwright.models.errors import InputError
from bitwright.models.layers.tiled import TiledConv2d, TiledLinear

Optimiser = Literal["adam", "sgd", "adadelta"]
Schedule = Literal["cosine", "step", "constant"]
Augmentation = Literal["none", "crop_flip"]

Loss = Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]
"""Of a model, a batch of inputs and their classes: what training makes small."""

_STORED = ("losses", "seconds", "best", "model", "optimiser", "collecting")
"""What a checkpoint holds beside the identity of its run."""
_SETTLING_ROWS = 10_000
_PRUNED = 0.7  # of the epochs, when pruning is done
_CROP = 4  # pixels on every side, as is usual for CIFAR-10


@dataclass(frozen=True)
class Recipe:
    """How to train: an optimiser, a schedule, cross-entropy, and pruning by magnitude.

    sparsity: share of weights that end at zero, by the path of the layer. It grows from a tenth of
    the epochs to seven tenths as s * (1 - (1 - t)^3) (Zhu and Gupta, arXiv 1710.01878, section 3).
    """

    epochs: int = 60
    batch: int = 32
    learning_rate: float = 1e-2
    weight_decay: float = 0.0
    seed: int = 0
    noise: float = 0.0
    """Standard deviation of the Gaussian noise that is added to training inputs."""
    threads: int = 1
    """Small layers gain nothing from more, and the order of summation depends on it."""
    sparsity: Mapping[str, float] = field(default_factory=dict)
    optimiser: Optimiser = "adam"
    momentum: float = 0.9
    """Of "sgd" alone."""
    schedule: Schedule = "cosine"
    """"cosine" falls to zero over all epochs; "step" multiplies the rate by `step_factor` every
    `step_epochs` epochs."""
    step_epochs: int = 1
    step_factor: float = 1.0
    augmentation: Augmentation = "none"
    """"crop_flip" shifts images by up to 4 pixels, 0 outside, and mirrors half of them."""

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch, self.threads) < 1 or not self.learning_rate > 0:
            raise InputError(
                f"{self.epochs} epochs of batches of {self.batch} at a rate of "
                f"{self.learning_rate} on {self.threads} threads: all must be above 0"
            )
        if not self.noise >= 0:
            raise InputError(f"a noise of {self.noise}: it is a standard deviation, 0 or above")
        for name, value, choices in (
            ("optimiser", self.optimiser, get_args(Optimiser)),
            ("schedule", self.schedule, get_args(Schedule)),
            ("augmentation", self.augmentation, get_args(Augmentation)),
        ):
            if value not in choices:
                raise InputError(f"{name} {value!r}: choose from {', '.join(choices)}")
        if not (0 <= self.momentum < 1 and self.weight_decay >= 0):
            raise InputError(
                f"a momentum of {self.momentum} and a weight decay of {self.weight_decay}: the "
                "first is from 0 to below 1, the second 0 or above"
            )
        if self.step_epochs < 1 or not 0 < self.step_factor <= 1:
            raise InputError(
                f"a factor of {self.step_factor} every {self.step_epochs} epochs: the first is "
                "above 0 and at most 1, the second at least 1"
            )
        for path, share in self.sparsity.items():
            if not 0 <= share < 1:
                raise InputError(f"a sparsity of {share} for {path} is outside 0..1")


def cross_entropy(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The usual loss: of the model's scores, a mean over the batch."""
    return functional.cross_entropy(model(x), y)


@dataclass(frozen=True, slots=True)
class Trained:
    """What training did."""

    losses: tuple[float, ...]
    """Mean training loss of every epoch."""
    accuracy: float
    """Share of test rows that the model, in eval mode, decides right."""
    seconds: float = field(default=0.0, compare=False)
    """Time spent in epochs, those before a kill included."""


def train(
    model: nn.Module,
    data: Dataset,
    recipe: Recipe,
    *,
    checkpoint: Path | None = None,
    console: Console | None = None,
    device: str = "cpu",
    loss: Loss = cross_entropy,
    patience: int | None = None,
) -> Trained:
    """Train a model in place and leave it in eval mode, on the CPU.

    checkpoint: a file written after every epoch, from which the same call goes on. console: where
    a progress bar is drawn; none without. device: where torch computes, such as "cuda".

    patience: stop when so many epochs have not made `data`'s test rows better, and go back to the
    best; not before pruning is done. Give held-out training rows as test rows then
    (`data.held_out`): those that choose an epoch do not tell how good it is.

    Raises:
        InputError: a sparsity for a layer that does not exist or is tiled, augmentation of what is
            no image, a device that torch does not have, a loss that is no longer finite.
        StorageError: a checkpoint of another run, damaged, or that cannot be written.
    """
    pruned = {path: prunable_weight(model, path) for path in recipe.sparsity}
    if recipe.augmentation != "none" and data.x_train.ndim != 4:
        raise InputError(
            f"augmentation {recipe.augmentation!r} needs images, (channels, height, width), not "
            f"rows of shape {data.x_train.shape[1:]}: leave it out"
        )
    identity = _identity(model, data, recipe)
    state = load_checkpoint(checkpoint, identity, _STORED) if checkpoint is not None else None
    losses: list[float] = []
    seconds = 0.0
    best = _Best()
    if state is not None:
        best = _Best(*state["best"])
        _load(model, state["model"])
        _collect_on(model, state["collecting"])
        losses = [float(loss) for loss in state["losses"]]
        seconds = float(state["seconds"])
        pruned = {path: prunable_weight(model, path) for path in recipe.sparsity}
    _move(model, device)
    # Only now: loading a state_dict makes Brevitas create its scale parameters anew.
    optimiser = _optimiser(model, recipe)
    if state is not None:
        optimiser.load_state_dict(state["optimiser"])
    x, y = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train)
    bar = Progress(
        TextColumn("training"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} epochs, loss {task.fields[loss]}"),
        TimeRemainingColumn(),
        console=console,
        disable=console is None,
    )
    with bar, torch.random.fork_rng(devices=[]), _threads(recipe.threads):
        task = bar.add_task("", total=recipe.epochs, completed=len(losses), loss="-")
        model.train()
        for epoch in range(len(losses), recipe.epochs):
            if patience is not None and epoch - best.epochs >= patience and best.state:
                break
            masks = {
                path: magnitude_mask(weight, share)
                for (path, weight) in pruned.items()
                if (share := _sparsity_now(recipe, path, epoch)) > 0
            }
            start = time.perf_counter()
            losses.append(_epoch(model, optimiser, x, y, recipe, epoch, pruned, masks, loss))
            seconds += time.perf_counter() - start
            if not math.isfinite(losses[-1]):
                raise InputError(
                    f"the loss became {losses[-1]} in epoch {epoch + 1}: lower the learning rate "
                    f"({recipe.learning_rate}) or look for extreme values in {data.source}"
                )
            if patience is not None and epoch + 1 >= _pruned_at(recipe):
                reached = accuracy(model, data.x_test, data.y_test)
                model.train()
                if reached > best.accuracy or not best.state:
                    state_now = {name: t.clone() for name, t in model.state_dict().items()}
                    best = _Best(reached, epoch + 1, state_now)
            if checkpoint is not None:
                stored = {"identity": identity, "losses": losses, "seconds": seconds}
                stored["best"] = (best.accuracy, best.epochs, best.state)
                stored |= {"model": model.state_dict(), "optimiser": optimiser.state_dict()}
                stored["collecting"] = _collecting(model)
                save_tensors(checkpoint, stored, "checkpoint")
            bar.update(task, advance=1, loss=f"{losses[-1]:.3f}")
        if best.state:
            _load(model, best.state)
        _settle(model, x, recipe.batch)
        _move(model, "cpu")
        reached = accuracy(model, data.x_test, data.y_test)
    return Trained(tuple(losses), reached, seconds)


def accuracy(
    model: nn.Module,
    x: npt.NDArray[np.float32],
    y: npt.NDArray[np.int64],
    batch: int = 1000,
) -> float:
    """Share of rows that the model decides right, looked at in batches. Leaves it in eval mode."""
    model.eval()
    right = 0
    with torch.no_grad():
        for first in range(0, len(x), batch):
            output = model(torch.from_numpy(x[first : first + batch]).to(_device(model)))
            right += int((output.argmax(dim=1).cpu().numpy() == y[first : first + batch]).sum())
    return right / len(x)


def _optimiser(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    weights, rate, decay = model.parameters(), recipe.learning_rate, recipe.weight_decay
    match recipe.optimiser:
        case "adam":
            return torch.optim.Adam(weights, lr=rate, weight_decay=decay)
        case "sgd":
            return torch.optim.SGD(weights, lr=rate, weight_decay=decay, momentum=recipe.momentum)
        case "adadelta":
            return torch.optim.Adadelta(weights, lr=rate, weight_decay=decay)
        case _:
            assert_never(recipe.optimiser)


def _rate(recipe: Recipe, epochs: float) -> float:
    """The learning rate when so many epochs are done."""
    match recipe.schedule:
        case "cosine":
            part = 0.5 * (1 + math.cos(math.pi * epochs / recipe.epochs))
        case "step":
            part = recipe.step_factor ** (int(epochs) // recipe.step_epochs)
        case "constant":
            part = 1.0
        case _:
            assert_never(recipe.schedule)
    return recipe.learning_rate * part


def _epoch(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    x: torch.Tensor,
    y: torch.Tensor,
    recipe: Recipe,
    epoch: int,
    pruned: Mapping[str, torch.Tensor],
    masks: Mapping[str, torch.Tensor],
    loss: Loss,
) -> float:
    torch.manual_seed(recipe.seed * 1_000_003 + epoch)
    total, order = 0.0, torch.randperm(len(x))
    batches = torch.split(order, recipe.batch)
    device = _device(model)
    tiled = [m for m in model.modules() if isinstance(m, TiledLinear | TiledConv2d)]
    for i, rows in enumerate(batches):
        done = epoch + i / len(batches)
        for group in optimiser.param_groups:
            group["lr"] = _rate(recipe, done)
        for layer in tiled:
            layer.set_progress(done / recipe.epochs)
        given = _augmented(x[rows], recipe).to(device)
        lost = loss(model, given, y[rows].to(device))
        optimiser.zero_grad()
        lost.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        with torch.no_grad():
            for path, mask in masks.items():
                pruned[path].mul_(mask)
        total += float(lost.detach()) * len(rows)
    return total / len(x)


def _augmented(x: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """A batch as the model sees it in training."""
    if recipe.augmentation == "crop_flip":
        rows, height, width = len(x), *x.shape[2:]
        down, right = torch.randint(0, 2 * _CROP + 1, (2, rows, 1))
        columns = torch.arange(width).expand(rows, width)
        columns = torch.where(torch.rand(rows, 1) < 0.5, columns, columns.flip(1))
        x = functional.pad(x, (_CROP,) * 4)[
            torch.arange(rows)[:, None, None, None],
            torch.arange(x.shape[1])[:, None, None],
            (torch.arange(height) + down)[:, None, :, None],
            (columns + right)[:, None, None, :],
        ]
    return x + recipe.noise * torch.randn(x.shape) if recipe.noise else x


def _collecting(model: nn.Module) -> dict[str, dict[str, Any]]:
    """What Brevitas' scales know that still collect statistics, which no state_dict holds."""
    return {
        path: {"counter": int(m.counter), "buffer": m.buffer.clone(), "value": m.value.detach()}
        for path, m in model.named_modules()
        if isinstance(m, ParameterFromRuntimeStatsScaling) and m.counter <= m.collect_stats_steps
    }


def _collect_on(model: nn.Module, collecting: Mapping[str, Mapping[str, Any]]) -> None:
    """Let them go on: load_state_dict ends the collecting."""
    for path, found in collecting.items():
        scale = model.get_submodule(path)
        assert isinstance(scale, ParameterFromRuntimeStatsScaling)
        scale.counter = found["counter"]
        scale.buffer.copy_(found["buffer"])
        scale.value.data.copy_(found["value"])


def _load(model: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Give a model what its state_dict held, in which Brevitas leaves out scales that have not seen
    a batch: those of quantisers that are switched off."""
    unseen = {
        f"{path}.value"
        for path, m in model.named_modules()
        if isinstance(m, ParameterFromRuntimeStatsScaling) and m.counter == 0
    }
    found = model.load_state_dict(state, strict=False)
    assert not found.unexpected_keys and set(found.missing_keys) <= unseen, found


def _device(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def _move(model: nn.Module, device: str) -> None:
    try:
        model.to(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # as torch is built
        raise InputError(
            f"device {device!r} cannot be used ({str(error).splitlines()[0]}): train on the cpu"
        ) from None


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _settle(model: nn.Module, x: torch.Tensor, batch: int) -> None:
    """Set batch-norm statistics to those of the training rows under the final weights.

    A running mean remembers earlier weights, and few-bit layers change by whole steps. Of many rows
    some thousands say as much, evenly taken, whatever their order.
    """
    x = x[:: math.ceil(len(x) / _SETTLING_ROWS)]
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average
        norm.train()
    with torch.no_grad():
        for rows in torch.split(x, max(batch, 256)):
            model(rows.to(_device(model)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


@dataclass(frozen=True, slots=True)
class _Best:
    """The weights that did best on held-out rows, after so many epochs."""

    accuracy: float = 0.0
    epochs: int = 0
    state: Mapping[str, torch.Tensor] = field(default_factory=dict)


def _pruned_at(recipe: Recipe) -> int:
    """The epoch after which no more weights are pruned."""
    return math.ceil(recipe.epochs * _PRUNED) if any(recipe.sparsity.values()) else 0


def _sparsity_now(recipe: Recipe, path: str, epoch: int) -> float:
    start, end = recipe.epochs / 10, recipe.epochs * _PRUNED
    part = min(max((epoch + 1 - start) / max(end - start, 1), 0.0), 1.0)
    return float(recipe.sparsity[path] * (1 - (1 - part) ** 3))


def magnitude_mask(weight: torch.Tensor, share: float) -> torch.Tensor:
    """1 for the weights to keep: all but the given share of smallest magnitude."""
    smallest = weight.detach().abs().flatten().argsort(stable=True)[: round(share * weight.numel())]
    mask = torch.ones(weight.numel(), device=weight.device)
    mask[smallest] = 0
    return mask.reshape(weight.shape)


def prunable_weight(model: nn.Module, path: str) -> torch.Tensor:
    """The weights of a layer that can be pruned, by its path. Raises InputError for another."""
    try:
        layer = model.get_submodule(path)
        weight = layer.weight
    except AttributeError:
        raise InputError(f"a sparsity is given for {path!r}, which has no weights") from None
    if isinstance(layer, TiledLinear | TiledConv2d):
        raise InputError(
            f"a sparsity is given for {path!r}, a {type(layer).__name__}: its weights are signs of "
            "a shared tile, and none can be zero; leave the sparsity out, or the tiles"
        )
    assert isinstance(weight, torch.Tensor)
    return weight


def _identity(model: nn.Module, data: Dataset, recipe: Recipe) -> str:
    """What must be equal for a checkpoint to be continued, as text."""
    sizes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    rows = (data.source, data.x_train.shape, float(data.x_train.sum(dtype=np.float64)))
    return repr((sorted(sizes.items()), rows, sorted(asdict(recipe).items(), key=lambda i: i[0])))
