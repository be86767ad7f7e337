"""Estimates a second: many plans of one network at a time, against `estimate` one by one."""

import numpy as np

from benchmarks.row import Row, seconds, write
from bitwright.cost_model import PlanTable, estimate
from bitwright.models.zoo import random_mlp

PLANS = 100_000
ONE_BY_ONE = 20


def main() -> None:
    """A network of five dense layers and four quantisers on xc7, plans drawn at random."""
    graph = random_mlp((16, 64, 32, 32, 32, 5), (6, 4, 3, 4, 4), (6, 5, 4, 4, 4))
    rng = np.random.default_rng(0)
    table = PlanTable(graph, "xc7")
    choices = np.stack([rng.integers(0, len(o), PLANS) for o in table.options], axis=1)
    plans = [table.plan(choice.tolist()) for choice in choices[:ONE_BY_ONE]]
    each = seconds(lambda: [estimate(graph, plan) for plan in plans], 3) / ONE_BY_ONE
    many = seconds(lambda: table.estimate(choices)) / PLANS
    whole = seconds(lambda: PlanTable(graph, "xc7").estimate(choices), 3) / PLANS
    write(
        "estimates",
        [
            Row("one by one", 1 / each, "plans/s", "itself", 1.0),
            Row("many, with the table", 1 / many, "plans/s", "one by one", each / many),
            Row("many, and making the table", 1 / whole, "plans/s", "one by one", each / whole),
        ],
    )


if __name__ == "__main__":
    main()
