"""How good the cost model is on whole networks that no number was fitted to.

`python -m benchmarks.validate` holds the estimates of benchmarks/networks against the rows of
cost_model/data/networks.csv and clocks.csv, prints the errors beside those of simpler models, and
writes cost_model/data/validation.json, validation.csv (a row for each network and target) and the
plots of docs/cost_model.md. Nothing is measured here: `python -m benchmarks.held_out measure` does.
"""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import spearmanr

from benchmarks.held_out import cycle_rows
from benchmarks.held_out_networks import DRAWS, TARGETS, networks
from benchmarks.held_out_networks import drawn as drawn_networks
from benchmarks.page import into_page
from bitwright.cost_model import Cost, Estimate, estimate
from bitwright.cost_model.cost import total
from bitwright.cost_model.rows import DATA, read_clocks, read_rows
from bitwright.cost_plot import Pair, plot_errors
from bitwright.models.files import replace_file
from bitwright.models.graph import Dense, Graph, IntArray, Plan, Target, Unrolled, decode

JSON, CSV = DATA / "validation.json", DATA / "validation.csv"
PICTURE, PAGE = Path("docs/results/validation.png"), Path("docs/cost_model.md")
ROWS = {
    "lut": "LUT, solved", "lut_by_formulas": "LUT, formulas alone", "ff": "FF", "dsp": "DSP",
    "bram": "BRAM", "clock": "routed clock", "lut_by_bit_operations": "LUT, bit operations",
    "lut_by_solvers_cost": "LUT, the solver's cost",
}  # fmt: skip

LOOKED_AT = frozenset(
    "digits_binary digits_demo digits_tiled digits_w2a2 digits_w3a3 digits_w4a4 digits_w6a5 "
    "jets_w3 mlp_small mlp_steps mnist_w2 mnist_w3".split()
)
"""Networks whose errors on xc7 and ECP5 were seen while formulas were still being changed: they are
in no fit, but what they showed (short additions, thresholds close together) was put in."""

FRESH = "Networks that a generator drew, and that nobody looked at before the formulas were final"

RESOURCES = ("lut", "ff", "dsp", "bram")


@dataclass(frozen=True, eq=False, slots=True)
class Case:
    """A network on a target. simple: what other models say of its LUTs, before any scale."""

    network: str
    target: Target
    measured: Cost
    solved: Estimate
    formulas: Estimate
    mhz: float | None
    simple: Mapping[str, float]


def cases() -> list[Case]:
    """Every network on every target that has all of its rows."""
    counted: dict[tuple[str, str], dict[str, Cost]] = {}
    for row in read_rows(DATA / "networks.csv"):
        counted.setdefault((row.name, row.target), {})[row.part] = row.cost
    routed: dict[tuple[str, str], dict[str, float]] = {}
    for clock in read_clocks(DATA / "clocks.csv"):
        name, _, node = clock.name.partition("/")
        if node:
            routed.setdefault((name, clock.target), {})[node] = clock.mhz
    found = []
    by_name = {network.name: network for network in networks()}
    for (name, text), parts in track(counted.items(), "estimate", console=Console(stderr=True)):
        network = by_name[name]
        target = next(t for t in network.targets if t == text)
        graph, plan = network.load()
        plan = replace(plan, target=target)
        formulas = estimate(graph, plan)
        if any(cost != Cost() and node not in parts for node, cost in formulas.nodes.items()):
            continue  # not all of it has been measured yet
        solved = estimate(graph, plan, solved=True)
        clocks = routed.get((name, target), {})
        found.append(
            Case(
                name, target, total(parts.values()), solved, formulas,
                min(clocks.values(), default=None), _simple(graph, plan),
            )
        )  # fmt: skip
    return found


def _simple(graph: Graph, plan: Plan) -> dict[str, float]:
    """Bit operations (weight bits x input bits of every weight that is not zero), and for unrolled
    networks what the adder-graph solver says that its graphs cost."""
    if not all(isinstance(engine, Unrolled) for engine in plan.engines.values()):
        return {}
    operations, solver = 0.0, 0.0
    for node in graph.nodes:
        if isinstance(node.op, Dense):
            matrix, source = decode(node.op.weights), graph.values[node.inputs[0]]
            bits = max(int(np.abs(matrix).max()).bit_length(), 1) + 1
            operations += float((matrix != 0).sum()) * bits * source.type.width
            solver += _solver_cost(matrix, graph, source.name)
    return {"bit operations": operations, "solver's cost": solver}


def _solver_cost(matrix: IntArray, graph: Graph, source: str) -> float:
    from alkaid.cmvm import cmvm_solve

    reach = graph.intervals[source]
    bounds = [(float(min(a, 0)), float(max(b, 1)), 1.0)
              for a, b in zip(reach.low, reach.high, strict=True)]  # fmt: skip
    kernel = np.ascontiguousarray(matrix, dtype=np.float32)
    return float(sum(s.cost for s in cmvm_solve(kernel, qintervals=bounds, hard_dc=2)))


def errors(pairs: Sequence[tuple[float, float]]) -> dict[str, float | None]:
    """Median and 95th percentile of |estimated / measured - 1|, and the rank correlation.

    A count that is nothing in both has no error; one that is nothing in one of them is infinite.
    """
    if not pairs:
        return {}
    away = [abs(e / m - 1) if m else (0.0 if not e else math.inf) for e, m in pairs]
    estimated, measured = zip(*pairs, strict=True)
    varied = len(set(measured)) > 1 and len(set(estimated)) > 1
    return {
        "median_error": float(np.median(away)),
        "p95_error": float(np.percentile(away, 95)),
        "spearman": float(spearmanr(estimated, measured).statistic) if varied else None,
    }


def summary(found: Sequence[Case]) -> dict[str, dict[str, float | int | None]]:
    """The errors of one target's networks by resource, the clock, and the simpler models' LUTs."""
    made: dict[str, dict[str, float | int | None]] = {}
    for name in RESOURCES:
        counts = [_counts(case, name) for case in found]
        made[name] = {
            **errors([(estimated, measured) for measured, estimated, _, _ in counts]),
            "band_coverage": float(np.mean([low <= m <= high for m, _, low, high in counts])),
        }
    clocks = [c for c in found if c.mhz is not None and c.solved.clock_band is not None]
    if clocks:
        made["clock"] = {
            "networks": len(clocks),
            **errors([(c.solved.clock_mhz, c.mhz or 0.0) for c in clocks]),
            "band_coverage": float(np.mean([_clock_inside(c) for c in clocks])),
        }
    made["lut_by_formulas"] = {
        **errors([(c.formulas.total.lut, c.measured.lut) for c in found]),
        "band_coverage": float(np.mean([_inside(c.formulas, c.measured.lut) for c in found])),
    }
    for name in ("bit operations", "solver's cost"):
        some = [c for c in found if name in c.simple]
        if some:
            # In its best case: one scale, the best for these very networks.
            scale = float(np.median([c.measured.lut / c.simple[name] for c in some]))
            key = f"lut_by_{name.replace(' ', '_').replace(chr(39), '')}"
            made[key] = {
                "networks": len(some),
                **errors([(scale * c.simple[name], c.measured.lut) for c in some]),
            }
    return made


def _counts(case: Case, resource: str) -> tuple[int, int, int, int]:
    low, high = case.solved.band
    every = (case.measured, case.solved.total, low, high)
    measured, estimated, least, most = (cost.as_dict()[resource] for cost in every)
    return measured, estimated, least, most


def _inside(made: Estimate, lut: int) -> bool:
    low, high = made.band
    return low.lut <= lut <= high.lut


def _clock_inside(case: Case) -> bool:
    assert case.solved.clock_band is not None and case.mhz is not None
    low, high = case.solved.clock_band
    return low <= case.mhz <= high


def exact_cycles() -> dict[str, int]:
    """Of how many networks latency and interval in simulation are those predicted."""
    rows = cycle_rows()
    return {
        "networks": len(rows),
        "latency_exact": sum(r["latency_predicted"] == r["latency_simulated"] for r in rows),
        "ii_exact": sum(r["ii_predicted"] == r["ii_simulated"] for r in rows),
        "vectors": sum(int(r["vectors"]) for r in rows),
        "mismatches": sum(int(r["mismatches"]) for r in rows),
    }


def row(case: Case) -> dict[str, object]:
    """A network on a target, for the CSV."""
    made: dict[str, object] = {
        "network": case.network, "target": case.target,
        "looked_at": int(case.network in LOOKED_AT and case.target in ("xc7", "ecp5")),
    }  # fmt: skip
    for name in RESOURCES:
        values = zip(("measured", "estimated", "low", "high"), _counts(case, name), strict=True)
        made |= {f"{name}_{what}": value for what, value in values}
    made["lut_by_formulas"] = case.formulas.total.lut
    made["mhz_measured"] = "" if case.mhz is None else round(case.mhz, 1)
    made["mhz_estimated"] = round(case.solved.clock_mhz, 1)
    band = case.solved.clock_band
    for i, end in enumerate(("low", "high")):
        made[f"mhz_{end}"] = "" if band is None else round(band[i], 1)
    made["latency"], made["ii"] = case.solved.latency, case.solved.ii
    made["extrapolating"] = len(case.solved.extrapolating)
    return made


def tables(made: Mapping[str, Mapping[str, Mapping[str, float | int | None]]]) -> Table:
    """The summary, for people."""
    table = Table(title="estimates of held-out networks", title_justify="left")
    for column in ("target", "", "networks", "median", "95 %", "rank", "in band"):
        table.add_column(column, justify="left" if column in ("target", "") else "right")
    for target, each in made.items():
        for what, one in each.items():
            told = [
                "" if one.get(key) is None else form.format(one[key])
                for key, form in (
                    ("networks", "{}"), ("median_error", "{:.1%}"), ("p95_error", "{:.1%}"),
                    ("spearman", "{:.4f}"), ("band_coverage", "{:.0%}"),
                )
            ]  # fmt: skip
            table.add_row(target, what.replace("_", " "), *told)
        table.add_section()
    return table


def page(content: Mapping[str, Any], targets: Sequence[str]) -> str:
    """The tables of docs/cost_model.md: all networks, and those that were never looked at."""
    exact = content["cycles"]
    lines = [
        f"Latency is exact for {exact['latency_exact']} and the initiation interval for "
        f"{exact['ii_exact']} of {exact['networks']} networks in Verilator "
        f"({exact['mismatches']} of {exact['vectors']:,} outputs differ).",
        "",
    ]
    for title, part in (
        (f"All {content['networks']} networks", content),
        ("Without the twelve whose cells were looked at", content["never_looked_at"]),
        (FRESH, content["drawn"]),
    ):
        if not part:
            continue
        lines += [f"{title}:", "", "| target | | networks | median | 95th percentile | Spearman "
                  "| in the band |", "| --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
        for target in targets:
            for key, name in ROWS.items():
                one = part.get(target, {}).get(key)
                if not one:
                    continue
                rank, inside = one.get("spearman"), one.get("band_coverage")
                lines.append(
                    f"| {target} | {name} | {one.get('networks', part[target]['networks'])} "
                    f"| {one['median_error']:.1%} | {one['p95_error']:.1%} "
                    f"| {'' if rank is None else f'{rank:.3f}'} "
                    f"| {'' if inside is None else f'{inside:.0%}'} |"
                )
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Estimate, compare, print and write."""
    found = cases()
    names = {network.name for seed in DRAWS for network in drawn_networks(seed)}
    targets = [target for target in TARGETS if any(case.target == target for case in found)]
    made: dict[str, dict[str, Any]] = {}
    fresh: dict[str, dict[str, Any]] = {}
    drawn: dict[str, dict[str, Any]] = {}
    for target in targets:
        mine = [case for case in found if case.target == target]
        made[target] = {"networks": len(mine), **summary(mine)}
        new = [case for case in mine if not row(case)["looked_at"]]
        if len(new) < len(mine):
            fresh[target] = {"networks": len(new), **summary(new)}
        if by_generator := [case for case in mine if case.network in names]:
            drawn[target] = {"networks": len(by_generator), **summary(by_generator)}
    shown = {t: {k: v for k, v in each.items() if k != "networks"} for t, each in made.items()}
    for name, each in shown.items():
        each["lut"] = {"networks": made[name]["networks"], **each["lut"]}
    Console().print(tables(shown))
    tools = sorted({r.tool for r in read_rows(DATA / "networks.csv")}
                   | {c.tool for c in read_clocks(DATA / "clocks.csv")})  # fmt: skip
    content = {
        "networks": len({case.network for case in found}),
        "tools": tools,
        "looked_at": sorted(LOOKED_AT),
        "cycles": exact_cycles(),
        **made,
        "never_looked_at": fresh,
        "drawn": drawn,
    }
    replace_file(JSON, json.dumps(content, indent=1) + "\n")
    into_page(PAGE, "python -m benchmarks.validate", page(content, targets))
    text = io.StringIO()
    rows = sorted(
        (row(case) for case in found), key=lambda r: (str(r["target"]), str(r["network"]))
    )
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    replace_file(CSV, text.getvalue())
    panels: dict[str, dict[str, list[Pair]]] = {
        title: {
            t: [tuple(map(float, _counts(c, name))) for c in found if c.target == t]  # type: ignore[misc]
            for t in targets
        }
        for title, name in (("look-up tables", "lut"), ("flip-flops", "ff"))
    }
    clocks = [c for c in found if c.mhz is not None and c.solved.clock_band is not None]
    if clocks:
        panels["routed clock, MHz"] = {
            t: [
                (c.mhz or 0.0, c.solved.clock_mhz, *(c.solved.clock_band or (0.0, 0.0)))
                for c in clocks
                if c.target == t
            ]
            for t in dict.fromkeys(c.target for c in clocks)
        }
    plot_errors(panels, PICTURE)
    Console().print(f"{JSON}, {CSV}, {PICTURE}")


if __name__ == "__main__":
    main()
