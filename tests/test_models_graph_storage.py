"""Graphs on disk: equal after a round trip, and damaged ones refused in one sentence."""

import errno
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bitwright.models.errors import GraphError, StorageError
from bitwright.models.graph import (
    Builder,
    Dense,
    Graph,
    IntType,
    Node,
    Plain,
    Port,
    Requantize,
    Threshold,
    Value,
    digest,
    evaluate,
    load,
    quantise,
    save,
)


def tiny_graph() -> Graph:
    s8, u2 = IntType(8, True), IntType(2, False)
    nodes = (
        Node(Dense(Plain(np.array([[1, -2], [3, 0]]), 3), np.array([1, -1])), ("x",),
             Value("fc", (2,), s8)),
        Node(Threshold(np.array([[-3, 0, 5], [-1, 1, 2]]), np.array([0, 3]), np.array([1, -1])),
             ("fc",), Value("act", (2,), u2)),
        Node(Requantize(np.array([3, -3]), np.array([1, 0]), 1, "half_up", True), ("act",),
             Value("y", (2,), IntType(4, True))),
    )  # fmt: skip
    x = Value("x", (2,), IntType(4, True))
    return Graph("tiny", (x,), nodes, ("y",), {"x": Port(0.5, -0.5), "y": Port(2.0)}, ("a", "b"))


def test_a_binary_port_survives_too(tmp_path: Path) -> None:
    b = Builder("net")
    x = b.input("x", (2,), IntType(1, signed=False))
    y = b.add("fc", Dense(Plain(np.array([[1, -1], [1, 1]]), 1), np.zeros(2, int)), x)
    graph = b.graph(y, ports={"x": Port(3.0, 0.25, binary=True)})
    save(graph, tmp_path / "g")
    assert load(tmp_path / "g").ports == graph.ports
    assert quantise(graph, [[2.25, 2.2499998]]).tolist() == [[1, 0]]  # 3 * (0.25 + 1/2)
    with pytest.raises(GraphError, match=r"fc is binary, and fc:s.* is not an input of type"):
        b.graph(y, ports={"fc": Port(1.0, 0.0, binary=True)})


def test_a_graph_survives_the_disk(tmp_path: Path) -> None:
    graph = tiny_graph()
    written = save(graph, tmp_path / "g")
    again = load(tmp_path / "g")
    x = np.random.default_rng(0).integers(-8, 8, (100, 2))
    assert str(again) == str(graph)
    assert (again.ports, again.labels) == (graph.ports, graph.labels)
    assert written == digest(graph) == digest(again)
    assert np.array_equal(evaluate(again, x), evaluate(graph, x))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["g"]  # no temporary folder left


def test_one_changed_weight_changes_the_digest() -> None:
    graph = tiny_graph()
    dense = graph.nodes[0]
    other = Plain(np.array([[1, -2], [3, 1]]), 3)
    changed = Node(Dense(other, np.array([1, -1])), dense.inputs, dense.output)
    twin = Graph("tiny", graph.inputs, (changed, *graph.nodes[1:]), graph.outputs, graph.ports)
    assert digest(twin) != digest(graph)


def edit_json(folder: Path, **changes: object) -> None:
    tree = json.loads((folder / "graph.json").read_text())
    (folder / "graph.json").write_text(json.dumps(tree | changes))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def replace_array(folder: Path, array: np.ndarray) -> None:
    with np.load(folder / "weights.npz") as old:
        arrays = dict(old)
    arrays["fc.weights"] = array
    np.savez(folder / "weights.npz", **arrays)


DAMAGE = {
    "no json": lambda f: (f / "graph.json").unlink(),
    "no weights": lambda f: (f / "weights.npz").unlink(),
    "half a json": lambda f: truncate(f / "graph.json"),
    "half the weights": lambda f: truncate(f / "weights.npz"),
    "empty weights": lambda f: (f / "weights.npz").write_bytes(b""),
    "not json": lambda f: (f / "graph.json").write_bytes(b"\xff\xfe\x00"),
    "a list": lambda f: (f / "graph.json").write_text("[1]"),
    "another format": lambda f: edit_json(f, format=99),
    "another name": lambda f: edit_json(f, name="other"),
    "a path as a name": lambda f: edit_json(f, name="../../etc/passwd"),
    "a huge array": lambda f: edit_json(f, arrays={"fc.weights": [1 << 40, 1 << 20]}),
    "a negative shape": lambda f: edit_json(f, arrays={"fc.weights": [-1, 2]}),
    "nodes missing": lambda f: edit_json(f, nodes=None),
    "other weights": lambda f: replace_array(f, np.array([[1, -2], [3, 1]])),
    "float weights": lambda f: replace_array(f, np.array([[1.0, -2.0], [3.0, 0.0]])),
    "a pickle": lambda f: replace_array(f, np.array([[print, 1], [2, 3]], dtype=object)),
    "other shapes": lambda f: replace_array(f, np.zeros((3, 2), int)),
    "deep nesting": lambda f: (f / "graph.json").write_text("[" * 100_000),
}


@pytest.mark.parametrize("damage", DAMAGE, ids=str)
def test_damage_is_one_sentence(tmp_path: Path, damage: str) -> None:
    save(tiny_graph(), tmp_path / "g")
    DAMAGE[damage](tmp_path / "g")
    with pytest.raises(StorageError) as caught:
        load(tmp_path / "g")
    assert (
        "bitwright lower" in str(caught.value)
        or "above the limit" in str(caught.value)
        or ("weights.npz" in str(caught.value))
    )


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    save(tiny_graph(), tmp_path / "g")
    with zipfile.ZipFile(tmp_path / "g" / "weights.npz") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents["fc.weights.npy"] += bytes(1 << 28)
    with zipfile.ZipFile(tmp_path / "g" / "weights.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    with pytest.raises(StorageError, match="too long"):
        load(tmp_path / "g")


def test_a_folder_with_other_things_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StorageError, match=r"holds no graph\.json"):
        save(tiny_graph(), tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_plain_file_is_not_replaced_and_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(StorageError, match="choose a folder"):
        save(tiny_graph(), tmp_path / "notes")
    assert (tmp_path / "notes").read_text() == "mine"
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    save(tiny_graph(), tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "graph.json").is_file()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "notes", "real"]


def test_a_full_disk_leaves_the_old_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = save(tiny_graph(), tmp_path / "g")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(StorageError, match="No space left"):
        save(tiny_graph(), tmp_path / "g")
    assert digest(load(tmp_path / "g")) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["g"]


def test_saving_again_replaces_the_graph(tmp_path: Path) -> None:
    save(tiny_graph(), tmp_path / "g")
    shutil.copytree(tmp_path / "g", tmp_path / "before")
    save(tiny_graph(), tmp_path / "g")
    for name in ("graph.json", "weights.npz"):
        assert (tmp_path / "g" / name).read_bytes() == (tmp_path / "before" / name).read_bytes()
