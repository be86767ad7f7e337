"""A study whose evaluations are made up, to be run as a process of its own, and killed.

python fake_study.py FOLDER local|tcp://…
"""

import sys
from pathlib import Path

from bitwright.models.train import Recipe
from bitwright.search.budget import Budget
from bitwright.search.cluster import DaskExecutor
from bitwright.search.executors import Executor, LocalExecutor
from bitwright.search.explore import explore
from bitwright.search.space import Search, Space

EVALUATOR = "fake_evaluator:evaluate"
MODEL = Path(__file__).resolve().parents[2] / "examples" / "dense.py"


def space(trials: int = 12, methods: tuple[str, ...] = ("pareto",), lag: int = 4) -> Space:
    """Two layers of one to eight bits; 13 in the first one fails."""
    made = Space(
        model=f"{MODEL}:dense",
        data="digits",
        arguments={"inputs": 64, "classes": 10, "hidden": [8]},
        vary={"weights": ((1, 2, 3, 4, 6, 8, 13), (1, 2, 3, 4, 6, 8))},
        sparsity={},
        budget=Budget(limits={"lut": 1200}),
        training=Recipe(),
        start=Recipe(),
        final=Recipe(),
        search=Search(methods, trials, lag=lag, finalists=2),
    )
    # Known without building a network: these tests train none.
    made.__dict__["precision"] = frozenset({"weights.0", "weights.1", "interval"})
    return made


def main() -> None:
    folder, where = Path(sys.argv[1]), sys.argv[2]
    executor: Executor
    if where == "local":
        executor = LocalExecutor(folder, 2, EVALUATOR)
    else:
        executor = DaskExecutor(where, EVALUATOR)
    try:
        explore(space(), folder, executor)
    finally:
        executor.close()


if __name__ == "__main__":
    main()
