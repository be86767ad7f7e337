"""Rate-distortion curves as a picture: PSNR over bits per layer, bit planes against uniform."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bitwright.models.errors import InputError, StorageError, ToolError
from bitwright.models.layers.rate_distortion import Curve, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Two of Okabe and Ito's colours, told apart by all kinds of colour vision, and by their markers.
_PLANES, _UNIFORM = "#0072B2", "#D55E00"


def plot_curves(
    curves: Mapping[str, Curve],
    file: Path | None = None,
    *,
    chosen: Mapping[str, Point] | None = None,
) -> "Figure":
    """One panel per layer, PSNR in dB over kept bits; written to `file` (.png, .svg, .pdf) if any.

    chosen: points to ring, by layer. A point that loses nothing has no finite PSNR: it stands on a
    dotted line above all others.

    Raises:
        InputError: no curves.
        StorageError: the file cannot be written.
        ToolError: matplotlib is not installed.
    """
    if not curves:
        raise InputError("no curves to plot: give at least one layer")
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        raise ToolError("a plot needs matplotlib: pip install matplotlib") from None
    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    # One panel alone is as wide as the legend above it.
    width = max(3.4 * columns + 0.4, 5.4)
    figure = Figure(figsize=(width, 2.9 * rows + 0.7), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    panels = list(axes.flat)
    for panel in panels[len(curves) :]:
        panel.set_visible(False)
    exact = _exact_level(curves)
    for i, (name, curve) in enumerate(curves.items()):
        panel = panels[i]
        for points, colour, marker, label in (
            (curve.uniform, _UNIFORM, "s", "uniform, best clip"),
            (curve.bitplanes, _PLANES, "o", "bit planes"),
        ):
            _line(panel, points, exact, colour, marker, label)
        if any(not math.isfinite(p.psnr) for p in (*curve.uniform, *curve.bitplanes)):
            panel.axhline(exact, color="grey", linewidth=0.8, linestyle=":", zorder=0)
            panel.annotate(
                "exact", (0, exact), (3, 3), xycoords=("axes fraction", "data"),
                textcoords="offset points", size=8, color="grey",
            )  # fmt: skip
        point = (chosen or {}).get(name)
        if point is not None:
            panel.plot(
                point.bits, min(point.psnr, exact), "o", ms=13, mfc="none", mec="black",
                label="chosen", ls="",
            )  # fmt: skip
        panel.text(
            0.97, 0.04, f"peak {curve.peak:.3g}", transform=panel.transAxes, ha="right",
            va="bottom", size=8,
        )  # fmt: skip
        panel.set_title(f"behind {name}", size=10)
        panel.grid(alpha=0.25, linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        if i % columns == 0:
            panel.set_ylabel("PSNR (dB)")
        if i + columns >= len(curves):
            panel.set_xlabel("bits kept per activation")
            panel.tick_params(labelbottom=True)
    entries = {
        label: handle
        for panel in panels
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        list(entries.values()), list(entries), loc="outside upper center", ncols=3, frameon=False
    )
    if file is not None:
        # Equal curves make equal files: no date, and names that do not come from chance.
        dateless = {"Date": None} if file.suffix == ".svg" else {}
        try:
            with rc_context({"svg.hashsalt": "bitwright"}):
                figure.savefig(file, dpi=150, metadata=dateless)
        except (OSError, ValueError) as error:
            raise StorageError(f"{file} cannot be written as a picture: {error}") from None
    return figure


def _exact_level(curves: Mapping[str, Curve]) -> float:
    """Where to draw what loses nothing: above all else."""
    every = [p.psnr for curve in curves.values() for p in (*curve.uniform, *curve.bitplanes)]
    finite = [psnr for psnr in every if math.isfinite(psnr)] or [0.0]
    return max(finite) + 0.12 * max(max(finite) - min(finite), 10.0)


def _line(
    panel: "Axes", points: tuple[Point, ...], exact: float, colour: str, marker: str, label: str
) -> None:
    """The finite points as a line, and dashed from its end to the first that loses nothing."""
    finite = [p for p in points if math.isfinite(p.psnr)]
    panel.plot(
        [p.bits for p in finite],
        [p.psnr for p in finite],
        color=colour,
        marker=marker,
        markersize=5,
        linewidth=1.6,
        label=label,
    )
    first = next((p for p in points if not math.isfinite(p.psnr)), None)
    if first is None:
        return
    start = [(p.bits, p.psnr) for p in finite if p.bits < first.bits][-1:]
    bits, levels = zip(*start, (first.bits, exact), strict=True)
    panel.plot(bits, levels, color=colour, linewidth=1.2, linestyle="--")
    panel.plot(first.bits, exact, color=colour, marker=marker, markersize=5)
