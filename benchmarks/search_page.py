"""What `python -m benchmarks.search` found, as tables and a plot in docs/search.md."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.page import into_page
from bitwright.search.front import front
from bitwright.search.methods import uniform_candidates
from bitwright.search.space import Space
from bitwright.search.study import Record, read_study

PAGE, PICTURE = Path("docs/search.md"), Path("docs/results/search.png")
TITLES = {
    "unsw": "UNSW-NB15, 593-16-2",
    "mnist14": "MNIST at 14 x 14, 196-16-10",
    "jsc": "jets, 16-64-32-32-5, a sample of 1,000 rows",
}
DRAWN = ("unsw", "mnist14")
TOOLS = ("bitwright", "torch", "brevitas", "alkaid", "pyosys")
# Okabe and Ito's colours, told apart by their markers too.
STYLES = {
    "uniform": ("#7a7a7a", "o"), "pareto": ("#0072b2", "^"),
    "ilp": ("#d55e00", "s"), "differentiable": ("#009e73", "D"),
}  # fmt: skip


def write(studies: Mapping[str, tuple[Space, Path]], results: Mapping[str, Any]) -> None:
    """The tables of every data set that has a result, and the fronts of those that have a study."""
    text = "\n".join(table(name, results[name]) for name in TITLES if name in results)
    text += "\n" + tools(results["versions"])
    into_page(PAGE, "python -m benchmarks.search", text)
    if drawn := {name: studies[name] for name in DRAWN if name in studies}:
        plot(drawn)


def table(name: str, made: Mapping[str, Any]) -> str:
    """At the accuracy of each uniform network, the cheapest found one."""
    lines = [
        f"**{TITLES[name]}**: {made['networks']} networks, {made['finals']} of them trained in "
        f"full, {made['evaluation_seconds'] / 60:.0f} min of evaluations on a loaded machine.",
        "",
        "| uniform | held out | test | LUT | found | held out | test | LUT | LUT ratio |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for line in made["at_each_uniform"]:
        told = [line["uniform"], share(line["uniform_held_out_accuracy"]),
                share(line["uniform_test_accuracy"]), f"{line['lut_uniform']:,}"]  # fmt: skip
        if "lut_search" in line:
            told += [line["search"], share(line["held_out_accuracy"]),
                     share(line["test_accuracy"]), f"{line['lut_search']:,}",
                     f"{line['lut_ratio']:.3f}"]  # fmt: skip
        else:
            told += ["none as good", "", "", "", ""]
        lines.append(f"| {' | '.join(told)} |")
    if more := made["larger_uniform"]:
        tested = more["test_accuracy"]
        lines += [
            "",
            f"Of larger uniform networks, which Yosys did not count, the best "
            f"({more['network']}) has {share(more['held_out_accuracy'])} of the held-out rows"
            + (f", {share(tested)} of the test rows," if tested else " when trained shortly,")
            + f" and {more['lut_estimated']:,} LUTs by the estimate.",
        ]
    taught = made["distillation"]
    lines += [
        "",
        f"Distillation from the float network made {taught['better']} of {taught['networks']} "
        f"networks better on held-out rows and {taught['worse']} worse, by "
        f"{100 * taught['mean_gain']:+.2f} points on average.",
    ]
    return "\n".join([*lines, ""])


def share(accuracy: float) -> str:
    return f"{100 * accuracy:.2f} %"


def tools(versions: Mapping[str, str]) -> str:
    """What it was made with."""
    told = ", ".join(f"{name} {versions[name]}" for name in TOOLS)
    return f"Made with {told}.\n"


def plot(studies: Mapping[str, tuple[Space, Path]]) -> None:
    """Accuracy on held-out rows over estimated LUTs: every network, and those trained in full."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.25 * len(studies), 4.6), layout="constrained")
    for axes, (name, (space, folder)) in zip(
        figure.subplots(1, len(studies), squeeze=False)[0], studies.items(), strict=True
    ):
        with read_study(folder) as study:
            known = [r for r in study.records() if r.done and space.key(r.task) == r.key]
        uniform = set(uniform_candidates(space))
        for method, (colour, marker) in STYLES.items():
            mine = [r for r in known if r.task.kind == "candidate" and method in r.methods]
            axes.plot(*_points(mine), marker, color=colour, ms=4.5, alpha=0.45, mew=0,
                      label=f"{method}, trained shortly")  # fmt: skip
        finals = [r for r in known if r.task.kind == "final"]
        for ours, colour, label in ((False, "#7a7a7a", "uniform, trained in full"),
                                    (True, "black", "search, trained in full")):  # fmt: skip
            mine = [r for r in finals if (r.task.candidate not in uniform) is ours]
            best = front(mine, lambda r: _row(r)["accuracy"], lambda r: _row(r)["lut"])
            axes.plot(*_points(mine), "*", color=colour, ms=10, mew=0, label=label)
            axes.step(*_points(best), where="post", color=colour, lw=1.2)
        every = [100 * _row(r)["accuracy"] for r in finals]
        span = max(max(every) - min(every), 0.5)
        axes.set_ylim(min(every) - 0.6 * span, max(every) + 0.15 * span)
        axes.set_xscale("log")
        axes.set_title(TITLES[name], size=11)
        axes.set_xlabel("look-up tables, estimated")
        axes.set_ylabel("held-out training rows, %")
        axes.grid(alpha=0.25, linewidth=0.6, which="both")
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(PICTURE, dpi=130)


def _row(record: Record) -> Mapping[str, Any]:
    assert record.row is not None
    return record.row


def _points(records: list[Record]) -> tuple[list[float], list[float]]:
    ordered = sorted(records, key=lambda r: _row(r)["lut"])
    return [_row(r)["lut"] for r in ordered], [100 * _row(r)["accuracy"] for r in ordered]
