"""A search space: the TOML file that says what may vary, what it may cost, and how to look.

model = "../dense.py:dense"        # beside this file: the function that makes the network
data = "digits"                    # one of bitwright.models.data_files.DATASETS, or a file of your
                                   # own, an .npz with x_train, y_train, x_test and y_test

[arguments]                        # of the function, alike in all candidates
inputs = 64

[vary]                             # arguments that vary: choices, or for each layer its choices
weights = [[2, 4, 6], [2, 4, 6]]
hidden = [16, 24, 32]

[sparsity]                         # shares of weights to prune, by the path of the layer
fc1 = [0.0, 0.5, 0.8]

[budget]                           # see budget.py
device = "ecp5-25k"
clock_mhz = 100

[training]                         # of a candidate, which starts from the trained float network;
epochs = 6                         # fields of bitwright.models.train.Recipe

[start]                            # what differs for that float network
epochs = 15

[final]                            # what differs for the points of the front, trained in full
epochs = 30

[search]                           # see Search
methods = ["uniform", "pareto"]
trials = 40
"""

import hashlib
import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

from bitwright.models.data_files import DATASETS
from bitwright.models.errors import InputError
from bitwright.models.recipes import refuse_unknown, training_of
from bitwright.models.train import Recipe
from bitwright.search.budget import Budget, read_budget
from bitwright.search.candidate import Candidate, Kind, Scalar, Task, Value

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

METHODS = ("uniform", "pareto", "ilp", "differentiable")
EVALUATION = 2
"""Counts the changes of what evaluations mean within a version: rows of an earlier one are made
again, and not mixed with new ones."""
_TABLES = ("arguments", "vary", "sparsity", "budget", "training", "start", "final", "search")


@dataclass(frozen=True)
class Search:
    """How to look.

    methods: of METHODS. trials: candidates that each of "pareto" and "ilp" may propose; pressures:
    those of "differentiable", of which each is one. finalists: points of the front that are trained
    in full. held_out: share of the training rows that candidates are judged by, and stop early by:
    after `patience` epochs without a better one. rows: training rows to use at most, 0 for all.
    lag: a proposal of "pareto" has seen the results of all but the last so many; as many
    evaluations may run at once, and the same candidates come out however many do. needs: abstract
    resources that each evaluation takes of those that workers have.
    """

    methods: tuple[str, ...] = ("uniform", "pareto")
    trials: int = 40
    pressures: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0)
    seed: int = 0
    finalists: int = 6
    held_out: float = 0.2
    patience: int = 4
    rows: int = 0
    lag: int = 8
    needs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Dimension:
    """One choice to make. name: "weights.0" is the first layer's, "sparsity.fc1" a share."""

    name: str
    choices: tuple[Scalar, ...]


@dataclass(frozen=True)
class Space:
    """A search space as its file says. model: "file.py:function", the file absolute.

    arguments: fixed ones. vary: for each varying argument its choices, or a tuple of choices for
    each layer.
    """

    model: str
    data: str
    arguments: Mapping[str, Any]
    vary: Mapping[str, tuple[Any, ...]]
    sparsity: Mapping[str, tuple[float, ...]]
    budget: Budget
    training: Recipe
    start: Recipe
    final: Recipe
    search: Search
    data_folder: str | None = None

    @cached_property
    def dimensions(self) -> tuple[Dimension, ...]:
        """Every choice that there is, in the order of the file."""
        found = []
        for name, choices in self.vary.items():
            if isinstance(choices[0], tuple):
                found += [Dimension(f"{name}.{i}", c) for i, c in enumerate(choices)]
            else:
                found.append(Dimension(name, choices))
        found += [Dimension(f"sparsity.{path}", c) for path, c in self.sparsity.items()]
        found.append(Dimension("interval", self.budget.intervals))
        return tuple(found)

    def candidate(self, chosen: Mapping[str, Scalar], pressure: float = 0.0) -> Candidate:
        """The candidate of one choice for each dimension, by its name."""
        arguments: dict[str, Value] = {}
        for name, choices in self.vary.items():
            if isinstance(choices[0], tuple):
                arguments[name] = tuple(chosen[f"{name}.{i}"] for i in range(len(choices)))
            else:
                arguments[name] = chosen[name]
        shares = {path: float(chosen[f"sparsity.{path}"]) for path in self.sparsity}
        interval = int(chosen["interval"])
        return Candidate(
            tuple(sorted(arguments.items())), tuple(sorted(shares.items())), interval, pressure
        )

    def choices(self, candidate: Candidate) -> dict[str, Scalar]:
        """The choice of each dimension that makes a candidate."""
        chosen: dict[str, Scalar] = {"interval": candidate.interval}
        chosen |= {f"sparsity.{path}": share for path, share in candidate.sparsity}
        for name, value in candidate.arguments:
            if isinstance(value, tuple):
                chosen |= {f"{name}.{i}": one for i, one in enumerate(value)}
            else:
                chosen[name] = value
        return chosen

    @cached_property
    def ample(self) -> dict[str, Scalar]:
        """The largest number, or the first word, of every dimension; nothing pruned or folded."""
        return {
            d.name: d.choices[0]
            if isinstance(d.choices[0], (str, bool))
            else (min if _is_cost(d.name) else max)(d.choices)
            for d in self.dimensions
        }

    @cached_property
    def precision(self) -> frozenset[str]:
        """The dimensions that leave the shapes of all weights as they are, by building networks.

        Candidates that agree in all others start from one float network.
        """
        from bitwright.search.network import shapes_of

        whole = shapes_of(self, self.candidate(self.ample))
        return frozenset(
            d.name
            for d in self.dimensions
            if _is_cost(d.name)
            or all(
                shapes_of(self, self.candidate({**self.ample, d.name: c})) == whole
                for c in {d.choices[0], d.choices[-1]}
            )
        )

    def start_of(self, candidate: Candidate) -> Task:
        """The float network that a candidate starts from."""
        ample = self.ample
        chosen = {
            name: ample[name] if name in self.precision else value
            for name, value in self.choices(candidate).items()
        }
        return Task("start", self.candidate(chosen))

    def shapes(self) -> Iterator[dict[str, Scalar]]:
        """The choices of every shape of the network that there is, ample in precision."""
        ample = self.ample
        free = [d for d in self.dimensions if d.name not in self.precision]
        for made in itertools.product(*(d.choices for d in free)):
            yield ample | {d.name: c for d, c in zip(free, made, strict=True)}

    def context(self, kind: Kind) -> str:
        """All that the result of a task depends on but its candidate: a digest.

        Bitwright's version too, as training, lowering and estimates change with it.
        """
        s = self.search
        told: list[Any] = [
            version("bitwright"),
            EVALUATION,
            _content(self.model),
            self.model.rpartition(":")[2],
            self.data,
        ]
        told += [dict(self.arguments), asdict(self.start), s.held_out, s.rows, s.seed]
        if kind in ("candidate", "final"):
            told += [asdict(self.training), s.patience, self.budget.target, self.budget.clock_mhz]
        if kind == "tables":
            told += [self.vary, self.sparsity, self.budget.target, self.budget.clock_mhz]
            told += [self.budget.intervals]
        if kind == "final":
            told += [asdict(self.final)]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    @cached_property
    def contexts(self) -> dict[Kind, str]:
        """`context` of every kind of task."""
        return {kind: self.context(kind) for kind in get_args(Kind)}

    def key(self, task: Task) -> str:
        """What the row of a task is known by."""
        return task.key(self.contexts[task.kind])

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "Space":
        """What `as_dict` described."""
        made = dict(given)
        made["vary"] = {name: _tuples(c) for name, c in given["vary"].items()}
        made["sparsity"] = {path: tuple(c) for path, c in given["sparsity"].items()}
        budget = dict(given["budget"], intervals=tuple(given["budget"]["intervals"]))
        made["budget"] = Budget(**budget)
        for key in ("training", "start", "final"):
            made[key] = Recipe(**given[key])
        search = {k: _tuples(v) for k, v in given["search"].items()}
        made["search"] = Search(**search)
        return cls(**made)


def read_space(path: str | Path, data_folder: str | Path | None = None) -> Space:
    """Read a space file and check all of it, but for what only building the network shows.

    Raises InputError for a file that is missing or no TOML, unknown or missing keys, and values of
    the wrong kind or out of range.
    """
    path, file = Path(path), f"space {path}"
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from None
    refuse_unknown(file, "", raw, ["model", "data", *_TABLES])
    for key in ("model", "data"):
        if not isinstance(raw.get(key), str):
            raise InputError(f'{file} needs {key} = "…", not {raw.get(key)!r}')
    for key in _TABLES:
        if not isinstance(raw.setdefault(key, {}), dict):
            raise InputError(f"{file}: {key} = {raw[key]!r} is no table, as [{key}] begins")
    data = raw["data"]
    if data.endswith(".npz"):
        data = str((path.parent / data).resolve())
    elif data not in DATASETS:
        raise InputError(
            f"{file}: there is no data set {data!r}: choose from {', '.join(DATASETS)}, or name an "
            ".npz file of your own"
        )
    source, colon, function = raw["model"].rpartition(":")
    model = (path.parent / source).resolve()
    if not colon or not model.is_file():
        raise InputError(
            f"{file}: model {raw['model']!r} names no file and function: write it as "
            'model = "networks.py:mlp", the file beside this one'
        )
    vary = {name: _choices(file, name, given) for name, given in raw["vary"].items()}
    if twice := sorted(vary.keys() & raw["arguments"].keys()):
        raise InputError(f"{file}: {', '.join(twice)} both vary and are fixed: give one")
    sparsity = {}
    for layer, given in raw["sparsity"].items():
        shares = given if isinstance(given, list) else [given]
        if not shares or not all(type(s) in (int, float) and 0 <= s < 1 for s in shares):
            raise InputError(
                f"{file}: sparsity.{layer} = {given!r}: give shares from 0 to below 1, such as "
                "[0.0, 0.5, 0.8]"
            )
        sparsity[layer] = tuple(float(s) for s in shares)
    training = training_of(file, raw["training"])
    if training.sparsity:
        raise InputError(f"{file}: training.sparsity: give shares in [sparsity], one or several")
    return Space(
        f"{model}:{function}",
        data,
        raw["arguments"],
        vary,
        sparsity,
        read_budget(file, raw["budget"]),
        training,
        training_of(file, raw["start"], "start", training),
        training_of(file, raw["final"], "final", training),
        _search(file, raw["search"]),
        None if data_folder is None else str(Path(data_folder).resolve()),
    )


def _choices(file: str, name: str, given: object) -> tuple[Any, ...]:
    wrong = InputError(
        f"{file}: vary.{name} = {given!r}: give a list of numbers or words to choose from, or one "
        "such list for each layer"
    )
    if not isinstance(given, list) or not given:
        raise wrong
    layers = given if isinstance(given[0], list) else [given]
    for choices in layers:
        if not isinstance(choices, list) or not choices:
            raise wrong
        if not all(isinstance(c, (int, float, str, bool)) for c in choices):
            raise wrong
        if len({type(c) for c in choices}) > 1 or len(set(choices)) < len(choices):
            raise InputError(
                f"{file}: vary.{name} has choices {choices!r}: let them be of one kind, each once"
            )
    return tuple(map(tuple, given)) if isinstance(given[0], list) else tuple(given)


def _search(file: str, raw: Mapping[str, Any]) -> Search:
    defaults = asdict(Search())
    refuse_unknown(file, "search.", raw, list(defaults))
    made = {k: _tuples(v) for k, v in raw.items()}
    for key, value in made.items():
        kind = type(defaults[key])
        if kind is float and type(value) is int:
            made[key] = value = float(value)
        if type(value) is not kind:
            raise InputError(
                f"{file}: search.{key} = {raw[key]!r} is not of type {kind.__name__}, like "
                f"{_plain(defaults[key])!r}"
            )
    found = Search(**made)
    if unknown := [m for m in found.methods if m not in METHODS]:
        raise InputError(
            f"{file}: search.methods has {', '.join(map(repr, unknown))}: choose from "
            f"{', '.join(METHODS)}"
        )
    if not (found.methods and found.trials > 0 and found.lag > 0 and found.patience > 0):
        raise InputError(f"{file}: search needs a method, and trials, lag and patience from 1 on")
    if not 0 < found.held_out < 1 or found.rows < 0 or found.finalists < 0:
        raise InputError(
            f"{file}: search.held_out is above 0 and below 1, rows and finalists are from 0 on"
        )
    if not all(type(p) in (int, float) and p > 0 for p in found.pressures):
        raise InputError(f"{file}: search.pressures = {raw['pressures']!r}: give numbers above 0")
    if not all(type(n) in (int, float) and n > 0 for n in found.needs.values()):
        raise InputError(f"{file}: search.needs = {raw['needs']!r}: give amounts above 0")
    return found


def _is_cost(dimension: str) -> bool:
    return dimension == "interval" or dimension.startswith("sparsity.")


def _content(model: str) -> str:
    return hashlib.sha256(Path(model.rpartition(":")[0]).read_bytes()).hexdigest()


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, (list, tuple)) else value


def _plain(value: Any) -> Any:
    if isinstance(value, (Recipe, Budget, Search)):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
