"""Making the integer graph."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bitwright.cli.common import check_files, labels_of, note_replaced, show
from bitwright.cli.options import (
    DataOption,
    JsonOption,
    LabelsOption,
    NameOption,
    WeightsOption,
)
from bitwright.models.errors import InputError

if TYPE_CHECKING:
    from bitwright.models.lower import Lowered

_MANY_BITS = 4  # below the sums' own, from which on a user wants to know


def lower(
    model: Annotated[
        str,
        typer.Argument(
            help="Python file and the function in it that makes the network, or an ONNX file.",
            metavar="FILE.py:FACTORY|FILE.onnx",
            show_default=False,
        ),
    ],
    input_shape: Annotated[
        str | None,
        typer.Option(
            help="Sizes of one example without the batch: 64, or 1,8,8. An ONNX file says so.",
            show_default=False,
        ),
    ] = None,
    weights: WeightsOption = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the graph.")] = Path(
        "out/graph"
    ),
    data: DataOption = None,
    name: NameOption = None,
    labels: LabelsOption = None,
    multiplier_bits: Annotated[
        int | None,
        typer.Option(
            help="Width of the factors that bring an output with a scale per channel to one scale.",
            show_default="as needed",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Turn a trained network into integers: Brevitas, or an ONNX file.

    The integer graph is what every other command starts from. A Brevitas network and its graph are
    run on the same rows: accuracies side by side, and how many integers of each tensor differ.
    With power-of-two scales none does. An ONNX file (QONNX, or QuantizeLinear and
    DequantizeLinear) may come from anywhere: nothing of it is executed.

    Examples:
      bitwright lower net.py:make --weights net.pt --input-shape 64 -o out/graph
      bitwright lower net.py:make -w net.pt --input-shape 1,8,8 --data test.npz --json
      bitwright lower net.onnx -o out/graph
    """
    check_files(model, weights, data)
    if model.lower().endswith(".onnx"):
        if input_shape or weights:
            raise InputError(f"{model} holds its input's shape and weights: leave yours out")
        _lower_file(model, out, data, name, labels, multiplier_bits, as_json)
        return
    if not input_shape:
        raise InputError("give --input-shape, the sizes of one example: 64, or 1,8,8")
    from bitwright.flow import compare_with_torch, random_rows
    from bitwright.inputs import load_rows, parse_shape
    from bitwright.models.graph import digest, save
    from bitwright.models.lower import load_model
    from bitwright.models.lower import lower as lower_model
    from bitwright.tables import graph_table, lowering_table

    rows = load_rows(data) if data is not None else None
    network = load_model(model, weights)
    if weights is None:
        typer.echo("note: no --weights given, so the network is as its function makes it", err=True)
    lowered = lower_model(
        network,
        parse_shape(input_shape),
        name=name,
        labels=labels_of(labels),
        multiplier_bits=multiplier_bits,
    )
    graph = lowered.graph
    accuracy, lowering = compare_with_torch(network, lowered, rows or random_rows(lowered))
    note_replaced(out, "graph.json", {"name": graph.name})
    save(graph, out)
    _note_wide_outputs(lowered)
    result = {"graph": out, "digest": digest(graph), "name": graph.name, "accuracy": accuracy,
              "lowering": lowering}  # fmt: skip
    show(result, as_json, graph_table(graph), lowering_table(graph.name, accuracy, lowering))


def _lower_file(
    model: str,
    out: Path,
    data: Path | None,
    name: str | None,
    labels: str | None,
    multiplier_bits: int | None,
    as_json: bool,
) -> None:
    """The same of an ONNX file, which nothing can be compared with; only accuracy is measured."""
    from bitwright.inputs import load_rows
    from bitwright.models.graph import dequantise, digest, evaluate, quantise, save
    from bitwright.models.lower.compare import decide
    from bitwright.models.lower.onnx import lower_onnx
    from bitwright.report import Accuracy
    from bitwright.tables import graph_table

    rows = load_rows(data) if data is not None else None
    lowered = lower_onnx(model, name=name, labels=labels_of(labels),
                         multiplier_bits=multiplier_bits)  # fmt: skip
    graph, accuracy = lowered.graph, Accuracy(None, None)
    if rows is not None and rows.y is not None:
        if len(graph.output.shape) > 1:
            raise InputError(f"{model} makes an image, which is no class: leave --data out")
        outputs = dequantise(graph, evaluate(graph, quantise(graph, lowered.arrange(rows.x))))
        accuracy = Accuracy(None, float((decide(graph, outputs) == rows.y).mean()))
    note_replaced(out, "graph.json", {"name": graph.name})
    save(graph, out)
    _note_wide_outputs(lowered)
    result = {"graph": out, "digest": digest(graph), "name": graph.name, "accuracy": accuracy}
    show(result, as_json, graph_table(graph))
    if accuracy.reference is not None and not as_json:
        typer.echo(f"accuracy: {100 * accuracy.reference:.2f} %")


def _note_wide_outputs(lowered: "Lowered") -> None:
    """Tell that a float bias makes the last layer wide, which nobody expects who chose its bits."""
    name = lowered.graph.output.name
    last = next((c for c in lowered.counterparts if c.tensor == name), None)
    if last is None or not last.multiplier.any():
        return
    least = min(abs(int(m)) for m in last.multiplier if m)
    if least.bit_length() > _MANY_BITS:
        layer = next(node.inputs[0] for node in lowered.graph.nodes if node.name == name)
        typer.echo(
            f"note: {name} has {least.bit_length() - 1} bits below those of {layer}, for a bias "
            "that is no multiple of its sums' scale: bias_quant=Int8Bias on that layer saves them",
            err=True,
        )
