"""Bitwise bottlenecks for a trained network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bitwright.cli.common import check_files, show
from bitwright.cli.options import JsonOption, ModelArgument, WeightsOption

if TYPE_CHECKING:
    from bitwright.bottleneck import Bottlenecks

# As in bitwright.bottleneck.Settings, which would cost every --help a second; a test compares them.
Coefficients = Literal["general", "power_of_two"]
Allocation = Literal["ilp", "lagrangian"]
Method = Literal["subset", "lasso"]


def bottleneck(
    model: ModelArgument,
    data: Annotated[
        str,
        typer.Option(
            help="Rows to measure: .npz with x and, for the accuracy, y; or a data set: digits, or "
            "one whose files are in $BITWRIGHT_DATA, by its name.",
            show_default=False,
        ),
    ],
    weights: WeightsOption = None,
    rate: Annotated[
        float | None,
        typer.Option(min=0, help="Average bits to keep per activation.", show_default=False),
    ] = None,
    psnr: Annotated[
        float | None,
        typer.Option(
            help="Or: least PSNR in dB of every layer, with the fewest bits.", show_default=False
        ),
    ] = None,
    coefficients: Annotated[
        Coefficients, typer.Option(help="Worth of the planes; power_of_two is only wiring.")
    ] = "general",
    allocation: Annotated[
        Allocation, typer.Option(help="How --rate is shared out over the layers.")
    ] = "ilp",
    method: Annotated[
        Method, typer.Option(help="How planes are chosen: exactly, or as in the paper.")
    ] = "subset",
    layers: Annotated[
        str | None,
        typer.Option(help="Activations to follow: relu1,relu2.", show_default="every ReLU"),
    ] = None,
    source_bits: Annotated[
        int | None,
        typer.Option(
            min=1, max=16, help="Bits to choose from.", show_default="the activation's own, or 8"
        ),
    ] = None,
    power_of_two_scale: Annotated[
        bool,
        typer.Option(
            "--power-of-two-scale",
            help="Steps that are powers of two: no integer differs from torch's.",
        ),
    ] = False,
    planes_only: Annotated[
        bool, typer.Option("--planes-only", help="Bit planes even where uniform codes are better.")
    ] = False,
    rows: Annotated[int, typer.Option(help="Rows to measure at most.")] = 1024,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the results.")] = Path(
        "out/bottleneck"
    ),
    as_json: JsonOption = False,
) -> None:
    """Keep fewer bits of the activations of a trained network.

    Behind each activation goes a Bitwise Bottleneck that keeps some of its bits, found by rate and
    distortion. The uniform quantiser of as many bits and the best clip stands beside it, and is
    taken where it is better.

    The folder gets network.py and weights.pt for all other commands, the plot rate_distortion.png
    and .svg, bottlenecks.json, and for a data set a recipe to fine-tune with.

    Examples:
      bitwright bottleneck net.py:make -w net.pt --data rows.npz --rate 3 -o out/bits
      bitwright bottleneck net.py:make -w net.pt --data digits --psnr 30 --source-bits 8
      bitwright lower out/bits/network.py:network -w out/bits/weights.pt --input-shape 64
    """  # fmt: skip
    check_files(model, weights)
    from bitwright.bottleneck import Settings, load_calibration, put_in
    from bitwright.console import Steps

    settings = Settings(
        rate=rate,
        psnr_floor=psnr,
        coefficients=coefficients,
        allocation=allocation,
        method=method,
        paths=layers.split(",") if layers else None,
        source_bits=source_bits,
        power_of_two_scale=power_of_two_scale,
        planes_only=planes_only,
    )
    calibration = load_calibration(data, rows)
    with Steps().step("measure activations, put bottlenecks in") as step:
        made = put_in(model, weights, calibration, out, settings)
        step.result = f"{made.report.rate:.2f} bits per activation"
    tables = (made.report.table(), _what_is_next(made, calibration.x.shape[1:]))
    show({"folder": made.folder, **made.as_dict()}, as_json, *tables)


def _what_is_next(made: "Bottlenecks", input_shape: tuple[int, ...]) -> str:
    folder, shape = made.folder, ",".join(map(str, input_shape))
    network = f"{folder}/network.py:network --weights {folder}/weights.pt"
    lines = []
    if made.accuracy:
        told = {kind: f"{100 * share:.2f} %" for kind, share in made.accuracy.items()}
        lines = [
            f"accuracy:  {told['given']} as given, {told['bottlenecks']} as chosen "
            f"({told['bitplanes']} with bit planes only, {told['uniform']} with uniform only)",
            "",
        ]
    lines += [f"picture:   {folder}/rate_distortion.png"]
    if "finetune.toml" in made.files:
        lines += [f"fine-tune: bitwright train {folder}/finetune.toml -o {folder}_tuned"]
    lines += [f"lower:     bitwright lower {network} --input-shape {shape}"]
    return "\n".join(lines)
