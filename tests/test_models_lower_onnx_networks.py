"""The networks that users of FINN and hls4ml have, through their exports: TFC, CNV, MLPerf Tiny.

Small ones here, of the real topology; BITWRIGHT_WIDTH=16 makes them the real size.
"""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from brevitas.export import export_qonnx
from torch import nn

from bitwright.models.graph import Graph, evaluate, quantise
from bitwright.models.lower import load_model, lower
from bitwright.models.lower.onnx import lower_onnx
from bitwright.models.zoo import cnv

torch.set_num_threads(1)

WIDTH = int(os.environ.get("BITWRIGHT_WIDTH", "2"))

TINY = Path(__file__).parent / "networks" / "tiny.py"


def tiny(factory: str, **settings: int) -> Callable[[], nn.Module]:
    return lambda: load_model(f"{TINY}:{factory}", arguments={**settings, "width": WIDTH})


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "tfc_w1a1": (tiny("Bipolar"), (1, 28, 28)),
    "tfc_w1a2": (tiny("tfc", weight_bits=1, act_bits=2), (1, 28, 28)),
    "tfc_w2a2": (tiny("tfc", weight_bits=2, act_bits=2), (1, 28, 28)),
    "cnv_w1a1": (lambda: cnv(1, 1, width=4 * WIDTH), (3, 32, 32)),
    "cnv_w2a2": (lambda: cnv(2, 2, width=4 * WIDTH), (3, 32, 32)),
    "image": (tiny("image"), (3, 32, 32)),
    "keyword": (tiny("keyword"), (1, 49, 10)),
    "anomaly": (tiny("anomaly"), (640,)),
}


def settle(model: nn.Module, shape: tuple[int, ...], scale: float = 1.0) -> nn.Module:
    """Weights and statistics with which something of the input reaches the output."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None
            nn.init.uniform_(module.weight, 0.7, 1.3)
            nn.init.normal_(module.bias, 0.0, 0.3)
        elif isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.normal_(module.weight, 0.0, 0.3)
    model.train()
    for _ in range(4):
        model(scale * torch.randn(32, *shape))
    return model.eval()


def exported(model: nn.Module, shape: tuple[int, ...], path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export_qonnx(model, torch.zeros(1, *shape), export_path=str(path), dynamo=False)
    return path


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_lowers_to_the_same_integers(name: str, tmp_path: Path) -> None:
    make, shape = NETWORKS[name]
    model = settle(make(), shape)
    through = lower_onnx(exported(model, shape, tmp_path / "net.onnx"))
    direct = lower(model, shape)
    x = np.random.default_rng(1).normal(0, 1, (40, *shape)).astype(np.float32)
    theirs = evaluate(direct.graph, quantise(direct.graph, direct.arrange(x)))
    ours = evaluate(through.graph, quantise(through.graph, through.arrange(x)))
    assert len(np.unique(theirs, axis=0)) > 5, "the network says too little"
    assert np.array_equal(ours, theirs)
    assert linear(through.graph) == linear(direct.graph)


def linear(graph: Graph) -> list[tuple[str, tuple[int, ...]]]:
    """What every layer with weights makes."""
    nodes = [node for node in graph.nodes if node.kind in ("dense", "conv2d")]
    return [(node.kind, node.output.shape) for node in nodes]


@pytest.mark.parametrize("how", ["type", "annotation"])
def test_pixels_as_finn_has_them(how: str, tmp_path: Path) -> None:
    """An input of integers, divided by 255 in the network: the pixels are the graph's input."""
    shape = (1, 28, 28)
    model = settle(tiny("Normalised")(), shape, scale=100)
    path = exported(model, shape, tmp_path / "net.onnx")
    file = onnx.load(path)
    given = file.graph.input[0]
    if how == "type":
        given.type.tensor_type.elem_type = onnx.TensorProto.UINT8
    else:
        one = file.graph.quantization_annotation.add(tensor_name=given.name)
        one.quant_parameter_tensor_names.add(key="finn_datatype", value="UINT8")
    onnx.save(file, path)
    graph = (lowered := lower_onnx(path)).graph
    assert str(graph.input.type) == "u8" and graph.ports[graph.input.name].scale == 1.0
    pixels = np.random.default_rng(1).integers(0, 256, (100, *shape))
    found = evaluate(graph, quantise(graph, lowered.arrange(pixels)))
    with torch.no_grad():
        expected = model(torch.from_numpy(pixels.astype(np.float32)))
    port = graph.ports[graph.output.name]
    assert len(np.unique(found, axis=0)) > 5, "the network says too little"
    assert np.array_equal(np.rint(expected.double().numpy() / port.scale - port.offset), found)
