"""The reference beside qonnx's executor, on the very same file: FINN's CNV."""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from benchmarks.row import Row, seconds
from bitwright.models.graph import IntArray, Reference, quantise
from bitwright.models.lower import Lowered
from bitwright.models.lower.onnx import lower_onnx
from bitwright.models.zoo import cnv

IMAGES = 64
FEW = 8  # for the file as it is exported, with a batch of one: the peer takes a while


class QonnxPeer:
    """An ONNX file in qonnx's executor, cleaned up and with its constants folded."""

    def __init__(self, path: Path) -> None:
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.transformation.fold_constants import FoldConstants
        from qonnx.util.cleanup import cleanup_model

        self._model: Any = cleanup_model(ModelWrapper(str(path)))
        self._model = self._model.transform(FoldConstants(exclude_op_types=[]))
        self._input: str = self._model.graph.input[0].name
        self._output: str = self._model.graph.output[0].name
        self._batch: int = self._model.get_tensor_shape(self._input)[0]

    def __call__(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Real outputs for real inputs, a whole number of batches."""
        from qonnx.core.onnx_exec import execute_onnx

        made = [
            execute_onnx(self._model, {self._input: x[i : i + self._batch]})[self._output]
            for i in range(0, len(x), self._batch)
        ]
        return np.concatenate(made)


def settled(
    model: nn.Module, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0
) -> nn.Module:
    """An untrained model whose batch-norms and quantisers have seen random inputs.

    Without that hardly anything of its input reaches its output, and there is little to compare.
    """
    for module in model.train().modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            module.momentum = None  # the mean of all that it sees
    with torch.no_grad():
        for _ in range(2):
            model(torch.empty(32, *shape).uniform_(low, high))
    return model.eval()


def exported(model: nn.Module, batch: int, folder: Path) -> Path:
    """The model as a QONNX file of a fixed batch."""
    from brevitas.export import export_qonnx

    path = folder / f"cnv_{batch}.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export_qonnx(model, torch.rand(batch, 3, 32, 32), export_path=str(path), dynamo=False)
    return path


def reference_rows() -> list[Row]:
    """Rows of one run: the same network, images and machine for both.

    The first holds the reference against the file as tools export it, of one image a call, while
    the reference takes them all at once; in the second it takes one a call too. For the third the
    file was exported for the whole batch, which spares the peer most of its own work.
    Raises SystemExit where the two do not compute the same integers.
    """
    x = np.random.default_rng(0).integers(0, 256, (IMAGES, 3, 32, 32)) / np.float32(256)
    images = x.astype(np.float32)
    model = settled(cnv(1, 1), (3, 32, 32))
    with tempfile.TemporaryDirectory() as folder:
        one, whole = (exported(model, batch, Path(folder)) for batch in (1, IMAGES))
        lowered = lower_onnx(one)
        single, batched = QonnxPeer(one), QonnxPeer(whole)
    ours, integers = Reference(lowered.graph), quantise(lowered.graph, lowered.arrange(images))
    made = ours(integers)
    for peer, some in ((single, images[:FEW]), (batched, images)):
        if not np.array_equal(made[: len(some)], as_integers(lowered, peer(some))):
            raise SystemExit("the two do not compute the same network: nothing to compare")
    rate = IMAGES / seconds(lambda: ours(integers))
    alone = FEW / seconds(lambda: [ours(integers[i : i + 1]) for i in range(FEW)])
    singly = FEW / seconds(lambda: single(images[:FEW]), repeats=3)
    together = IMAGES / seconds(lambda: batched(images), repeats=3)
    return [
        Row(
            name,
            our_rate,
            "images/s",
            f"qonnx, {a_call}, {theirs:,.1f} images/s",
            our_rate / theirs,
        )
        for name, our_rate, theirs, a_call in (
            ("cnv_reference_vs_qonnx", rate, singly, "one image a call"),
            ("cnv_reference_vs_qonnx_both_single", alone, singly, "one image a call"),
            ("cnv_reference_vs_qonnx_both_batched", rate, together, f"{IMAGES} images a call"),
        )
    ]


def as_integers(lowered: Lowered, outputs: npt.NDArray[np.float32]) -> IntArray:
    """Real outputs in the graph's integers."""
    port = lowered.graph.ports[lowered.graph.output.name]
    return np.rint(outputs.astype(np.float64) / port.scale - port.offset).astype(np.int64)
