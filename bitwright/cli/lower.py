"""Making the integer graph."""

from pathlib import Path
from typing import Annotated

import typer

from bitwright.cli.common import labels_of, show
from bitwright.cli.options import (
    DataOption,
    JsonOption,
    LabelsOption,
    ModelArgument,
    NameOption,
    ShapeOption,
    WeightsOption,
)


def lower(
    model: ModelArgument,
    input_shape: ShapeOption,
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
    """Turn a trained Brevitas network into integers, and compare.

    The integer graph is what every other command starts from. Both are
    run on the same rows: accuracies side by side, and how many integers of each tensor differ.
    With power-of-two scales none does.

    Examples:
      bitwright lower net.py:make --weights net.pt --input-shape 64 -o out/graph
      bitwright lower net.py:make -w net.pt --input-shape 1,8,8 --data test.npz --json
    """
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
    save(graph, out)
    result = {"graph": out, "digest": digest(graph), "name": graph.name, "accuracy": accuracy,
              "lowering": lowering}  # fmt: skip
    show(result, as_json, graph_table(graph), lowering_table(graph.name, accuracy, lowering))
