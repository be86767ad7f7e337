"""Methods: each a generator that proposes tasks and waits for rows.

`handle = yield task` proposes, and goes on at once; `row = yield handle` waits for its row. A
method sees its own rows only, and those in an order of its own, so that equal spaces make equal
proposals: however many workers there are, whoever finishes first, and wherever a run was stopped.
A stopped run is simply begun again, and finds the rows that it has asked for before.
"""

import itertools
import warnings
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bitwright.models.errors import InputError
from bitwright.search.candidate import Candidate, Scalar, Task
from bitwright.search.front import front, price, spread
from bitwright.search.space import Dimension, Space


@dataclass(slots=True, eq=False)
class Handle:
    """A proposal: its row comes later."""

    task: Task
    row: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """Something that people should know, such as a budget that nothing fits."""

    text: str


Method = Generator[Task | Handle | Note, Any, None]


def uniform(space: Space) -> Method:
    """Every network of uniform precision, of every shape: the baseline.

    All layers have the same bits for weights, and all the same for activations; a layer with one
    choice keeps that (inputs that are bits). Nothing is pruned.
    """
    for candidate in uniform_candidates(space):
        yield Task("candidate", candidate)


def uniform_candidates(space: Space) -> Iterator[Candidate]:
    """The candidates of `uniform`, without doubles."""
    shared: dict[str, list[Scalar]] = {}
    for name, choices in space.vary.items():
        if not isinstance(choices[0], tuple):
            if name in space.precision:
                shared[name] = [choices[0]] if isinstance(choices[0], str) else list(choices)
        elif f"{name}.0" in space.precision:
            free = [layer for layer in choices if len(layer) > 1] or choices[:1]
            common = [c for c in free[0] if all(c in layer for layer in free)]
            shared[name] = common[:1] if isinstance(choices[0][0], str) else common
    seen = set()
    for shape in space.shapes():
        for made in itertools.product(*shared.values()):
            chosen = dict(shape)
            for name, value in zip(shared, made, strict=True):
                layers = [d for d in space.dimensions if d.name.rpartition(".")[0] == name]
                chosen |= {d.name: value if len(d.choices) > 1 else d.choices[0] for d in layers}
                if not layers:
                    chosen[name] = value
            candidate = space.candidate(chosen)
            if candidate not in seen:
                seen.add(candidate)
                yield candidate


def pareto(space: Space) -> Method:
    """Multi-objective search with Optuna's tree of Parzen estimators: accuracy against `price`.

    Proposal n has seen the rows of the first n - lag. Limits are constraints of the sampler.
    """
    try:
        import optuna
    except ImportError:
        raise InputError(
            "method \"pareto\" needs Optuna: pip install 'bitwright[search]', or leave it out of "
            "search.methods"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    limits = list(space.budget.limits)

    def excess(trial: Any) -> list[float]:
        return [float(trial.user_attrs.get(column, 0.0)) for column in limits]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constraints and multivariate are called experimental
        sampler = optuna.samplers.TPESampler(
            seed=space.search.seed,
            multivariate=True,
            n_startup_trials=max(min(10, space.search.trials // 3), 1),
            constraints_func=excess if limits else None,
        )
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    asked: list[tuple[Any, Handle]] = []
    for n in range(space.search.trials):
        if n >= space.search.lag:
            trial, handle = asked[n - space.search.lag]
            row = yield handle
            if "error" in row:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                for column in limits:
                    trial.set_user_attr(column, row[column] - space.budget.limits[column])
                study.tell(trial, [row["accuracy"], price(row)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = study.ask()
            chosen: dict[str, Any] = {
                d.name: trial.suggest_categorical(d.name, list(d.choices))
                if isinstance(d.choices[0], (str, bool)) or len(d.choices) == 1
                else d.choices[trial.suggest_int(d.name, 0, len(d.choices) - 1)]
                for d in space.dimensions
            }
        handle = yield Task("candidate", space.candidate(chosen))
        asked.append((trial, handle))


def finalists(space: Space, rows: list[tuple[Candidate, Mapping[str, Any]]]) -> Method:
    """The points of the front within the budget, at most so many, to be trained in full."""
    fitting = [(c, row) for c, row in rows if not space.budget.excess(row)]
    best = front(fitting, lambda p: float(p[1]["accuracy"]), lambda p: price(p[1]))
    for candidate, _ in spread(best, space.search.finalists):
        yield Task("final", candidate)


def ilp(space: Space) -> Method:
    """Integer programs on tables of sensitivity and cost, at prices from the least to the most.

    `trials` networks over all shapes. A budget that no network of a shape fits is explained.
    """
    from bitwright.search.program import Program

    shapes = list(space.shapes())
    waiting = []
    for shape in shapes:
        handle = yield Task("tables", space.candidate(shape))
        waiting.append((shape, handle))
    each = max(space.search.trials // len(shapes), 1)
    proposed = set()
    for shape, handle in waiting:
        row = yield handle
        told = ", ".join(f"{d.name} {shape[d.name]}" for d in _shaping(space)) or "this shape"
        if "error" in row:
            yield Note(f"ilp, {told}: {row['error']}")
            continue
        program = Program(space, shape, row)
        limits = space.budget.limits
        reach = program.prices(limits)
        if reach is None:
            yield Note(f"ilp, {told}: {program.explain(limits)}")
            continue
        low, high = max(reach[0], 1.0), max(reach[1], 1.0)
        for i in range(each):
            price = low * (high / low) ** (i / max(each - 1, 1))
            found = program.solve(limits, price * (1 + 1e-6))
            if found is not None and (candidate := space.candidate(found.chosen)) not in proposed:
                proposed.add(candidate)
                yield Task("candidate", candidate)


def _shaping(space: Space) -> list[Dimension]:
    return [d for d in space.dimensions if d.name not in space.precision and len(d.choices) > 1]


def differentiable(space: Space) -> Method:
    """Learned bits under the differentiable cost, of every shape, one network for each pressure.

    Every weight and activation begins with ample bits, and keeps what the loss pays for.
    """
    for shape in space.shapes():
        for pressure in space.search.pressures:
            yield Task("candidate", space.candidate(shape, pressure))


METHODS = {"uniform": uniform, "pareto": pareto, "ilp": ilp, "differentiable": differentiable}
