"""The long layer in groups is the same layer: every output with its weights, once."""

import numpy as np
import pytest

from benchmarks.subbit import dense_graph, grouped
from bitwright.models.graph import Codec, Dense, IntType, Plain, Tiled, decode, stored_bits


def weights_of(graph_part: object) -> np.ndarray:
    op = graph_part.nodes[0].op
    assert isinstance(op, Dense)
    return decode(op.weights)


@pytest.mark.parametrize("copies", [1, 2, 4])
@pytest.mark.parametrize("outputs", [2, 4, 16])
def test_groups_hold_every_output_once(copies: int, outputs: int) -> None:
    rng = np.random.default_rng(0)
    shape = (6, 16)
    codec: Codec = Plain(rng.choice([-1, 1], shape), 1)
    if copies > 1:
        codec = Tiled(rng.choice([-1, 1], 6 * 16 // copies), shape)
    parts = grouped(dense_graph("layer", codec, IntType(4, False)), outputs)
    assert len(parts) == -(-16 // copies // outputs)
    assert len({part.name for part in parts}) == len(parts)
    together = np.concatenate([weights_of(part) for part in parts], axis=1)
    assert sorted(map(tuple, together.T)) == sorted(map(tuple, decode(codec).T))
    bits = sum(stored_bits(part.nodes[0].op.weights) for part in parts)
    assert bits == stored_bits(codec)
