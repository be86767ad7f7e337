"""Reports as tables for people."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table

from bitwright.cost_model import Estimate
from bitwright.cost_model.width_table import BITS, WidthTable
from bitwright.hls import Report as VendorReport
from bitwright.models.graph import Graph, Plan
from bitwright.report import (
    RESOURCES,
    Accuracy,
    Controls,
    Cost,
    Engine,
    Lowering,
    Report,
    Resources,
    clocks,
)
from bitwright.rtl_tb import Design
from bitwright.rtl_tb.bench import BenchResult
from bitwright.rtl_tb.ip import Ip
from bitwright.rtl_tb.proof import NodeProof

ENGINE_TITLES = {
    "hls": "HLS C++ ({io}, g++)",
    "rtl": "RTL, adder graphs (Verilator)",
    "rtl_products": "RTL (Verilator)",
    "rtl_plain": "RTL, plain (Verilator)",
}


def report_table(report: Report) -> RenderableType:
    """The whole report: what was checked, and what the hardware costs layer by layer."""
    checks = _table(None, "check", "result", "")
    _accuracy(checks, report.accuracy)
    _lowering(checks, report.lowering)
    for name, engine in report.engines.items():
        _engine(checks, name, engine)
    _bench(checks, report.bench)
    _controls(checks, report.controls)
    for title, cycles in (("latency, cycles", report.cycles), ("initiation interval", report.ii)):
        checks.add_row(title, str(cycles), _mark(cycles.passed))
    verdict = (
        "[green]all checks passed[/]" if report.passed else "[red]a check FAILED, see above[/]"
    )
    return Panel.fit(
        Group(checks, cost_table(report.cost, report.clock_mhz)),
        title=report.name,
        subtitle=f"{verdict}, {report.seconds:.0f} s",
    )


def lowering_table(name: str, accuracy: Accuracy, lowering: Lowering) -> RenderableType:
    """Torch against the reference, tensor by tensor."""
    table = _table(f"{name}: torch against the integer reference", "tensor", "integers", "differ")
    for tensor, counts in lowering.tensors.items():
        table.add_row(tensor, f"{counts['compared']:,}", f"{counts['differing']:,}")
    checks = _table(None, "check", "result", "")
    _accuracy(checks, accuracy)
    _lowering(checks, lowering)
    return Group(table, checks)


def engines_table(
    title: str,
    engines: Mapping[str, Engine],
    controls: Controls | None = None,
    bench: BenchResult | None = None,
) -> RenderableType:
    """Engines against the reference, what was wrong with them, and the negative controls."""
    table = _table(title, "check", "result", "")
    for name, engine in engines.items():
        _engine(table, name, engine)
        if engine.latency is not None:
            cycles = f"{engine.latency} cycles latency, initiation interval {engine.interval}"
            table.add_row("", f"{cycles}{', as predicted' if engine.passed else ''}", "")
    if bench is not None:
        _bench(table, bench)
    if controls is not None:
        _controls(table, controls)
    return table


def _clocks(mhz: Mapping[str, float]) -> str:
    """The clock planned for and the one estimated, with a band where its delays were routed."""
    told = f"{mhz['asked']:.0f} MHz planned, {mhz['estimated']:.0f} MHz "
    slow = mhz["estimated"] < mhz["asked"]
    if "low" not in mhz:
        return f"{told}by assumed delays{': it may not be met' if slow else ''}"
    told += f"estimated ({mhz['low']:.0f} to {mhz['high']:.0f})"
    return f"{told}: the planned clock is not met" if slow else told


def cost_table(cost: Cost, clock_mhz: Mapping[str, float], rate: str = "") -> RenderableType:
    """Resources of every layer: estimated, with its band, and measured where that was done.

    rate: what `pace` says, if that is to be told too.
    """
    clock = _clocks(clock_mhz) + (f"\n{rate}" if rate else "")
    used = [r for r in RESOURCES if r in ("lut", "ff") or cost.estimated[r] or cost.measured.get(r)]
    unused = ", ".join(f"no {r.upper()}" for r in RESOURCES if r not in used)
    table = _table(f"cost on {cost.target}, {clock}", "layer")
    notes = [unused] if unused else []
    notes += [f"[yellow]beyond what was measured: {what}[/]" for what in cost.extrapolating]
    if notes:
        table.caption, table.caption_justify = "\n".join(notes), "left"
    banded = cost.low != cost.high
    for resource in used:
        table.add_column(resource.upper(), justify="right")
        if banded and resource == "lut":
            table.add_column("band", justify="right", style="dim")
        if cost.measured:
            table.add_column("measured", justify="right", style="bold")
            if resource == "lut":
                table.add_column("error", justify="right")
    for name, parts in cost.layers.items():
        table.add_row(name, *_counts(used, parts, banded))
    table.add_section()
    whole = {"estimated": cost.estimated, "low": cost.low, "high": cost.high}
    if cost.measured:
        whole["measured"] = cost.measured
    table.add_row("total", *_counts(used, whole, banded))
    return table


def clock_table(reached: Mapping[str, float], paths: Mapping[str, str]) -> RenderableType:
    """The clock of every layer that was routed by itself, the slowest first, and its path."""
    slowest = min(reached.values())
    table = _table(f"routed layer by layer: {slowest:.0f} MHz", "layer")
    table.add_column("MHz", justify="right", style="bold")
    if paths:
        table.add_column("slowest path")
    for name, mhz in sorted(reached.items(), key=lambda item: item[1]):
        table.add_row(name, f"{mhz:.1f}", *([paths[name]] if paths else []))
    return table


def pace(plan: Plan, estimated: Estimate, target_fps: float | None = None) -> str:
    """Interval, rate and latency; the rate also at the estimated clock, where that is slower.

    target_fps: the rate that was asked for, if any.
    """
    asked, reached = plan.clock_mhz, estimated.clock_mhz
    rate = f"{asked * 1e6 / estimated.ii:,.0f} a second at {asked:.0f} MHz"
    if reached < asked:
        how = "estimated" if estimated.clock_band is not None else "assumed"
        rate += (
            f"\nabout {estimated.vectors_per_second:,.0f} a second at the {how} {reached:.0f} MHz"
        )
        if target_fps is not None and estimated.vectors_per_second < target_fps:
            verb = "is not met" if estimated.clock_band is not None else "may not be met"
            lower = reached // 5 * 5 if reached >= 10 else reached
            rate += f": the rate asked for {verb}; try --clock {lower:.3g}"
    cycles = "cycle" if estimated.ii == 1 else f"{estimated.ii:,} cycles"
    return f"one tensor every {cycles}, {rate}\nlatency {estimated.latency:,} cycles"


def plan_table(
    plan: Plan,
    estimated: Estimate,
    cycles: Mapping[str, int],
    target_fps: float | None = None,
) -> RenderableType:
    """The engine of every layer, how long it works on one tensor, and what it costs."""
    clock = _clocks(clocks(plan, estimated))
    slowest = max(cycles.values())
    table = _table(
        f"plan for {plan.target}, {clock}\n{pace(plan, estimated, target_fps)}"
        + (", ← the slowest layer" if slowest > 1 else ""),
        "layer", "engine",
    )  # fmt: skip
    columns = ("cycles", *(r.upper() for r in RESOURCES))
    for column in columns:
        table.add_column(column, justify="right")
    for name, cost in estimated.nodes.items():
        took = cycles.get(name, 0)
        mark = "[bold]{:,} ←[/]" if took == slowest > 1 else "{:,}"
        counts = [f"{n:,}" for n in cost.as_dict().values()]
        engine = str(plan.engines.get(name, ""))
        table.add_row(name, engine, mark.format(took) if took else "", *counts)
    table.add_section()
    table.add_row("total", "", "", *(f"{n:,}" for n in estimated.total.as_dict().values()))
    return table


def graph_table(graph: Graph) -> RenderableType:
    """The operations of a graph."""
    table = _table(f"graph {graph.name}", "tensor", "type", "made by")
    for value in graph.inputs:
        table.add_row(value.name, f"{value.type} x {value.size}", "input")
    for node in graph.nodes:
        table.add_row(node.name, f"{node.output.type} x {node.output.size}", node.kind)
    return table


def _table(title: str | None, *columns: str) -> Table:
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column)
    return table


def design_table(design: Design, plan: Plan) -> RenderableType:
    """The modules of a design and how each was planned."""
    table = _table(
        f"{design.folder}: latency {design.latency} cycles, initiation interval {design.interval}",
        "layer", "module", "engine",
    )  # fmt: skip
    for node, module in design.modules.items():
        table.add_row(node, f"{module}.sv", str(plan.engines[node]))
    table.add_section()
    table.add_row("top", f"{design.top}.sv", str(design.latency))
    return table


def ip_table(ip: Ip) -> RenderableType:
    """What lies in an IP folder."""
    design = ip.design
    table = _table(
        f"{ip.folder}: {ip.name}, latency {design.latency} cycles, initiation interval "
        f"{design.interval}",
        "", "",
    )  # fmt: skip
    table.add_row("start here", "README.md")
    table.add_row("top module", f"rtl/{ip.name}.v")
    table.add_row("simulate it", f"make -C {ip.folder}/tb   ({ip.vectors} golden vectors)")
    packages = [f"{ip.name}.core", "component.xml", "package_ip.tcl"]
    table.add_row("packages", ", ".join(name for name in packages if name in ip.files))
    table.add_row("software", f"sw/{ip.name}.h, sw/{ip.name}.py")
    table.add_row("graph", f"{ip.digest[:16]}…")
    return table


def proof_line(proof: NodeProof) -> str:
    """One verdict, as it comes."""
    name = proof.node or "the whole"
    return f"  {name:<16} {proof.seconds:7.1f} s  {_verdict(proof)}"


def proof_table(name: str, proofs: Sequence[NodeProof]) -> RenderableType:
    """How far every node's proof goes, and that of the whole design."""
    marks = {"proven": _mark(True), "bounded": "[yellow]✓[/]",
             "refuted": _mark(False), "unread": _mark(False)}  # fmt: skip
    nodes = [one.status for one in proofs if one.node]
    title = f"{name}: {nodes.count('proven')} of {len(nodes)} nodes proven for all inputs"
    for status, told in (
        ("bounded", "for so many cycles only"),
        ("simulated", "not proven"),
        ("unread", "not read"),
        ("refuted", "refuted"),
    ):
        if status in nodes:
            title += f", {nodes.count(status)} {told}"
    table = _table(title, "node", "is", "how", "")
    for one in proofs:
        told = _verdict(one) if one.status in _UNKNOWN else one.told
        table.add_row(one.node or "the whole", one.kind, told, marks.get(one.status, ""))
    return table


def _verdict(proof: NodeProof) -> str:
    """What became of it, and how or why, in a sentence."""
    status = "not proven" if proof.status in _UNKNOWN else proof.status
    return f"{status}: {proof.told}"


_UNKNOWN = ("simulated", "unread")
"""Neither proven nor refuted; that a text is not read fails all the same."""


def vendor_table(report: VendorReport) -> RenderableType:
    """What the vendor's tool estimates."""
    table = _table(f"estimated by {report.tool}", "resource", "count")
    for field in fields(report):
        if field.name != "tool":
            table.add_row(field.name, f"{getattr(report, field.name):,}")
    return table


def _mark(good: bool) -> str:
    return "[green]✓[/]" if good else "[red]✗[/]"


def _accuracy(table: Table, accuracy: Accuracy) -> None:
    if accuracy.torch is not None and accuracy.reference is not None:
        table.add_row(
            "accuracy",
            f"torch {100 * accuracy.torch:.2f} %, reference {100 * accuracy.reference:.2f} %",
            "",
        )


def _lowering(table: Table, lowering: Lowering) -> None:
    exact = lowering.differing_integers == 0
    table.add_row("torch = reference, integers", str(lowering), _mark(exact) if exact else "!")
    table.add_row(
        "torch = reference, decisions",
        f"{lowering.differing_decisions:,} of {lowering.decisions:,} differ",
        _mark(lowering.differing_decisions == 0),
    )


def _engine(table: Table, name: str, engine: Engine) -> None:
    table.add_row(ENGINE_TITLES[name].format(io=engine.io), str(engine), _mark(engine.passed))
    for fault in engine.faults:
        table.add_row("", f"[red]{fault}[/]", "")


def campaign_table(result: Mapping[str, Any]) -> Table:
    """What a job of measuring did, and what failed."""
    table = _table(None, "", str(result["file"]))
    for name in ("points", "measured", "from_cache", "missing"):
        table.add_row(name.replace("_", " "), f"{result[name]:,}")
    for what, why in result["failed"].items():
        table.add_row(f"[red]{what}[/]", why)
    return table


def widths_table(table: WidthTable) -> RenderableType:
    """A layer's look-up tables and latency, weight bits down and activation bits across."""
    layer = table.layer
    hardware = str(layer.folded) if layer.folded else f"unrolled for {layer.clock_mhz:g} MHz"
    made = []
    for title, resource, form in (
        (f"LUTs on {layer.target}, {hardware}", "lut", "{:,.0f}"),
        ("latency, ns", "latency_ns", "{:,.0f}"),
    ):
        one = _table(title, "weights")
        for a in BITS:
            one.add_column(f"{a}-bit" + (" activations" if a == 1 else ""), justify="right")
        counts = table.counts(resource)
        for w in BITS:
            if np.isnan(counts[w - 1]).all():
                continue
            cells = []
            for a in BITS:
                cell = form.format(counts[w - 1, a - 1])
                seen = table.measured.get((w, a))
                cells.append(f"{cell} ({seen.lut:,})" if resource == "lut" and seen else cell)
            one.add_row(f"{w}-bit", *cells)
        made.append(one)
    if table.measured:
        made[0].caption, made[0].caption_justify = "(measured)", "left"
    return Group(*made)


def calibration_table(errors: Sequence[Mapping[str, Any]], file: Path) -> Table:
    """Errors of rows left out of the fit: median, and 95th percentile, of each kind of part."""
    table = _table(f"errors of rows left out, median / 95th percentile; {file}", "target", "part")
    resources = [r for r in (*RESOURCES, "mhz") if any(e["resource"] == r for e in errors)]
    for resource in ("rows", *resources):
        table.add_column(resource.upper(), justify="right")
    last = None
    for target, part in dict.fromkeys((error["target"], error["part"]) for error in errors):
        mine = {e["resource"]: e for e in errors if (e["target"], e["part"]) == (target, part)}
        if last not in (None, target):
            table.add_section()
        cells = [
            f"{mine[r]['median']:.1%} / {mine[r]['p95']:.1%}" if r in mine else ""
            for r in resources
        ]
        rows = max(e["rows"] for e in mine.values())
        table.add_row(target if target != last else "", part, f"{rows}", *cells)
        last = target
    return table


def _bench(table: Table, bench: BenchResult) -> None:
    total = len(bench.passed) + len(bench.failed)
    table.add_row("cocotb tests", f"{len(bench.passed)} of {total} passed", _mark(not bench.failed))
    for reason in bench.reasons:
        table.add_row("", f"[red]{reason}[/]", "")


def _controls(table: Table, controls: Controls) -> None:
    table.add_row("deliberate mistakes", str(controls), _mark(controls.passed))
    for one in controls.each:
        if not one.caught:
            table.add_row("", f"[red]missed by {one.engine}: {one.mistake}, {one.where}[/]", "")


def _counts(used: list[str], parts: Mapping[str, Resources], banded: bool) -> list[str]:
    cells = []
    estimated, measured = parts["estimated"], parts.get("measured")
    for resource in used:
        cells.append(f"{estimated[resource]:,}")
        if banded and resource == "lut":
            low, high = parts["low"]["lut"], parts["high"]["lut"]
            cells.append(f"{low:,} to {high:,}" if high > low else "")
        if measured is None:
            continue
        cells.append(f"{measured[resource]:,}")
        if resource == "lut":
            cells.append(
                f"{estimated['lut'] / measured['lut'] - 1:+.0%}" if measured["lut"] else ""
            )
    return cells
