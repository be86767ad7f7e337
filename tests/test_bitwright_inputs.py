"""Rows of users, in either order of an image's axes; vectors at the corners of a type."""

from pathlib import Path

import numpy as np
import pytest

from bitwright.inputs import corner_vectors, quantised_rows
from bitwright.models.errors import InputError
from bitwright.models.graph import Graph
from bitwright.models.zoo import random_cnn, random_mlp


@pytest.fixture
def image() -> Graph:
    return random_cnn((4, 3, 2), (2,), weight_bits=2, activation_bits=2)


def test_images_are_taken_with_their_channels_first_or_last(image: Graph, tmp_path: Path) -> None:
    kind, scale = image.input.type, image.ports[image.input.name].scale
    wanted = np.random.default_rng(0).integers(kind.min, kind.max, (5, 4, 3, 2), endpoint=True)
    last = (wanted * scale).astype(np.float32)
    first = np.moveaxis(last, -1, 1)
    for name, rows in (("last", last), ("first", first), ("flat", first.reshape(5, -1))):
        np.savez(tmp_path / f"{name}.npz", x=rows)
        assert np.array_equal(quantised_rows(image, tmp_path / f"{name}.npz"), wanted), name
    assert np.array_equal(quantised_rows(image, tmp_path / "first.npz", 2), wanted[:2])
    np.savez(tmp_path / "short.npz", x=last[:, 1:])
    with pytest.raises(InputError, match="give 24 numbers each"):
        quantised_rows(image, tmp_path / "short.npz")


def test_a_square_image_has_its_channels_first(tmp_path: Path) -> None:
    graph = random_cnn((3, 3, 3), (2,), weight_bits=2, activation_bits=2)
    kind, scale = graph.input.type, graph.ports[graph.input.name].scale
    wanted = np.random.default_rng(0).integers(kind.min, kind.max, (5, 3, 3, 3), endpoint=True)
    np.savez(tmp_path / "x.npz", x=(np.moveaxis(wanted, -1, 1) * scale).astype(np.float32))
    assert np.array_equal(quantised_rows(graph, tmp_path / "x.npz"), wanted)


def test_vectors_are_taken_whatever_their_shape(tmp_path: Path) -> None:
    graph = random_mlp((6, 3), (4,), (6,))
    kind, scale = graph.input.type, graph.ports[graph.input.name].scale
    wanted = np.random.default_rng(0).integers(kind.min, kind.max, (5, 6), endpoint=True)
    for shape in ((5, 6), (5, 1, 2, 3)):
        np.savez(tmp_path / "x.npz", x=(wanted * scale).reshape(shape).astype(np.float32))
        assert np.array_equal(quantised_rows(graph, tmp_path / "x.npz"), wanted)


def test_corners_reach_both_ends_of_the_type(image: Graph) -> None:
    for graph in (image, random_mlp((5, 3), (4,), (6,))):
        kind, rows = graph.input.type, corner_vectors(graph)
        assert rows.shape[1:] == graph.input.shape
        assert rows.min() == kind.min and rows.max() == kind.max
        flat = rows.reshape(len(rows), -1)
        assert len(np.unique(flat, axis=0)) == len(flat) == 8
        assert {kind.min} in map(set, flat.tolist()) and {kind.max} in map(set, flat.tolist())
