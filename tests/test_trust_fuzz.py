"""Differential fuzzing: a short run, every failure that was kept, and mistakes that it finds."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from bitwright.models.graph import (
    Builder,
    Codec,
    Conv2d,
    Dense,
    Folded,
    Graph,
    IntType,
    Op,
    Plain,
    Plan,
    Requantize,
    Unrolled,
    evaluate,
)
from bitwright.rtl_tb import Design, Form, emit
from trust import results
from trust.engines import ENGINES, answered, asked, compare
from trust.fuzz import run_batch
from trust.networks import network
from trust.oracle import Oracle, OracleError
from trust.regressions import FOLDER, keep, kept
from trust.shrink import shrink, symptom


def test_a_batch_agrees_everywhere() -> None:
    batch = run_batch(seed=2026, first=0, count=8)
    assert not batch.wrong and not batch.broken
    compared = [set(verdict.compared) for verdict in batch.verdicts]
    assert sum(one >= {"reference", "rtl"} for one in compared) == len(batch.cases) >= 7
    assert sum("hls" in one for one in compared) >= 4


def test_the_oracle_and_the_reference_agree_on_many_networks() -> None:
    batch = run_batch(seed=2027, first=0, count=60, which=("reference",))
    assert not batch.wrong and not batch.broken
    assert sum(len(case.x) for case in batch.cases) > 5_000


def test_networks_are_of_every_kind() -> None:
    made = [network(0, number) for number in range(300)]
    nodes = [node for one in made for node in one.graph.nodes]
    assert {type(node.op) for node in nodes} == set(get_args(Op))
    codecs = {type(n.op.weights) for n in nodes if isinstance(n.op, Dense | Conv2d)}
    assert codecs == set(get_args(Codec))
    widths = {one.graph.input.type.width for one in made}
    widths |= {n.op.weights.width for n in nodes
               if isinstance(n.op, Dense | Conv2d) and isinstance(n.op.weights, Plain)}  # fmt: skip
    assert widths == set(range(1, 17))
    engines = [engine for one in made for engine in one.plan.engines.values()]
    assert any(isinstance(e, Folded) and e.loadable for e in engines)
    assert any(isinstance(e, Folded) and e.pe > 1 and e.simd > 1 for e in engines)
    assert any(isinstance(e, Unrolled) and e.stages > 1 for e in engines)
    assert any(one.plan.redundancy == 3 for one in made)
    assert any(isinstance(n.op, Conv2d) and 1 < n.op.groups < n.op.channels for n in nodes)
    assert {one.io for one in made} == {"io_parallel", "io_stream"}


def test_equal_numbers_make_equal_networks() -> None:
    one, two = network(3, 5), network(3, 5)
    assert str(one.graph) == str(two.graph) and one.plan.engines == two.plan.engines
    assert str(network(4, 5).graph) != str(one.graph)


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir()))
def test_what_was_found_stays_mended(name: str) -> None:
    case = kept(FOLDER / name)
    engines = ENGINES if name.startswith("hls") else ENGINES[:2]
    (verdict,) = compare([case], engines)
    assert not verdict.wrong and len(verdict.compared) == len(engines)


def mistaken(graph: Graph, plan: Plan, folder: Path, form: Form) -> Design:
    """An emitter with ties upwards instead of to even."""
    nodes = tuple(
        replace(node, op=replace(node.op, rounding="half_up"))
        if isinstance(node.op, Requantize) and node.op.rounding == "half_even"
        else node
        for node in graph.nodes
    )
    return emit(replace(graph, nodes=nodes), plan, folder, form)


def test_a_mistake_in_an_emitter_is_found_and_shrunk(tmp_path: Path) -> None:
    b = Builder("found")
    x = b.input("x", (6,), IntType(5, True))
    weights = np.random.default_rng(0).integers(-4, 4, (6, 4))
    y = b.add("fc", Dense(Plain(weights, 3), np.arange(4)), x)
    even = Requantize(np.array([1, 3, 1, 5]), np.array([1, 0, 2, 0]), 2)
    y = b.add("scale", even, y, kind=IntType(4, True))
    y = b.add("last", Dense(Plain(weights.T.copy(), 3), np.arange(6)), y)
    graph = b.graph(y)
    plan = Plan({node.name: Unrolled(2) for node in graph.nodes})
    dice = np.random.default_rng(1)
    case = answered(replace(network(0, 0), graph=graph, plan=plan, loaded=None, form="plain"),
                    dice.integers(-16, 16, (40, 6)))  # fmt: skip
    (verdict,) = compare([case], ("rtl",), mistaken)
    what = verdict.wrong["rtl"]
    assert "outputs differ" in what
    assert not compare([case], ("rtl",))[0].wrong
    small = shrink(case, symptom("rtl", what), mistaken)
    (node,) = small.network.graph.nodes
    assert isinstance(node.op, Requantize) and len(small.x) == 1
    place = keep(small, "rtl", what, "a test", tmp_path)
    again = kept(place)
    assert np.array_equal(again.expected, small.expected)
    assert compare([again], ("rtl",), mistaken)[0].wrong and not compare([again], ("rtl",))[0].wrong


def test_a_mistake_in_the_reference_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trust.engines.evaluate", lambda graph, x: evaluate(graph, x) ^ 1)
    batch = run_batch(seed=2026, first=0, count=3, which=("reference",))
    assert all("reference" in verdict.wrong for verdict in batch.verdicts)


def test_a_crash_is_a_difference_and_a_refusal_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def crashes(graph: Graph, plan: Plan, folder: Path, form: Form) -> Design:
        raise ZeroDivisionError("here")

    verdict = compare([network_case()], ("rtl",), crashes)[0]
    assert "ZeroDivisionError: here" in verdict.wrong["rtl"] and not verdict.compared


def network_case():  # type: ignore[no-untyped-def]
    return run_batch(seed=2026, first=0, count=1, which=()).cases[0]


def test_the_oracle_refuses_what_leaves_a_type() -> None:
    b = Builder("narrow")
    x = b.input("x", (2,), IntType(4, True))
    y = b.add("fc", Dense(Plain(np.ones((2, 1), int), 2), np.zeros(1, int)), x)
    graph = b.graph(y)
    assert asked(graph, np.array([[7, 7]])).tolist() == [[14]]
    object.__setattr__(graph.nodes[0].output, "type", IntType(4, True))
    with pytest.raises(OracleError, match="14"):
        Oracle(graph)([7, 7])


def rows_of(folder: Path) -> Iterator[tuple[str, str]]:
    yield from ((row["first"], row["networks"]) for row in results.rows("fuzz", folder))


def test_rows_are_replaced_by_key_and_summed(tmp_path: Path) -> None:
    for first, networks, differences in ((0, 5, 1), (16, 6, 0), (0, 7, 0)):
        row = {"seed": 0, "first": first, "networks": networks, "vectors": 10,
               "differences": differences, "note": "a, b"}  # fmt: skip
        results.record("fuzz", ("seed", "first"), row, tmp_path)
    assert list(rows_of(tmp_path)) == [("0", "7"), ("16", "6")]
    summary = tmp_path / "trust.json"
    summary.write_text('{"proofs": {"cells": 3}}')
    results.summarise(tmp_path, summary)
    assert summary.read_text().split() == (
        '{ "proofs": { "cells": 3 }, "fuzz": '
        '{ "networks": 13, "vectors": 20, "differences": 0 } }'
    ).split()  # fmt: skip
