"""Many plans at a time are estimated as one by one."""

import numpy as np
import pytest

from bitwright.cost_model import PlanTable, estimate
from bitwright.models.errors import GraphError, InputError
from bitwright.models.graph import TARGETS, Target
from bitwright.models.zoo import random_cnn, random_mlp


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("solved", [False, True])
def test_equal_to_one_by_one(target: Target, solved: bool) -> None:
    graph = random_mlp((8, 8, 6, 4), (4, 1, 3), (4, 3, 2), form="threshold")
    table = PlanTable(graph, target, solved=solved)
    rng = np.random.default_rng(3)
    choices = np.stack([rng.integers(0, len(o), 12) for o in table.options], axis=1)
    many = table.estimate(choices)
    for row, choice in enumerate(choices):
        one = estimate(graph, table.plan(choice.tolist()), solved=solved)
        low, high = one.band
        for counts, cost in ((many.total, one.total), (many.low, low), (many.high, high)):
            assert {name: int(n[row]) for name, n in counts.items()} == cost.as_dict()
        assert many.latency[row] == one.latency and one.ii == 1
        assert many.clock_mhz[row] == one.clock_mhz
    assert len(set(many.total["ff"].tolist())) > 1  # the plans do differ


def test_options_of_ones_own() -> None:
    graph = random_mlp((4, 4, 2), (3, 3), (3, 3))
    table = PlanTable(graph, "xc7", {"fc0": (2, 5), "act0": (1,), "fc1": (3,)})
    assert table.options == ((2, 5), (1,), (3,)) and table.nodes == ("fc0", "act0", "fc1")
    assert table.estimate(np.array([[1, 0, 0], [0, 0, 0]])).latency.tolist() == [9, 6]
    with pytest.raises(GraphError, match="0 pipeline stages"):
        PlanTable(graph, "xc7", {"fc0": (0,), "act0": (1,), "fc1": (3,)})


def test_what_lies_between_fifos_is_refused() -> None:
    with pytest.raises(InputError, match="one by one"):
        PlanTable(random_cnn((6, 6, 2), (2,)), "xc7")
