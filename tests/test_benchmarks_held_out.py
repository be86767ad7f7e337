"""The networks that are held out of the fit: whole, and none of their layers is a sample point."""

from collections import Counter

import pytest

from benchmarks.held_out import ROWS, constants, shared_layers
from benchmarks.held_out_networks import FOLDER, Network, networks
from bitwright.cost_model import STREAMS
from bitwright.cost_model.points import Point, u
from bitwright.cost_model.rows import read_rows
from bitwright.cost_model.sweep import points
from bitwright.models.graph import Folded, Unrolled
from bitwright.models.graph.plan import is_wiring


def test_every_network_is_there_and_its_plan_fits() -> None:
    found = networks()
    assert len(found) >= 30 and len({network.name for network in found}) == len(found)
    assert {path.name for path in FOLDER.iterdir()} == {network.name for network in found}
    kinds: Counter[str] = Counter()
    for network in found:
        graph, plan = network.load()
        plan.check(graph)
        kinds["image" if len(graph.input.shape) > 1 else "vector"] += 1
        folded = any(isinstance(engine, Folded) for engine in plan.engines.values())
        kinds["folded" if folded else "unrolled"] += 1
    assert min(kinds.values()) >= 10, kinds


def test_no_layer_is_a_sample_point(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = points()
    assert shared_layers(sweep) == []
    # the control: a layer that is one is found
    mine = Point("dense", (5,), u(3), Unrolled(1), 4, bits=3)
    network = Network("control", mine.graph)
    monkeypatch.setattr(Network, "load", lambda self: (mine.graph(), mine.plan("xc7")))
    monkeypatch.setattr("benchmarks.held_out.networks", lambda: [network])
    assert shared_layers(sweep) == []
    assert shared_layers([*sweep, mine]) == ["control.y"]
    assert len(constants(mine.graph())["y"]) == len(b"(5, 4)") + 8 * 20


def test_rows_are_of_nodes_that_exist() -> None:
    known = {}
    for network in networks():
        graph, _ = network.load()
        known[network.name] = {STREAMS, *(n.name for n in graph.nodes if not is_wiring(n))}
    rows = read_rows(ROWS)
    assert rows
    for row in rows:
        assert row.part in known[row.name], row
