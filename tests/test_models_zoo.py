"""The networks that come with bitwright: the demo's, and random integer graphs."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from bitwright.models.data import digits
from bitwright.models.errors import InputError
from bitwright.models.graph import (
    ArgMax,
    Conv2d,
    Dense,
    Requantize,
    Threshold,
    digest,
    evaluate,
    trace,
    weight_width,
)
from bitwright.models.lower import compare, lower
from bitwright.models.train import train
from bitwright.models.zoo import cnv, digits_mlp, digits_recipe, random_cnn, random_mlp

torch.set_num_threads(1)


def inputs(width: int, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(-(1 << (width - 1)), 1 << (width - 1), shape)


def test_the_default_is_the_benchmarks_network() -> None:
    graph = random_mlp()
    dense = [node for node in graph.nodes if isinstance(node.op, Dense)]
    assert [node.output.size for node in dense] == [64, 32, 32, 5]
    assert [node.op.weights.width for node in dense] == [6, 4, 3, 4]
    acts = [graph.input, *(n.output for n in graph.nodes if isinstance(n.op, Requantize))]
    assert [str(value.type) for value in acts] == ["s6", "u5", "u4", "u4"]
    for node in dense:
        share = np.mean(node.op.weights.values == 0)
        assert 0.4 < share < 0.6
        limit = (1 << (node.op.weights.width - 1)) - 1
        assert node.op.weights.values.max() == -node.op.weights.values.min() == limit


def test_the_same_seed_makes_the_same_graph() -> None:
    assert digest(random_mlp()) == digest(random_mlp(seed=0)) != digest(random_mlp(seed=1))


def test_every_activation_lives() -> None:
    graph = random_mlp()
    tensors = trace(graph, inputs(6, (20_000, 16)))
    for node in graph.nodes:
        if isinstance(node.op, Requantize):
            made = tensors[node.name]
            assert made.min() == 0 and made.max() == node.output.type.max
            assert np.all(made.std(axis=0) > 0)
            assert np.unique(made).size == node.output.type.max + 1


def test_both_forms_compute_the_same() -> None:
    shifts, tables = random_mlp(seed=5), random_mlp(seed=5, form="threshold")
    assert {node.kind for node in tables.nodes} == {"dense", "threshold"}
    x = inputs(6, (20_000, 16))
    assert np.array_equal(evaluate(shifts, x), evaluate(tables, x))


@pytest.mark.parametrize(
    ("sizes", "weight_bits", "activation_bits"),
    [((4, 3), (1,), (1,)), ((5, 4, 3), (1, 2), (8, 1)), ((1, 1, 1), (8, 16), (16, 12))],
)
@pytest.mark.parametrize("form", ["requantize", "threshold"])
def test_any_size(
    sizes: tuple[int, ...],
    weight_bits: tuple[int, ...],
    activation_bits: tuple[int, ...],
    form: str,
) -> None:
    graph = random_mlp(sizes, weight_bits, activation_bits, seed=2, form=form)  # type: ignore[arg-type]
    assert graph.input.shape == sizes[:1] and graph.output.shape == sizes[-1:]
    x = inputs(activation_bits[0], (100, sizes[0]))
    assert evaluate(graph, x).shape == (100, sizes[-1])
    assert isinstance(graph.nodes[-1].op, Dense)
    assert all(isinstance(node.op, Dense | Requantize | Threshold) for node in graph.nodes)


def test_density_is_the_share_of_weights_that_are_not_zero() -> None:
    dense = random_mlp((64, 64), (4,), (4,), density=1.0).nodes[0].op
    sparse = random_mlp((64, 64), (4,), (4,), density=0.1).nodes[0].op
    assert isinstance(dense, Dense) and isinstance(sparse, Dense)
    assert np.all(dense.weights.values != 0)
    assert np.mean(sparse.weights.values != 0) == pytest.approx(0.1, abs=0.02)


def test_lists_that_disagree() -> None:
    with pytest.raises(InputError, match="3 sizes need 2 weight_bits and activation_bits, not 1"):
        random_mlp((4, 3, 2), (4,), (4, 4))


CNNS: dict[str, dict[str, object]] = {
    "plain": {},
    "no padding": {"shape": (14, 12, 2), "padding": False},
    "residual": {"residual": True, "pooling": "sum"},
    "depthwise": {"depthwise": True, "decide": True},
    "binary": {"weight_bits": 1, "activation_bits": 1},
    "all": {"residual": True, "depthwise": True, "pooling": "none", "channels": (4,)},
}


@pytest.mark.parametrize("case", CNNS)
def test_random_networks_of_images_live(case: str) -> None:
    graph = random_cnn(**CNNS[case])  # type: ignore[arg-type]
    assert digest(graph) == digest(random_cnn(**CNNS[case]))  # type: ignore[arg-type]
    assert digest(graph) != digest(random_cnn(**CNNS[case], seed=1))  # type: ignore[arg-type]
    kind = graph.input.type
    x = np.random.default_rng(0).integers(kind.min, kind.max + 1, (300, *graph.input.shape))
    tensors = trace(graph, x)
    for node in graph.nodes:
        made = tensors[node.name]
        if isinstance(node.op, Requantize | ArgMax):
            assert made.std() > 0 and np.unique(made).size > node.output.type.max // 2
        if isinstance(node.op, Conv2d | Dense):
            assert weight_width(node.op.weights) == CNNS[case].get("weight_bits", 4)
    other = random_cnn(**CNNS[case], form="threshold")  # type: ignore[arg-type]
    assert any(isinstance(node.op, Threshold) for node in other.nodes)
    np.testing.assert_array_equal(evaluate(other, x), evaluate(graph, x))


@pytest.mark.parametrize("bits", [(1, 1), (2, 3)])
def test_finns_network_of_convolutions_is_lowered_exactly(bits: tuple[int, int]) -> None:
    model = cnv(*bits, width=8, classes=7)
    images = np.random.default_rng(0).random((40, 3, 32, 32)).astype(np.float32)
    model.train()
    for _ in range(3):
        model(torch.from_numpy(images))
    lowered = lower(model, (3, 32, 32))
    report = compare(model, lowered, images)
    assert report.differing == report.differing_decisions == 0
    kinds = [node.kind for node in lowered.graph.nodes]
    assert kinds.count("conv2d") == 6 and kinds.count("dense") == 3 and kinds.count("maxpool") == 2
    assert lowered.graph.input.shape == (32, 32, 3)


def test_finns_network_has_one_and_a_half_million_weights() -> None:
    assert sum(p.numel() for p in cnv().parameters() if p.dim() > 1) == 1_542_848


def test_random_graphs_need_no_torch() -> None:
    code = (
        "import sys, bitwright.models.zoo as z; z.random_mlp(); z.random_cnn(); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_demo_is_mixed_in_every_layer() -> None:
    graph = lower(digits_mlp(), 64).graph
    dense = [node.op.weights.width for node in graph.nodes if isinstance(node.op, Dense)]
    assert dense == [3, 4, 5]
    acts = [graph.values[name].type.width for name in ("pixels", "relu1", "relu2")]
    assert acts == [4, 3, 2]
    assert digits_mlp().fc1.quant_weight().scale.shape == (20, 1)  # per channel


def test_the_demo_learns_the_digits_and_no_integer_differs() -> None:
    data, model = digits(), digits_mlp()
    result = train(model, data, digits_recipe())
    assert result.accuracy >= 0.95
    lowered = lower(model, 64, labels=data.labels)
    weights = sum(
        int(np.count_nonzero(node.op.weights.values))
        for node in lowered.graph.nodes
        if isinstance(node.op, Dense)
    )
    assert weights < 500
    report = compare(model, lowered, data.x_test, data.y_test)
    assert report.accuracy_torch == report.accuracy_reference == result.accuracy
    assert report.differing == report.differing_decisions == 0
    rng = np.random.default_rng(0)
    report = compare(model, lowered, rng.random((10_000, 64)))
    assert report.compared == 10_000 * (64 + 20 + 12 + 10)
    assert report.differing == report.differing_decisions == 0
