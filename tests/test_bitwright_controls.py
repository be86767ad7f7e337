"""The negative controls: each mistake is small, visible, and of its kind."""

from dataclasses import replace

import numpy as np
import pytest

from bitwright.controls import KINDS, mistakes
from bitwright.models.graph import Dense, Graph, Plain, decode, evaluate
from bitwright.models.zoo import random_mlp


def vectors(graph: Graph, count: int = 2000) -> np.ndarray:
    kind = graph.input.type
    shape = (count, *graph.input.shape)
    return np.random.default_rng(1).integers(kind.min, kind.max + 1, shape)


def small(form: str, bits: int = 3) -> Graph:
    return random_mlp((8, 12, 4), (bits, bits), (5, 4), form=form)


@pytest.mark.parametrize("form", ["requantize", "threshold"])
@pytest.mark.parametrize("bits", [1, 3])
def test_every_kind_of_mistake_shows(form: str, bits: int) -> None:
    graph = small(form, bits)
    x = vectors(graph)
    found = mistakes(graph, x)
    assert [m.name for m in found] == list(KINDS)
    for mistake in found:
        wrong = np.any(evaluate(mistake.graph, x) != evaluate(graph, x), axis=1).sum()
        assert mistake.differing == wrong > 0
        assert mistake.graph.output == graph.output  # an engine for it has the same ports


def test_one_bit_of_one_weight_is_flipped() -> None:
    graph = small("requantize")
    (flipped,) = (m for m in mistakes(graph, vectors(graph)) if m.name == "flipped weight bit")
    changed = []
    for node, other in zip(graph.nodes, flipped.graph.nodes, strict=True):
        if isinstance(node.op, Dense) and isinstance(other.op, Dense):
            before, after = decode(node.op.weights), decode(other.op.weights)
            changed += list(zip(before[before != after], after[before != after], strict=True))
    ((before, after),) = changed
    assert int(before ^ after).bit_count() == 1


def test_two_outputs_are_swapped_and_nothing_else() -> None:
    graph = small("threshold")
    x = vectors(graph)
    (swapped,) = (m for m in mistakes(graph, x) if m.name == "swapped outputs")
    right, wrong = evaluate(graph, x), evaluate(swapped.graph, x)
    assert np.array_equal(np.sort(right, axis=1), np.sort(wrong, axis=1))
    assert (right != wrong).any(axis=0).sum() == 2


def test_a_network_that_answers_always_the_same_has_no_visible_mistake() -> None:
    graph = random_mlp((8, 4), (3,), (4,))
    (node,) = graph.nodes
    assert isinstance(node.op, Dense)
    zero = Dense(Plain(np.zeros((8, 4), np.int64), 3), np.zeros(4, np.int64))
    dead = replace(graph, nodes=(replace(node, op=zero),))
    assert {m.name for m in mistakes(dead, np.zeros((5, 8), np.int64))} == set()
