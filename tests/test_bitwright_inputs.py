"""Rows of data reach the graph in its own order, whatever shape the file has; corner vectors."""

import numpy as np
import pytest

from bitwright.inputs import arranged, corner_vectors, random_vectors
from bitwright.models.errors import InputError
from bitwright.models.graph import Add, Builder, Graph, IntType, MaxPool, Window


def graph(*shape: int) -> Graph:
    b = Builder("net")
    x = b.input("x", shape, IntType(4, signed=True))
    if len(shape) == 3:
        return b.graph(b.add("y", MaxPool(Window((1, 1))), x))
    return b.graph(b.add("y", Add((1, 1)), x, x))


CHANNELS_LAST = np.arange(2 * 4 * 5 * 3, dtype=np.float32).reshape(2, 4, 5, 3)


@pytest.mark.parametrize("shape", [(3, 4, 5), (60,), (4, 5, 3)], ids=str)
def test_images(shape: tuple[int, ...]) -> None:
    """As torch has them, flat as a model takes them that makes an image of them, or ours."""
    first = np.moveaxis(CHANNELS_LAST, -1, 1)
    rows = CHANNELS_LAST if shape == (4, 5, 3) else first.reshape(2, *shape)
    assert np.array_equal(arranged(graph(4, 5, 3), rows), CHANNELS_LAST)


def test_an_image_that_could_be_either_has_its_channels_first() -> None:
    cube = np.arange(27, dtype=np.float32).reshape(1, 3, 3, 3)
    assert np.array_equal(arranged(graph(3, 3, 3), cube), np.moveaxis(cube, 1, -1))


def test_sequences_and_vectors() -> None:
    sequence = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    expected = np.moveaxis(sequence, 1, -1)[:, None]
    assert np.array_equal(arranged(graph(1, 4, 3), sequence), expected)
    assert arranged(graph(12), sequence).tolist() == [list(range(12))]


@pytest.mark.parametrize("shape", [(5, 4, 3), (3, 4, 4), (61,), (20, 3)], ids=str)
def test_other_rows_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"rows of x have shape .* takes \(3, 4, 5\), channels fi"):
        arranged(graph(4, 5, 3), np.zeros((2, *shape), np.float32))


def test_vectors_of_another_size_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"rows of x have shape \(11,\), and input x takes \(12,\)"
    ):
        arranged(graph(12), np.zeros((2, 11), np.float32))


@pytest.mark.parametrize("shape", [(5,), (4, 3, 2)], ids=str)
def test_corners_reach_both_ends_of_the_type(shape: tuple[int, ...]) -> None:
    known = graph(*shape)
    kind, rows = known.input.type, corner_vectors(known)
    assert rows.shape == (8, *shape)
    assert (rows.min(), rows.max()) == (kind.min, kind.max)
    flat = rows.reshape(8, -1).tolist()
    assert len({tuple(row) for row in flat}) == 8
    assert {kind.min} in map(set, flat) and {kind.max} in map(set, flat)


def test_fewer_random_vectors_of_a_slow_design() -> None:
    known = graph(5)
    assert len(random_vectors(known)) == 10_000
    assert len(random_vectors(known, interval=50_000)) == 1_000
    assert len(random_vectors(known, 2_000, interval=50_000)) == 2_000
