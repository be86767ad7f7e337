"""Where the registers of a folded product's sum go: against every other choice of places."""

from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest

from bitwright.models.errors import GraphError, StorageError
from bitwright.models.graph import Dense, Engine, Folded, IntType, Plain, Plan, Threshold, cycles
from bitwright.models.graph.build import Builder
from bitwright.models.graph.graph import Graph
from bitwright.models.graph.plan_storage import plan_from_json, plan_to_json
from bitwright.models.graph.products import Form, Products, products


@pytest.mark.parametrize("form", ["binary", "inverted", "negated", "multiplied"])
def test_no_other_places_make_shorter_pieces(form: Form) -> None:
    for terms in (1, 2, 3, 4, 7, 12, 48, 100):
        for bits in (2, 4, 8) if form == "multiplied" else (1,):
            made = Products(form, terms, bits)
            head, whole = made.product_levels, made.product_levels + made.tree_levels
            places = range(0 if head else 1, made.tree_levels)
            assert made.most_stages == len(places) + 1
            before = whole + 1
            for stages in range(1, made.most_stages + 1):
                pieces = {}
                for cuts in combinations(places, stages - 1):
                    ends = [0, *(head + cut for cut in cuts), whole]
                    pieces[cuts] = max(b - a for a, b in pairwise(ends))
                least = min(pieces.values())
                assert pieces[made.cuts(stages)] == least <= before
                before = least
                # and of those that are as good, none is later
                assert made.cuts(stages) == max(
                    c for c, longest in pieces.items() if longest == least
                )
            assert least == max(head, 1 if made.tree_levels else head)


def test_what_is_known_of_weights_says_how_they_are_multiplied() -> None:
    def form(bits: int, kind: IntType, loadable: bool = False) -> Form:
        op = Dense(Plain(np.ones((6, 2), int), bits), np.zeros(2, int))
        return products(op, kind, 6, loadable).form

    one = IntType(1, False)
    assert form(1, one) == "binary" and form(1, one, loadable=True) == "negated"
    assert form(1, IntType(1, True)) == form(1, IntType(4, False)) == "inverted"
    assert form(2, one) == form(8, one, loadable=True) == "multiplied"


def tiny() -> Graph:
    b = Builder("tiny")
    x = b.input("x", (16,), IntType(4, False))
    weights = np.random.default_rng(0).integers(-4, 4, (16, 8))
    y = b.add("fc", Dense(Plain(weights, 3), np.arange(8)), x)
    levels = Threshold(np.arange(24).reshape(8, 3), np.zeros(8, int), np.ones(8, int))
    return b.graph(b.add("relu", levels, y, kind=IntType(2, False)))


def test_each_stage_is_a_cycle() -> None:
    found = [cycles(tiny(), Plan({"fc": Folded(4, 16, s), "relu": Folded(4)})) for s in (1, 2, 5)]
    assert [f.latency - found[0].latency for f in found] == [0, 1, 4]
    assert len({f.interval for f in found}) == 1


@pytest.mark.parametrize(
    ("engines", "says"),
    [
        ({"fc": Folded(4, 16, 6)}, r"node fc \(dense\) has 6 stages: .* for 1 to 5"),
        ({"fc": Folded(4, 1, 2)}, "with simd 1 its sum has places for 1 to 1"),
        ({"relu": Folded(4, 1, 2)}, "node relu .* 2 stages: only products have stages"),
        ({"relu": Folded(4, memory="lut")}, "relu .* in LUTs: only products"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(engines: dict[str, Engine], says: str) -> None:
    with pytest.raises(GraphError, match=says):
        Plan({"fc": Folded(4, 16), "relu": Folded(4), **engines}).check(tiny())


def test_bad_values_are_refused() -> None:
    with pytest.raises(GraphError, match="0 stages: give it at least 1"):
        Folded(4, 16, 0)
    with pytest.raises(GraphError, match="memory 'bram' is not one of auto, lut, block"):
        Folded(memory="bram")  # type: ignore[arg-type]
    plan = Plan({"fc": Folded(4, 16, loadable=True, memory="lut"), "relu": Folded(4)}, "ice40")
    with pytest.raises(GraphError, match=r"node fc .* cannot be written on ice40"):
        plan.check(tiny())


def test_plans_say_it_in_json() -> None:
    engines = {"a": Folded(4, 2, 3), "b": Folded(memory="block", loadable=True), "c": Folded(2, 2)}
    tree = plan_to_json(Plan(engines))
    assert tree["engines"] == {
        "a": {"pe": 4, "simd": 2, "stages": 3},
        "b": {"pe": 1, "simd": 1, "loadable": True, "memory": "block"},
        "c": {"pe": 2, "simd": 2},
    }
    assert plan_from_json(tree).engines == engines
    for wrong in ({"stages": True}, {"memory": 3}, {"depth": 2}, {"loadable": 1}):
        bad = {**tree, "engines": {"a": {"pe": 4, "simd": 2, **wrong}}}
        with pytest.raises(StorageError, match="node 'a' has the engine"):
            plan_from_json(bad)
    assert str(engines["a"]) == "folded, pe 4, simd 2, 3 stages"
    assert str(replace(engines["b"])) == "folded, pe 1, simd 1, loadable weights, in memory blocks"
