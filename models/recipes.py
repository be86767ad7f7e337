"""Training recipes: a TOML file that names a network, data and how to train, and what it makes.

model = "networks.py:mlp"    # beside the recipe: a file, and the function that makes the model
data = "mnist"               # one of bitwright.models.data_files.DATASETS

[arguments]                  # of that function
compression = 4

[training]                   # the fields of bitwright.models.train.Recipe
epochs = 20
learning_rate = 2e-3
"""

import io
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import nn

from bitwright.models.checkpoints import save_tensors
from bitwright.models.data_files import DATASETS, load_dataset
from bitwright.models.errors import InputError
from bitwright.models.files import replace_file
from bitwright.models.lower.user_model import load_model
from bitwright.models.train import Recipe, train

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


_ROWS = 10_000  # test rows that are kept beside the weights
_MOST_BYTES, _MOST_DOTS = 1 << 16, 100  # Python's reader needs quadratic time for dotted keys


@dataclass(frozen=True)
class RecipeFile:
    """A recipe as its file says. model: "file.py:function", the file absolute."""

    model: str
    data: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    training: Recipe = field(default_factory=Recipe)

    def network(self) -> nn.Module:
        """The untrained network, its weights from the seed. Raises InputError as its function."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.training.seed)
            return load_model(self.model, arguments=self.arguments)


@dataclass(frozen=True)
class Run:
    """What a recipe made of itself in a folder: the files, and how well it did.

    network: a Python file whose function `network` makes the model that the weights belong to.
    rows: up to 10,000 test rows, `x` and `y`. losses: mean training loss of every epoch. seconds:
    spent in epochs.
    """

    weights: Path
    network: Path
    rows: Path
    data: str
    input_shape: tuple[int, ...]
    accuracy: float
    losses: tuple[float, ...]
    seconds: float


def read_recipe(path: str | Path) -> RecipeFile:
    """Read a recipe and check all of it.

    Raises InputError for a file that is missing or no TOML, unknown or missing keys, and values of
    the wrong kind or out of range.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"recipe {path} is larger than {_MOST_BYTES:,} bytes: it is no recipe")
        text = path.read_text(encoding="utf-8")
        if max((line.count(".") for line in text.splitlines()), default=0) > _MOST_DOTS:
            raise InputError(f"recipe {path} has a line of more than {_MOST_DOTS} dots: it is none")
        raw = tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:  # of bytes, numbers, nesting, TOML
        raise InputError(f"recipe {path} cannot be read: {error}") from None
    refuse_unknown(f"recipe {path}", "", raw, [f.name for f in fields(RecipeFile)])
    for key in ("model", "data"):
        if not isinstance(raw.get(key), str):
            raise InputError(f'recipe {path} needs {key} = "…", not {raw.get(key)!r}')
    for key in ("arguments", "training"):
        if not isinstance(raw.setdefault(key, {}), dict):
            raise InputError(f"recipe {path}: {key} = {raw[key]!r} is no table, as [{key}] begins")
    if raw["data"] not in DATASETS:
        raise InputError(
            f"recipe {path}: there is no data set {raw['data']!r}: choose from "
            f"{', '.join(DATASETS)}"
        )
    file, colon, function = raw["model"].rpartition(":")
    if not colon or not file:
        raise InputError(
            f"recipe {path}: model {raw['model']!r} names no file and function: write it as "
            'model = "networks.py:mlp"'
        )
    training = training_of(f"recipe {path}", raw["training"])
    model = f"{(path.parent / file).resolve()}:{function}"
    return RecipeFile(model, raw["data"], raw["arguments"], training)


def train_recipe(
    path: str | Path,
    out: Path,
    *,
    data_folder: str | Path | None = None,
    console: Console | None = None,
    device: str = "cpu",
) -> Run:
    """Train what a recipe says, into a folder; the same call goes on after a kill.

    The folder gets weights.pt (a state_dict), network.py (the model with the recipe's arguments),
    test.npz (test rows), training.json and checkpoint.pt; whatever else is in it stays. So
    `bitwright lower out/network.py:network --weights out/weights.pt --data out/test.npz` goes on
    from there. data_folder: see `load_dataset`. device: see `train`.

    Raises:
        InputError: the recipe, its network or the data cannot be used.
        StorageError: the checkpoint there is of another run, or the folder cannot be written.
    """
    recipe = read_recipe(path)
    data = load_dataset(recipe.data, data_folder)
    model = recipe.network()
    checkpoint = out / "checkpoint.pt"
    done = train(
        model, data, recipe.training, checkpoint=checkpoint, console=console, device=device
    )
    made = Run(
        weights=out / "weights.pt",
        network=out / "network.py",
        rows=out / "test.npz",
        data=data.source,
        input_shape=data.x_test.shape[1:],
        accuracy=done.accuracy,
        losses=done.losses,
        seconds=round(done.seconds, 1),
    )
    summary = {
        "data": data.source,
        "arguments": dict(recipe.arguments),
        "training": asdict(recipe.training),
        "accuracy": made.accuracy,
        "losses": made.losses,
        "seconds": made.seconds,
        "versions": {name: version(name) for name in ("torch", "brevitas")},
    }
    rows = io.BytesIO()
    np.savez_compressed(rows, x=data.x_test[:_ROWS], y=data.y_test[:_ROWS])
    save_tensors(made.weights, model.state_dict(), "weights")
    replace_file(made.network, _network_file(recipe, out))
    replace_file(made.rows, rows.getvalue())
    replace_file(out / "training.json", json.dumps(summary, indent=1) + "\n")
    return made


def training_of(
    file: str, raw: Mapping[str, Any], table: str = "training", base: Recipe | None = None
) -> Recipe:
    """The recipe that a TOML table makes of `base`.

    file: what to call it in messages. Raises InputError for unknown keys and wrong values.
    """
    base = base or Recipe()
    defaults = asdict(base)
    refuse_unknown(file, f"{table}.", raw, list(defaults))
    made = dict(raw)
    for key, value in raw.items():
        expected = type(defaults[key])
        if expected is float and type(value) is int:
            made[key] = float(value)
        elif type(value) is not expected:
            raise InputError(
                f"{file}: {table}.{key} = {value!r} is not of type {expected.__name__}, "
                f"like {defaults[key]!r}"
            )
    for layer, share in made.get("sparsity", {}).items():
        if type(share) not in (int, float):
            raise InputError(f"{file}: {table}.sparsity.{layer} = {share!r} is no number")
    try:
        return replace(base, **made)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def refuse_unknown(file: str, prefix: str, raw: Mapping[str, object], known: list[str]) -> None:
    """Raises InputError for keys of a TOML table that it may not have."""
    if unknown := [key for key in raw if key not in known]:
        raise InputError(
            f"{file} has unknown keys {', '.join(prefix + key for key in unknown)}: it may "
            f"have {', '.join(prefix + key for key in known)}"
        )


def _network_file(recipe: RecipeFile, out: Path) -> str:
    file, _, function = recipe.model.rpartition(":")
    relative = os.path.relpath(file, out.resolve())
    return (
        '"""The network that weights.pt belongs to, as its recipe made it."""\n\n'
        "from pathlib import Path\n\n"
        "from bitwright.models.lower import load_model\n\n"
        f"FILE = Path(__file__).parent / {relative!r}\n"
        f"ARGUMENTS = {dict(recipe.arguments)!r}\n\n\n"
        "def network():\n"
        f'    return load_model(f"{{FILE}}:{function}", arguments=ARGUMENTS)\n'
    )
