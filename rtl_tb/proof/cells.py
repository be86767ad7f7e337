"""The library's cells: which benches of rtl_tb/formal prove them, and with which parameters.

A proof is for the parameters that it names, all inputs and all times. Widths are small, for what
moves data does not look at it; depths, ratios, strides and paddings are those at which something
changes: one, two, odd numbers, more than a power of two.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources

from bitwright.rtl_tb.proof import checker
from bitwright.rtl_tb.proof.benches import harness

Parameters = Mapping[str, int | str]

_INSTANCE = re.compile(r"^\s*((?:bw|fv)_\w+) (?:#\(|u_)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CellBench:
    """A bench with the parameters that it is proven with. cells: those whose mistakes it finds.

    cycles: 0 for a proof for all times; else so many cycles are searched. history: where the
    assertions are about so many cycles only (`checker.check`), not counting registers that Cuts
    and Stages add. inside: the bench is put into the cell itself, in front of its endmodule, and
    its invariants prove each other.
    """

    bench: str
    cells: tuple[str, ...]
    parameters: tuple[Parameters, ...]
    cycles: int = 0
    history: int = 0
    inside: bool = False


def _all(*parameters: Parameters) -> tuple[Parameters, ...]:
    return parameters


def _each(name: str, count: int, parameters: tuple[Parameters, ...]) -> tuple[Parameters, ...]:
    """All of them with each value of one more."""
    return tuple({name: value, **given} for value in range(count) for given in parameters)


_IMAGE = {"Rows": 2, "Columns": 2, "KernelRows": 2, "KernelColumns": 2}
_PADDED = {**_IMAGE, "Top": 1, "Left": 1, "OutRows": 2, "OutColumns": 2}
_BELOW = {**_IMAGE, "OutRows": 2, "OutColumns": 2}  # padded below and right
_MORE_LEVELS = "36'b000111_000011_000001_000000_111110_111100"  # -4, -2, 0, 1, 3 and 7
_LEVELS = "18'b000100_000001_111110"  # -2, 1 and 4

BENCHES: tuple[CellBench, ...] = (
    # What a stream goes through.
    CellBench("fv_pipe", ("bw_pipe", "bw_delay"), _all(*({"Stages": n} for n in (1, 2, 3)))),
    CellBench("fv_fifo", ("bw_fifo",), _all(
        *({"Depth": n} for n in (2, 3, 4, 5)), {"Depth": 3, "Style": "block"},
        {"Depth": 2, "Style": "distributed"})),
    CellBench("fv_upsize", ("bw_upsize",), _all(*({"Ratio": n} for n in (1, 2, 3)))),
    CellBench("fv_downsize", ("bw_downsize",), _all(*({"Ratio": n} for n in (1, 2, 3)))),
    CellBench("fv_repeat", ("bw_repeat",), _all(
        {"Words": 2, "Copies": 2}, {"Words": 1, "Copies": 2}, {"Words": 2, "Copies": 3},
        {"Words": 3, "Copies": 1})),
    CellBench("fv_lines", ("bw_lines",), _all(
        {"KernelRows": 1, "Rows": 1, "Columns": 3, "OutColumns": 2},
        {**_IMAGE, "KernelColumns": 1, "OutColumns": 2})),
    CellBench("fv_lines", ("bw_lines",), _all(
        _IMAGE, _PADDED, {**_PADDED, "Rows": 3, "Columns": 3, "StrideRows": 2,
        "StrideColumns": 2}), cycles=16),
    CellBench("fv_lines", ("bw_lines",), _all(_BELOW, {**_BELOW, "Overlap": 1}), cycles=18),
    CellBench("fv_window", ("bw_window",), _all(
        {}, {"Rows": 1, "Words": 2, "KernelRows": 1, "Passes": 2, "RingRows": 2},
        {"Rows": 3, "KernelRows": 2, "OutRows": 2})),
    CellBench("fv_window_inside", ("bw_window",), _all(
        _PADDED, {**_PADDED, "Rows": 3, "StrideRows": 2, "StrideColumns": 2, "OutColumns": 1},
        {"Rows": 1, "Words": 64, "KernelRows": 1, "Passes": 16, "RingRows": 2},
        {**_IMAGE, "Rows": 9, "Columns": 8, "Words": 4, "KernelRows": 3, "StrideRows": 2,
         "StrideColumns": 2, "Top": 1, "Left": 1, "OutRows": 5, "OutColumns": 5, "RingRows": 5,
         "Passes": 4, "Groups": 2}), inside=True),
    CellBench("fv_registers", ("bw_registers",), _all({"LoadBeats": 2}, {"LoadBeats": 0})),
    CellBench(
        "fv_fifo_inside",
        ("bw_fifo",),
        _all(*({"Depth": n} for n in (2, 5, 37))),
        inside=True,
    ),
    CellBench("fv_upsize_inside", ("bw_upsize",), _all({"Ratio": 1}, {"Ratio": 7}), inside=True),
    CellBench(
        "fv_downsize_inside", ("bw_downsize",), _all({"Ratio": 1}, {"Ratio": 7}), inside=True
    ),
    CellBench("fv_frame", ("bw_frame",), _all({"Beats": 1}, {"Beats": 100})),
    CellBench("fv_delay", ("bw_delay",), _all({"Stages": 1}, {"Stages": 3}), history=2),
    # What counts and keeps.
    CellBench("fv_counters", ("bw_loop", "bw_frame", "bw_step"), _all(
        *({"Bound": n} for n in (1, 2, 3, 4, 5)))),
    CellBench("fv_ram", ("bw_ram",), _all(
        *({"Style": style} for style in ("auto", "distributed", "block")), {"Depth": 1})),
    CellBench("fv_loader", ("bw_loader",), _all(
        {}, {"Width": 40, "Beats": 6}, {"Depth": 1, "Beats": 3, "First": 2},
        {"Depth": 3, "Beats": 3, "First": 0})),
    CellBench("fv_loader_inside", ("bw_loader",), _all(
        {"Depth": 2, "Beats": 2, "First": 0}, {"Width": 70, "Depth": 9, "First": 5, "Beats": 40},
        {"Depth": 100, "First": 300, "Beats": 400}), inside=True),
    CellBench("fv_vote", ("bw_vote",), _all({})),
    # What computes.
    CellBench("fv_adder_tree", ("bw_adder_tree",), _all(
        {}, {"Terms": 5, "Width": 3, "Cuts": 2}, {"Terms": 4, "Width": 3, "Cuts": 3},
        {"Terms": 1, "Cuts": 0})),
    CellBench("fv_matvec", ("bw_matvec",), _all(
        {}, {"InSigned": 1, "Lanes": 2}, {"WeightWidth": 1, "Lanes": 2},
        {"WeightWidth": 1, "InWidth": 1, "Binary": 1, "Terms": 7},
        {"WeightWidth": 1, "Inverted": 1, "InSigned": 1}, {"Cuts": 1}, {"Terms": 3, "Cuts": 3}),
        history=4),
    CellBench("fv_pool", ("bw_pool",), _all(
        {}, {"InSigned": 1, "InWidth": 3}, {"Max": 0, "Lanes": 2}, {"Max": 0, "InSigned": 1}),
        history=3),
    CellBench("fv_threshold", ("bw_threshold", "bw_plain_threshold"), _all(
        {"Thresholds": _LEVELS, "Base": "3'd1"}, {"Thresholds": _LEVELS, "Base": "3'd4"},
        {"Thresholds": _LEVELS, "Base": "3'd4", "Falling": 1},
        {"Thresholds": _LEVELS, "Base": "3'd2", "InSigned": 0},
        {"Thresholds": _MORE_LEVELS, "Levels": 6, "Base": "3'd0"})),
    CellBench("fv_round", ("bw_round_saturate",), _each("HalfEven", 2, (
        {}, {"OutSigned": 0}, {"Narrow": 1}, {"Shift": 0}, {"Shift": 1},
        {"InWidth": 4, "OutWidth": 6}))),
    CellBench("fv_requantize", ("bw_plain_requantize", "bw_round_saturate"), _each("Rounding", 3, (
        {}, {"OutSigned": 0, "Multiplier": "32'hfffffffd"}, {"Narrow": 1, "Shift": 0},
        {"InSigned": 0, "Bias": "32'd3"}))),
    CellBench("fv_lookup", ("bw_lookup", "bw_plain_lookup"), _all(
        {"Table": "24'h9a53f1"}, {"Table": "10'h2d1", "InWidth": 1, "OutWidth": 5})),
    CellBench("fv_argmax", ("bw_argmax",), _all(
        {}, {"Channels": 5, "OutWidth": 3, "Signed": 0}, {"Channels": 4, "Width": 3},
        {"Channels": 1, "OutWidth": 1})),
    CellBench("fv_dot", ("bw_plain_dot",), _all(
        {"Weights": "6'b101011", "Bias": "8'd200"}, {"Weights": "6'b011101", "InSigned": 0})),
    CellBench("fv_threshold_stream", ("bw_threshold_stream",), _all(
        {}, {"Lanes": 2, "Steps": 3, "InSigned": 0}, {"Levels": 3, "Steps": 1}), history=4),
    CellBench("fv_requantize_stream", ("bw_requantize_stream",), _all(
        {}, {"HalfEven": 1}, {"OutSigned": 0, "Lanes": 2}, {"InSigned": 0, "Narrow": 1}),
        history=5),
    CellBench("fv_lookup_stream", ("bw_lookup_stream",), _all(
        {}, {"Steps": 1}, {"Steps": 3, "Lanes": 2}), history=4),
)  # fmt: skip


_BEHIND_RESET = ("fv_pipe", "fv_frame")
_AS_USED = (*_BEHIND_RESET, "fv_repeat", "fv_lines")
"""Benches that are tried with the parameters of a design, though some sizes may be too large."""


def cells() -> list[str]:
    """The names of all cells of the library."""
    lib = resources.files("bitwright.rtl_tb") / "lib"
    return sorted(one.name.removesuffix(".sv") for one in lib.iterdir() if one.name[-3:] == ".sv")


def benches_of(cell: str) -> Iterator[tuple[CellBench, Parameters]]:
    """Every bench that is about a cell, with each of its parameters."""
    for bench in BENCHES:
        if cell in bench.cells:
            for parameters in bench.parameters:
                yield bench, parameters


def check(
    bench: CellBench,
    parameters: Parameters,
    *,
    replaced: Mapping[str, str] | None = None,
    cycles: int | None = None,
    seconds: float = 60.0,
) -> checker.Verdict:
    """Decide a bench with one set of parameters.

    replaced: other texts for some cells. cycles: to search only so many, where a mistake is sought.
    Raises ToolError where Yosys refuses the text.
    """
    texts = _texts(bench, replaced or {})
    bound = bench.cycles if cycles is None else cycles
    top = bench.cells[0] if bench.inside else bench.bench
    return checker.check(
        texts, top, parameters, bound=bound, seconds=seconds,
        behind_reset=bench.inside or bench.bench in _BEHIND_RESET,
        history=_history(bench, parameters),
    )  # fmt: skip


def _history(bench: CellBench, parameters: Parameters) -> int:
    cuts, stages = int(parameters.get("Cuts", 0)), int(parameters.get("Stages", 0))
    return bench.history and bench.history + bin(cuts).count("1") + stages


def lemma(
    cell: str, parameters: Parameters, library: Mapping[str, str], seconds: float = 60.0
) -> checker.Verdict:
    """Decide what a bench says of a cell, with the parameters that an instance of it has.

    library: the texts of the cells, as the design has them. The bench is one that no size is too
    large for. Raises ToolError; KeyError where no bench is.
    """
    bench = next(
        one
        for one in BENCHES
        if one.cells[0] == cell and (one.inside or one.history or one.bench in _AS_USED)
    )
    return check(bench, parameters, replaced=library, seconds=seconds)


def _texts(bench: CellBench, replaced: Mapping[str, str]) -> dict[str, str]:
    """The files of a bench: its cells and what they instantiate.

    But for its own bench, a memory reads as anything where it is written at the same time; always,
    where the bench knows by itself what is in it.
    """
    lib = resources.files("bitwright.rtl_tb") / "lib"
    found: dict[str, str] = {}
    left = [bench.cells[0] if bench.inside else bench.bench]
    while left:
        name = left.pop()
        if f"{name}.sv" in found:
            continue
        if name in replaced:
            text = replaced[name]
        elif name.startswith("fv_"):
            text = harness(name)[f"{name}.sv"]
        elif name == "bw_ram" and bench.bench != "fv_ram":
            model = "fv_ram_anything" if bench.inside else "fv_ram_model"
            text = harness(model)[f"{model}.sv"]
        else:
            text = (lib / f"{name}.sv").read_text()
        if bench.inside and name == bench.cells[0]:
            end = text.rindex("endmodule")
            text = text[:end] + harness(bench.bench)[f"{bench.bench}.sv"] + text[end:]
        found[f"{name}.sv"] = text
        left += _INSTANCE.findall(text)
    return found
