"""What bits cost."""

from pathlib import Path
from typing import Annotated

import typer

from bitwright.cli.common import show
from bitwright.cli.options import ClockOption, JsonOption, TargetOption


def cost_table(
    inputs: Annotated[int, typer.Option(min=1, help="Inputs of the layer.")] = 32,
    outputs: Annotated[int, typer.Option(min=1, help="Outputs of the layer.")] = 16,
    codec: Annotated[
        str, typer.Option(help="Weights: plain, tiled, float (minifloats), codebook.")
    ] = "plain",
    sparsity: Annotated[float, typer.Option(help="Share of plain weights that are zero.")] = 0.5,
    tiles: Annotated[int, typer.Option(min=1, help="Copies of a tile of tiled weights.")] = 4,
    pe: Annotated[
        int | None, typer.Option(min=1, help="Fold it: outputs at a time.", show_default=False)
    ] = None,
    simd: Annotated[
        int | None, typer.Option(min=1, help="Fold it: inputs at a time.", show_default=False)
    ] = None,
    target: TargetOption = None,
    clock: ClockOption = None,
    rows: Annotated[
        Path | None,
        typer.Option(help="File of measured rows.", show_default="the one that comes along"),
    ] = None,
    measure: Annotated[
        int,
        typer.Option(min=0, help="Measure so many of the entries with Yosys, into --rows."),
    ] = 0,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw it too (.png, .svg or .pdf).", show_default=False),
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Formulas alone, without solving adder graphs.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Tell what a layer costs by the bits of its weights and activations, 1 to 8 of each.

    A dense layer of random weights, unrolled for the clock, or folded. The table has look-up tables
    and the latency; the plot has the band of the estimate too, and rings where the rows have the
    very same layer.

    Examples:
      bitwright cost-table --inputs 64 --outputs 32 --target ecp5
      bitwright cost-table --inputs 32 --outputs 16 --measure 12 --rows mine.csv --plot bits.svg
      bitwright cost-table --codec float --pe 4 --simd 8 --json
    """
    from bitwright.console import Steps, campaign
    from bitwright.cost_model.rows import DATA, POINTS, read_rows
    from bitwright.cost_model.width_table import CODECS, Layer, width_table
    from bitwright.models.errors import InputError
    from bitwright.models.graph import USUAL_MHZ, Folded
    from bitwright.tables import widths_table

    chosen = next((name for name in CODECS if name == codec), None)
    if chosen is None:
        raise InputError(f"codec {codec!r} is not one of {', '.join(CODECS)}")
    if measure and rows is None:
        raise InputError("--measure needs --rows, the file that measured rows are kept in")
    folded = None if pe is None and simd is None else Folded(pe or 1, simd or 1)
    family = target or "xc7"
    layer = Layer(
        inputs, outputs, chosen, sparsity if chosen == "plain" else 0.0, tiles, folded,
        family, clock or USUAL_MHZ[family],
    )  # fmt: skip
    if measure and rows is not None:
        from bitwright.characterise import Limits, point_subjects
        from bitwright.characterise import measure as measure_rows

        every = layer.widths()
        some = [every[i * len(every) // measure] for i in range(min(measure, len(every)))]
        points = point_subjects(layer.point(w, a) for w, a in some)
        with campaign("measure layers") as told:
            measure_rows(points, rows, POINTS, Limits((layer.target,)), told)
    with Steps().step("estimate the layer at every width") as step:
        known = read_rows(rows or DATA / "measured.csv")
        table = width_table(layer, known, solved=not fast, progress=step.progress)
    if plot is not None:
        from bitwright.cost_plot import plot_widths

        plot_widths(table, plot)
    entries = [
        {
            "weight_bits": w, "activation_bits": a, "estimated": one.total, "low": one.band[0],
            "high": one.band[1], "latency": one.latency, "ii": one.ii, "clock_mhz": one.clock_mhz,
            **({"measured": table.measured[w, a]} if (w, a) in table.measured else {}),
        }
        for (w, a), one in table.estimates.items()
    ]  # fmt: skip
    show({"layer": layer, "entries": entries, "plot": plot}, as_json, widths_table(table))
