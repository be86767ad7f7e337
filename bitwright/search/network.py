"""From a candidate to a torch network: built, given the weights of the float network, trained."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from bitwright.models.data import Dataset, held_out, stratified_rows
from bitwright.models.data_files import load_dataset, own_file
from bitwright.models.errors import StorageError
from bitwright.models.layers import learn_bits
from bitwright.models.layers.learned import cost
from bitwright.models.lower import load_model
from bitwright.models.train import Loss, Recipe, Trained, cross_entropy, prunable_weight, train
from bitwright.search.candidate import Candidate
from bitwright.search.space import Space

_TEMPERATURE, _TEACHING = 2.0, 0.5
"""Of distillation (Hinton et al., arXiv 1503.02531): softening, and its share of the loss."""


def build(space: Space, candidate: Candidate, seed: int | None = None) -> nn.Module:
    """The candidate's network, untrained. Raises InputError as the space's function."""
    arguments: dict[str, Any] = dict(space.arguments)
    arguments |= {k: list(v) if isinstance(v, tuple) else v for k, v in candidate.arguments}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(space.search.seed if seed is None else seed)
        model = load_model(space.model, arguments=arguments)
        return learn_bits(model) if candidate.pressure else model


def weighted(model: nn.Module) -> dict[str, Any]:
    """The layers with weights, by path, in order."""
    layers = (nn.Linear, nn.Conv1d, nn.Conv2d)
    return {path: m for path, m in model.named_modules() if isinstance(m, layers)}


def check_pruned(space: Space) -> None:
    """Raises InputError where [sparsity] names a layer that is not there or cannot be pruned."""
    if any(share for shares in space.sparsity.values() for share in shares):
        model = build(space, space.candidate(space.ample))
        for path, shares in space.sparsity.items():
            if any(shares):
                prunable_weight(model, path)


def shapes_of(space: Space, candidate: Candidate) -> tuple[Any, ...]:
    """What must be equal for two networks to start from one: the shapes of their weights."""
    model = build(space, candidate)
    return tuple((path, m.weight.shape) for path, m in weighted(model).items())


@lru_cache(maxsize=2)
def _whole_data(name: str, folder: str | None) -> Dataset:
    return own_file(name) if name.endswith(".npz") else load_dataset(name, folder)


@lru_cache(maxsize=2)
def _rows(name: str, folder: str | None, rows: int, share: float, seed: int) -> Dataset:
    data = _whole_data(name, folder)
    if 0 < rows < len(data.y_train):
        kept = stratified_rows(data.y_train, rows / len(data.y_train), seed)
        data = replace(data, x_train=data.x_train[kept], y_train=data.y_train[kept])
    return held_out(data, share, seed)


def search_data(space: Space) -> Dataset:
    """Training rows, split: those to train on, and held-out ones in the place of test rows."""
    s = space.search
    return _rows(space.data, space.data_folder, s.rows, s.held_out, s.seed)


def test_data(space: Space) -> Dataset:
    """The data set as it is published, test rows too: for final points alone."""
    return _whole_data(space.data, space.data_folder)


def train_start(space: Space, candidate: Candidate, file: Path) -> Trained:
    """Train the float network of a shape, its quantisers switched off, and keep its weights."""
    model = switch_off(build(space, candidate))
    done = train(model, search_data(space), space.start, patience=space.search.patience)
    keep_state(model, file)
    return done


def switch_off(model: nn.Module) -> nn.Module:
    """Switch Brevitas' quantisers off, for good: the float network of the same layers."""
    from brevitas.graph.calibrate import quantization_status_manager

    off = dict.fromkeys(("disable_act_quant", "disable_weight_quant", "disable_bias_quant"), True)
    manager = quantization_status_manager(model, is_training=True, **off)
    manager.disable_module_quantization(model)
    return model


def started(space: Space, candidate: Candidate, file: Path) -> nn.Module:
    """The candidate's network with the weights of the float network in a file."""
    model = build(space, candidate)
    state = load_state(file)
    adopt(model, state)
    return model


def float_network(space: Space, start: Candidate, file: Path) -> nn.Module:
    """The float network itself."""
    model = switch_off(build(space, start))
    adopt(model, load_state(file))
    return model.eval()


def adopt(model: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Give layers and batch-norms what a float network of their shapes has."""
    norms = nn.modules.batchnorm._BatchNorm
    with torch.no_grad():
        for path, module in model.named_modules():
            if not isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, norms)):
                continue
            for name, tensor in module.state_dict(keep_vars=True).items():
                known = state.get(f"{path}.{name}")
                if "." not in name and known is not None and known.shape == tensor.shape:
                    tensor.copy_(known)
            scales = getattr(module, "scale_values", None)
            if isinstance(scales, nn.Parameter):  # of tiles, whose scale is a mean magnitude
                scales.copy_(module.weight)
            fit = getattr(module, "fit", None)
            if callable(fit):  # a codebook or grid, to its new weights
                fit()


def distilled(teacher: nn.Module) -> Loss:
    """Half of the loss is how far the scores are from those of the float network."""

    def loss(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            wanted = functional.softmax(teacher(x) / _TEMPERATURE, dim=1)
        scores = model(x)
        given = functional.log_softmax(scores / _TEMPERATURE, dim=1)
        apart = functional.kl_div(given, wanted, reduction="batchmean") * _TEMPERATURE**2
        return (1 - _TEACHING) * functional.cross_entropy(scores, y) + _TEACHING * apart

    return loss


def pressed(loss: Loss, pressure: float) -> Loss:
    """A loss and the differentiable cost, as a share of what it was at first."""
    first: float | None = None

    def both(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        nonlocal first
        lost = loss(model, x, y)
        spent = cost(model)
        first = float(spent.detach()) if first is None else first
        return lost + pressure * spent / first

    return both


def recipe_of(base: Recipe, candidate: Candidate) -> Recipe:
    """With the candidate's pruning."""
    return replace(base, sparsity={path: s for path, s in candidate.sparsity if s > 0})


def train_candidate(
    space: Space,
    candidate: Candidate,
    model: nn.Module,
    base: Recipe,
    teacher: nn.Module | None = None,
    patience: int | None = None,
) -> Trained:
    """Train a candidate's network in place, on the rows and by the rules of the search.

    teacher: a float network whose scores are half of what is learned. patience: the search's
    without.
    """
    loss = cross_entropy if teacher is None else distilled(teacher)
    patience = patience or space.search.patience
    if candidate.pressure:
        loss, patience = pressed(loss, candidate.pressure), None
    return train(
        model, search_data(space), recipe_of(base, candidate), loss=loss, patience=patience
    )


def load_state(file: Path) -> dict[str, torch.Tensor]:
    """The tensors in a file. Raises StorageError if it is missing or damaged."""
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - torch raises what it likes for a damaged file
        raise StorageError(
            f"weights {file} cannot be read ({type(error).__name__}: {error}): delete the file, "
            "and it is made again"
        ) from None
    return dict(state)


def keep_state(model: nn.Module, file: Path) -> None:
    """The network's tensors in a file, whole or not there."""
    from bitwright.models.checkpoints import save_tensors

    save_tensors(file, model.state_dict(), "weights")
