"""Pictures of the cost model: a layer's cost by bit width, and estimates against measurements."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bitwright.cost_model.width_table import BITS, WidthTable
from bitwright.models.errors import StorageError
from bitwright.models.files import replaced_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

# Okabe and Ito's colours, told apart by all kinds of colour vision, with a marker each.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000")
MARKERS = ("o", "s", "^", "D", "v")


def plot_widths(table: WidthTable, file: Path) -> None:
    """LUTs and latency over weight bits, a line for each number of activation bits.

    The band of the estimate is shaded for 4-bit activations; measured layers are drawn over the
    lines as rings. Raises StorageError where the file cannot be written.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    layer = table.layer
    figure = Figure(figsize=(9.2, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    # From dark to light in one direction: the order is seen without any colour.
    shades = colormaps["viridis"](np.linspace(0, 0.88, len(BITS)))
    for axes, resource, title in (
        (left, "lut", f"look-up tables on {layer.target}"),
        (right, "latency_ns", "latency, ns"),
    ):
        counts = table.counts(resource)
        for a, shade in zip(BITS, shades, strict=True):
            line = counts[:, a - 1]
            axes.plot(BITS, line, "-", color=shade, lw=1.4, marker=".", ms=4)
        _labels(axes, counts, shades)
        axes.set_xlabel("bits of a weight")
        axes.set_title(title, size=10, loc="left")
        axes.set_ylim(0, 1.1 * float(np.nanmax(counts)))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    inside = [(w, one.band) for (w, a), one in table.estimates.items() if a == 4]
    left.fill_between(
        [w for w, _ in inside], [low.lut for _, (low, _) in inside],
        [high.lut for _, (_, high) in inside], color=shades[3], alpha=0.18, lw=0,
        label="band of 4-bit activations",
    )  # fmt: skip
    if table.measured:
        left.plot(
            [w for w, _ in table.measured], [cost.lut for cost in table.measured.values()], "o",
            mfc="none", mec="#D55E00", mew=1.6, ms=8, label="measured",
        )  # fmt: skip
    left.legend(frameon=False, fontsize=8, loc="upper left")
    what = layer.codec if layer.sparsity == 0 else f"{layer.codec}, {layer.sparsity:.0%} zero"
    figure.suptitle(
        f"A dense layer of {layer.inputs} inputs and {layer.outputs} outputs, weights {what}",
        size=11,
    )
    save(figure, file)


def _labels(axes: "Axes", counts: Floats, shades: Floats) -> None:
    """The bits of an activation at the end of each line, moved apart where they would overlap."""
    last = [int(np.flatnonzero(~np.isnan(column))[-1]) for column in counts.T]
    ends = [float(counts[row, a]) for a, row in enumerate(last)]
    gap = max(max(ends), 1) * 0.045
    places: dict[int, float] = {}
    below = -np.inf
    for a in np.argsort(ends, kind="stable"):
        below = max(ends[a], below + gap)
        places[int(a)] = below
    for a, place in places.items():
        name = f"{a + 1}-bit activations" if a + 1 == len(ends) else str(a + 1)
        axes.annotate(
            name, (last[a] + 1, place), (6, 0), textcoords="offset points", size=8, va="center",
            color=shades[a],
        )  # fmt: skip


Pair = tuple[float, float, float, float]
"""Measured, estimated, and the band of the estimate."""


def plot_errors(panels: Mapping[str, Mapping[str, Sequence[Pair]]], file: Path) -> None:
    """Estimates over measurements, a panel for each resource and a colour for each target.

    On the line they are equal; the grey band is 15 % either way. Raises StorageError.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    figure = Figure(figsize=(3.7 * len(panels), 3.9), layout="constrained")
    every = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, series) in zip(every, panels.items(), strict=True):
        for (name, pairs), colour, marker in zip(series.items(), COLOURS, MARKERS, strict=False):
            measured, estimated, low, high = np.array(pairs, dtype=float).T
            away = np.array([estimated - low, high - estimated]).clip(min=0)
            axes.errorbar(
                measured, estimated, yerr=away, fmt=marker, ms=4.5, color=colour, mfc="none",
                elinewidth=0.7, label=f"{name}, {len(pairs)}", alpha=0.9,
            )  # fmt: skip
        ends = [f for pairs in series.values() for pair in pairs for f in pair[:2] if f > 0]
        span = np.array([min(ends) / 1.25, max(ends) * 1.25])
        axes.plot(span, span, "-", color="grey", lw=0.8, zorder=0)
        axes.fill_between(span, span / 1.15, span * 1.15, color="grey", alpha=0.14, lw=0, zorder=0)
        axes.set(xscale="log", yscale="log", xlim=span, ylim=span, xlabel="measured")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            axis.set_minor_formatter(NullFormatter())
        axes.set_title(title, size=10, loc="left")
        axes.legend(frameon=False, fontsize=8, loc="upper left")
        axes.spines[["top", "right"]].set_visible(False)
    every[0].set_ylabel("estimated")
    save(figure, file)


def save(figure: "Figure", file: Path) -> None:
    """Write a figure (.png, .svg, .pdf), the same bytes every time.

    Raises StorageError where the file cannot be written, or is of another kind.
    """
    from matplotlib import rc_context

    try:
        with replaced_file(file) as fresh, rc_context({"svg.hashsalt": "bitwright"}):
            stamp = {"Date": None} if file.suffix == ".svg" else None
            figure.savefig(fresh, dpi=150, metadata=stamp, format=file.suffix[1:])
    except ValueError as error:  # matplotlib knows no such kind
        raise StorageError(f"cannot write {file}: {error}") from None
