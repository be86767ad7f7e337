"""Adder graphs are proven from their text, and no changed text is."""

import random
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bitwright.models.graph import (
    Builder,
    Conv2d,
    Dense,
    Graph,
    IntType,
    Plain,
    Plan,
    Port,
    Requantize,
    Unrolled,
    Value,
    Window,
)
from bitwright.models.graph.ops import Node
from bitwright.models.zoo import random_mlp
from bitwright.rtl_tb import Design, emit
from bitwright.rtl_tb.proof import prove_linear


def unrolled(graph: Graph, stages: int) -> Plan:
    return Plan({n.name: Unrolled(stages if n.kind == "dense" else 1) for n in graph.nodes})


def mlp(seed: int) -> tuple[Graph, Plan]:
    """Random widths; now and then binary weights, whose outputs share blocks."""
    rng = np.random.default_rng(seed)
    sizes = [int(n) for n in rng.integers(2, 14, 3)]
    width = int(rng.integers(1, 7))
    x = Value("x", (sizes[0],), IntType(int(rng.integers(1, 8)), bool(rng.integers(2))))
    shape = sizes[0], sizes[1]
    kind = IntType(width, True)
    weights = rng.choice([-1, 1], shape) if width == 1 else rng.integers(kind.min, kind.max, shape)
    bias = rng.integers(-30, 30, sizes[1])
    multiply = rng.integers(-9, 10, sizes[1])
    product = Dense(Plain(weights, width), bias)
    rounding = ("half_even", "half_up", "floor")[seed % 3]
    scale = Requantize(multiply, rng.integers(-20, 20, sizes[1]), seed % 5, rounding)  # type: ignore[arg-type]
    nodes = (
        Node(product, ("x",), Value("fc", (sizes[1],), IntType(24, True))),
        Node(scale, ("fc",), Value("act", (sizes[1],), IntType(4, bool(seed % 2)))),
    )
    graph = Graph("net", (x,), nodes, ("act",), {"x": Port(1.0), "act": Port(1.0)})
    return graph, unrolled(graph, 1 + seed % 4)


def image() -> tuple[Graph, Plan]:
    """A convolution of groups, with padding, unrolled."""
    rng = np.random.default_rng(1)
    made = Builder("image")
    x = made.input("x", (5, 4, 4), IntType(3, False))
    window = Window((3, 2), (1, 1), (1, 0, 1, 0))
    conv = Conv2d(Plain(rng.integers(-4, 4, (12, 6)), 3), rng.integers(-9, 9, 6), window, 2)
    return made.graph(made.add("conv", conv, x)), Plan({"conv": Unrolled(2)})


@pytest.mark.parametrize("seed", range(24))
def test_what_is_emitted_is_proven(seed: int, tmp_path: Path) -> None:
    graph, plan = mlp(seed)
    proofs, others = prove_linear(graph, emit(graph, plan, tmp_path / "rtl"))
    assert [one.refuted for one in proofs] == [None, None] and others == []
    assert [one.outputs for one in proofs] == [graph.nodes[0].output.size] * 2


def test_a_convolution_is_proven_against_its_own_definition(tmp_path: Path) -> None:
    graph, plan = image()
    design = emit(graph, plan, tmp_path / "rtl")
    (proof,), others = prove_linear(graph, design)
    assert proof.refuted is None and proof.outputs == 6 and others == []
    assert mutants_survive(graph, design, "conv") == []
    weights = graph.nodes[0].op.weights.values.copy()  # type: ignore[union-attr]
    weights[[0, 1]] = weights[[1, 0]]  # two taps of a kernel changed places
    op = replace(graph.nodes[0].op, weights=Plain(weights, 3))  # type: ignore[call-arg]
    other = replace(graph, nodes=(replace(graph.nodes[0], op=op),))
    assert prove_linear(other, design)[0][0].refuted is not None


def mutants(text: str) -> Iterator[tuple[str, str]]:
    """Texts with one thing changed, each of another meaning, and what was changed."""
    body = text.index("wire")
    names = sorted(set(re.findall(r"\b[xt]\d+(?:_s\d+)?\b", text[body:])))
    dice = random.Random(len(text))

    def at(found: re.Match[str], new: str, group: int = 0) -> str:
        return text[: found.start(group)] + new + text[found.end(group) :]

    for found in re.finditer(r"(?<=[\w)]) ([+-]) (?=[\w(])", text):
        if found.start() > body and "//" not in text[text.rindex("\n", 0, found.start()) :][:5]:
            yield "operator", at(found, "-" if found[1] == "+" else "+", 1)
    for found in re.finditer(r"<< (\d+)\)", text):
        yield "shift", at(found, str(int(found[1]) + 1), 1)
    for found in re.finditer(r"(?:\d'|= )(\()?([xt]\d+(?:_s\d+)?)\b", text):
        other = dice.choice([name for name in names if name != found[2]])
        yield "operand", at(found, other, 2)
    for found in re.finditer(r"<= ([xt]\d+(?:_s\d+)?);", text):
        other = dice.choice([name for name in names if name != found[1]])
        yield "register", at(found, other, 1)
    for found in re.finditer(r"\d+'s?d(\d+)", text):
        yield "constant", at(found, str(int(found[1]) ^ 1), 1)
    for found in re.finditer(r"= data_i\[(\d+):(\d+)\]", text):
        yield "slice", at(found, f"= data_i[{int(found[1]) + 1}:{int(found[2]) + 1}]")
    for found in re.finditer(r"\b(y\d+), (y\d+)\b", text):
        yield "order", at(found, f"{found[2]}, {found[1]}")
    for found in re.finditer(r"(?:wire|logic) (?:signed )?\[(\d+):0\] [xtyp]\d", text):
        if int(found[1]):
            yield "width", at(found, str(int(found[1]) - 1), 1)
    for found in re.finditer(r"Stages\((\d+)\)", text):
        yield "stages", at(found, str(int(found[1]) + 1), 1)
    for found in re.finditer(r"\.(Shift|HalfEven|OutSigned|Narrow)\((\d+)\)", text):
        yield "rounding", at(found, str(int(found[2]) ^ 1), 2)
    for found in re.finditer(r"\n      \w+ <= \w+;", text):
        yield "lost register", at(found, "")


def meaning_is_kept(what: str, text: str, changed: str) -> bool:
    """Whether two outputs that changed places are defined alike."""
    if what != "order":
        return False
    (before,) = [a for a, b in zip(text.split("\n"), changed.split("\n"), strict=True) if a != b]
    (after,) = [b for a, b in zip(text.split("\n"), changed.split("\n"), strict=True) if a != b]
    names = re.findall(r"y\d+", before), re.findall(r"y\d+", after)
    moved = [pair for pair in zip(*names, strict=True) if pair[0] != pair[1]]
    defined = dict(re.findall(r"wire \[\d+:0\] (y\d+) = (.*);", text))
    return all(a in defined and defined[a] == defined[b] for a, b in moved)


def mutants_survive(graph: Graph, design: Design, node: str) -> list[str]:
    """The changes of a node's module after which it is still said to be proven."""
    file = next(f for f in design.files if f.stem == design.modules[node])
    text, survivors = file.read_text(), []
    for what, changed in mutants(text):
        file.write_text(changed)
        (proof,) = [one for one in prove_linear(graph, design)[0] if one.node == node]
        if proof.refuted is None and not meaning_is_kept(what, text, changed):
            different = [(a, b) for a, b in zip(text.split("\n"), changed.split("\n"), strict=False)
                         if a != b]  # fmt: skip
            survivors.append(f"{what}: {different[:1]}")
    file.write_text(text)
    return survivors


@pytest.mark.parametrize("seed", [0, 3, 6, 7, 10, 13])
def test_no_changed_text_is_proven(seed: int, tmp_path: Path) -> None:
    graph, plan = mlp(seed)
    design = emit(graph, plan, tmp_path / "rtl")
    kinds: set[str] = set()
    for node in ("fc", "act"):
        text = (design.folder / f"net_{node}.sv").read_text()
        kinds |= {what for what, _ in mutants(text)}
        assert mutants_survive(graph, design, node) == []
    assert {"operator", "operand", "constant", "slice", "width", "stages", "rounding"} <= kinds


def test_inputs_that_can_be_larger_overflow(tmp_path: Path) -> None:
    """The hardware of a graph for small inputs is not proven for one with large ones."""
    graph, plan = mlp(3)
    design = emit(graph, plan, tmp_path / "rtl")
    file = next(f for f in design.files if f.stem == "net_fc")
    x = graph.inputs[0]
    lines = file.read_text()
    wide = replace(graph, inputs=(Value("x", x.shape, IntType(x.type.width + 1, x.type.signed)),))
    assert "data_i" in (prove_linear(wide, design)[0][0].refuted or "")
    # The same ports, and a sum of one bit less than it needs, which a wider one reads.
    sums = re.findall(r"wire (?:signed )?\[(\d+):0\] (t\d+) =", lines)
    width, name = next((w, n) for w, n in sums if re.search(rf"\d+'\({n}\)", lines))
    narrow = re.sub(rf"\[{width}:0\] {name}\b", f"[{int(width) - 1}:0] {name}", lines)
    own = re.search(rf"^.*\b{name} = .*$", narrow, re.MULTILINE)
    assert own is not None
    cut = own[0].replace(f"{int(width) + 1}'(", f"{width}'(")
    file.write_text(narrow.replace(own[0], cut))
    refuted = prove_linear(graph, design)[0][0].refuted
    assert refuted is not None and (f"{name} overflows" in refuted or "bits among" in refuted)


def test_other_text_is_refused_and_not_overlooked(tmp_path: Path) -> None:
    graph, plan = mlp(1)
    design = emit(graph, plan, tmp_path / "rtl")
    file = next(f for f in design.files if f.stem == "net_fc")
    text = file.read_text()
    for old, new, why in (
        ("endmodule", "initial $finish; endmodule", "cannot be read: initial"),
        ("assign data_o = data_q;", "", "0 statements of the kind: assign"),
        ("if (enable) data_q", "if (!enable) data_q", "cannot be read: always_ff"),
        (".enable_o(enable)", ".enable_o(valid_o)", "cannot be read: bw_pipe"),
        ("] data_q;", "] data_q; wire x99;", "cannot be read: wire x99"),
    ):
        assert old in text
        file.write_text(text.replace(old, new))
        assert why in (prove_linear(graph, design)[0][0].refuted or "")


def test_a_random_network_is_proven_but_for_its_thresholds(tmp_path: Path) -> None:
    graph = random_mlp((9, 8, 4), (4, 3), (6, 4))
    proofs, others = prove_linear(graph, emit(graph, unrolled(graph, 3), tmp_path / "rtl"))
    assert all(one.refuted is None for one in proofs)
    assert {one.node for one in proofs} | set(others) == {node.name for node in graph.nodes}
