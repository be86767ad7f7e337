"""The long layer in groups is the same layer: every output with its weights, once."""

import numpy as np
import pytest

from benchmarks.subbit import dense_graph, grouped, long_table
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


def test_the_tables_lines_are_the_rows() -> None:
    def row(tiled: int, bits: int) -> dict[str, object]:
        luts = {"luts": {"u1": tiled, "u4": 2 * tiled}, "plain_luts": {"u1": 4000, "u4": 9000}}
        return {**luts, "stored_bits": bits}

    lines = long_table([row(1000, 8192), row(500, 4096)]).splitlines()
    assert lines[2] == "| 4 | u1 | 1,000 | 4,000 | 0.250 | 0.275 | 8,192 of 32,768 |"
    assert lines[5] == "| 8 | u4 | 1,000 | 9,000 | 0.111 | 0.138 | 4,096 of 32,768 |"
