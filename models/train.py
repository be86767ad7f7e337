"""Training: seeded, resumable after a kill, with gradual pruning.

Equal arguments make equal weights on one machine, whether or not the run was interrupted: every
epoch draws from a generator seeded by (seed, epoch), and a checkpoint holds everything else.
"""

import math
import os
import pickle
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn
from torch.nn import functional

from bitwright.models.data import Dataset
from bitwright.models.errors import InputError, StorageError


@dataclass(frozen=True)
class Recipe:
    """How to train: Adam, cosine learning rate, cross-entropy, and pruning by magnitude.

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

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch, self.threads) < 1 or not self.learning_rate > 0:
            raise InputError(
                f"{self.epochs} epochs of batches of {self.batch} at a rate of "
                f"{self.learning_rate} on {self.threads} threads: all must be above 0"
            )
        if not self.noise >= 0:
            raise InputError(f"a noise of {self.noise}: it is a standard deviation, 0 or above")
        for path, share in self.sparsity.items():
            if not 0 <= share < 1:
                raise InputError(f"a sparsity of {share} for {path} is outside 0..1")


@dataclass(frozen=True, slots=True)
class Trained:
    """What training did."""

    losses: tuple[float, ...]
    """Mean training loss of every epoch."""
    accuracy: float
    """Share of test rows that the model, in eval mode, decides right."""


def train(
    model: nn.Module,
    data: Dataset,
    recipe: Recipe,
    *,
    checkpoint: Path | None = None,
    console: Console | None = None,
) -> Trained:
    """Train a model in place and leave it in eval mode.

    checkpoint: a file written after every epoch, from which the same call goes on. console: where
    a progress bar is drawn; none without.

    Raises:
        InputError: a sparsity for a layer that does not exist, a loss that is no longer finite.
        StorageError: a checkpoint of another run, damaged, or that cannot be written.
    """
    pruned = {path: _weight(model, path) for path in recipe.sparsity}
    identity = _identity(model, data, recipe)
    state = _load(checkpoint, identity) if checkpoint is not None else None
    losses: list[float] = []
    if state is not None:
        model.load_state_dict(state["model"])
        losses = [float(loss) for loss in state["losses"]]
        pruned = {path: _weight(model, path) for path in recipe.sparsity}
    # Only now: loading a state_dict makes Brevitas create its scale parameters anew.
    adam = torch.optim.Adam(
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    if state is not None:
        adam.load_state_dict(state["adam"])
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
            masks = {
                path: _mask(weight, share)
                for (path, weight) in pruned.items()
                if (share := _sparsity_now(recipe, path, epoch)) > 0
            }
            losses.append(_epoch(model, adam, x, y, recipe, epoch, pruned, masks))
            if not math.isfinite(losses[-1]):
                raise InputError(
                    f"the loss became {losses[-1]} in epoch {epoch + 1}: lower the learning rate "
                    f"({recipe.learning_rate}) or look for extreme values in {data.source}"
                )
            if checkpoint is not None:
                _save(checkpoint, identity, model, adam, losses)
            bar.update(task, advance=1, loss=f"{losses[-1]:.3f}")
        _settle(model, x, recipe.batch)
    return Trained(tuple(losses), accuracy(model, data.x_test, data.y_test))


def accuracy(model: nn.Module, x: npt.NDArray[np.float32], y: npt.NDArray[np.int64]) -> float:
    """Share of rows that the model decides right. Leaves it in eval mode."""
    model.eval()
    with torch.no_grad():
        output = model(torch.from_numpy(x))
    return float((output.argmax(dim=1).numpy() == y).mean())


def _epoch(
    model: nn.Module,
    adam: torch.optim.Adam,
    x: torch.Tensor,
    y: torch.Tensor,
    recipe: Recipe,
    epoch: int,
    pruned: Mapping[str, torch.Tensor],
    masks: Mapping[str, torch.Tensor],
) -> float:
    torch.manual_seed(recipe.seed * 1_000_003 + epoch)
    total, order = 0.0, torch.randperm(len(x))
    batches = torch.split(order, recipe.batch)
    for i, rows in enumerate(batches):
        done = (epoch + i / len(batches)) / recipe.epochs
        for group in adam.param_groups:
            group["lr"] = recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
        noisy = x[rows] + recipe.noise * torch.randn(x[rows].shape) if recipe.noise else x[rows]
        loss = functional.cross_entropy(model(noisy), y[rows])
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        with torch.no_grad():
            for path, mask in masks.items():
                pruned[path].mul_(mask)
        total += float(loss.detach()) * len(rows)
    return total / len(x)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _settle(model: nn.Module, x: torch.Tensor, batch: int) -> None:
    """Set batch-norm statistics to those of all training rows under the final weights.

    A running mean remembers earlier weights, and few-bit layers change by whole steps.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average
        norm.train()
    with torch.no_grad():
        for rows in torch.split(x, max(batch, 256)):
            model(rows)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def _sparsity_now(recipe: Recipe, path: str, epoch: int) -> float:
    start, end = recipe.epochs / 10, recipe.epochs * 7 / 10
    part = min(max((epoch + 1 - start) / max(end - start, 1), 0.0), 1.0)
    return float(recipe.sparsity[path] * (1 - (1 - part) ** 3))


def _mask(weight: torch.Tensor, share: float) -> torch.Tensor:
    """1 for the weights to keep: all but the given share of smallest magnitude."""
    smallest = weight.detach().abs().flatten().argsort(stable=True)[: round(share * weight.numel())]
    mask = torch.ones(weight.numel())
    mask[smallest] = 0
    return mask.reshape(weight.shape)


def _weight(model: nn.Module, path: str) -> torch.Tensor:
    try:
        weight = model.get_submodule(path).weight
    except AttributeError:
        raise InputError(f"a sparsity is given for {path!r}, which has no weights") from None
    assert isinstance(weight, torch.Tensor)
    return weight


def _identity(model: nn.Module, data: Dataset, recipe: Recipe) -> str:
    """What must be equal for a checkpoint to be continued, as text."""
    sizes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    rows = (data.source, data.x_train.shape, float(data.x_train.sum(dtype=np.float64)))
    return repr((sorted(sizes.items()), rows, sorted(asdict(recipe).items(), key=lambda i: i[0])))


def _load(path: Path, identity: str) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = state["identity"]
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError,
            pickle.UnpicklingError) as error:  # fmt: skip
        raise StorageError(
            f"checkpoint {path} is damaged ({type(error).__name__}): delete it to train anew"
        ) from None
    if found != identity:
        raise StorageError(
            f"checkpoint {path} is of a run with other data, layers or settings: delete it or "
            "name another file"
        )
    return dict(state)


def _save(
    path: Path, identity: str, model: nn.Module, adam: torch.optim.Adam, losses: list[float]
) -> None:
    """Write beside the target and rename: a kill leaves the old checkpoint or the new one."""
    state = {
        "identity": identity,
        "model": model.state_dict(),
        "adam": adam.state_dict(),
        "losses": losses,
    }
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}-", delete=False
        ) as file:
            temporary = file.name
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise StorageError(
            f"cannot write the checkpoint {path} ({error}): choose a folder with room"
        ) from None
