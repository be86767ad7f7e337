"""Types, names and the checks a graph makes of itself."""

import numpy as np
import pytest

from bitwright.models.errors import GraphError
from bitwright.models.graph import Dense, Graph, IntType, Node, Plain, Port, Threshold, Value


def dense(
    name: str = "fc", weights: object = ((1, -2), (3, 0)), width: int = 3, kind: str = "s8"
) -> Node:
    matrix = np.array(weights)
    bits = IntType(int(kind[1:]), kind[0] == "s")
    op = Dense(Plain(matrix, width), np.zeros(matrix.shape[1], int))
    return Node(op, ("x",), Value(name, (matrix.shape[1],), bits))


def graph(*nodes: Node, name: str = "net", outputs: tuple[str, ...] = ("fc",)) -> Graph:
    x = Value("x", (2,), IntType(4, True))
    return Graph(name, (x,), nodes, outputs, {n: Port(1.0) for n in ("x", *outputs)})


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(0, 0, "u1"), (0, 1, "u1"), (0, 7, "u3"), (-1, 0, "s1"), (-1, 1, "s2"), (-8, 7, "s4"),
     (-9, 0, "s5"), (-1, 8, "s5"), (0, 1 << 40, "u41")],
)  # fmt: skip
def test_narrowest_type_holds_the_range_and_no_narrower_one_does(
    low: int, high: int, text: str
) -> None:
    kind = IntType.holding(low, high)
    assert str(kind) == text
    assert kind.min <= low and high <= kind.max
    if kind.width > 1:
        narrower = IntType(kind.width - 1, kind.signed)
        assert low < narrower.min or high > narrower.max


@pytest.mark.parametrize("width", [0, -1, 65])
def test_impossible_widths_are_refused(width: int) -> None:
    with pytest.raises(GraphError, match=f"{width} bits"):
        IntType(width, True)


@pytest.mark.parametrize(
    "name", ["../x", "reg", "Module", "1st", "a b", "a__b", "a_", "", "x" * 65]
)
def test_names_that_cannot_be_identifiers_are_refused(name: str) -> None:
    with pytest.raises(GraphError, match="rename"):
        Value(name, (1,), IntType(1, False))


def test_a_graph_prints_as_one_line_a_node() -> None:
    assert str(graph(dense())) == "graph net(x:s4[2])\n  fc:s8[2] = dense(x)\n  return fc"


def test_a_graph_knows_the_range_of_every_channel() -> None:
    bounds = graph(dense()).intervals["fc"]
    # x in -8..7: 1*x0 + 3*x1, and -2*x0.
    assert list(bounds.low) == [-32, -14]
    assert list(bounds.high) == [28, 16]


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((dense(kind="s5"),), r"-32\.\.28.*s5"),
        ((dense(weights=((1,),)),), "1 channels"),
        ((Node(dense().op, ("y",), dense().output),), "reads 'y'"),
        ((dense(), dense("FC")), "named 'FC'"),
        ((Node(dense().op, ("x",), Value("fc", (3,), IntType(8, True))),), r"\(2,\).*\(3,\)"),
        ((Node(dense().op, ("x", "x"), dense().output),), "reads 2 tensors"),
    ],
)
def test_a_wrong_graph_names_its_node(nodes: tuple[Node, ...], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        graph(*nodes)


def test_outputs_ports_and_labels_are_checked() -> None:
    x = Value("x", (2,), IntType(4, True))
    ports = {"x": Port(1.0), "fc": Port(1.0)}
    with pytest.raises(GraphError, match="'gone'"):
        Graph("net", (x,), (dense(),), ("gone",), ports)
    with pytest.raises(GraphError, match="ports"):
        Graph("net", (x,), (dense(),), ("fc",), {"x": Port(1.0)})
    with pytest.raises(GraphError, match="above 0"):
        Graph("net", (x,), (dense(),), ("fc",), ports | {"x": Port(0.0)})
    with pytest.raises(GraphError, match="3 labels"):
        Graph("net", (x,), (dense(),), ("fc",), ports, ("a", "b", "c"))


def test_weights_must_fit_their_codec() -> None:
    with pytest.raises(GraphError, match="3-bit"):
        Plain(np.array([[4]]), 3)
    with pytest.raises(GraphError, match="binary"):
        Plain(np.array([[0]]), 1)
    with pytest.raises(GraphError, match="integer array"):
        Plain(np.array([[0.5]]), 3)


def test_thresholds_must_be_sorted() -> None:
    with pytest.raises(GraphError, match="sorted"):
        Threshold(np.array([[2, 1]]), np.array([0]), np.array([1]))
