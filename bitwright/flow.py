"""The whole job, step by step: a trained model becomes checked hardware, and a report says so.

Every step is offered by the command line by itself as well. Each leaves a folder that is whole or
not there, so a job that was stopped is simply run again: training goes on from its checkpoint,
compiled simulations and synthesised modules are found where they were left.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bitwright import hls
from bitwright.checks import FORMS, check_bench, check_controls, check_hls, check_rtl
from bitwright.console import Steps
from bitwright.cost_model import STREAMS, Estimate, Measurement, estimate, make_plan, measure
from bitwright.cost_model import Cost as Resources
from bitwright.cost_model.nextpnr import Route, route
from bitwright.cost_model.vivado import measure_with_vivado
from bitwright.inputs import Rows, random_vectors
from bitwright.models.graph import Graph, Plan, Target, digest, evaluate, quantise, save
from bitwright.models.graph.plan import is_wiring
from bitwright.report import (
    Accuracy,
    Cost,
    Cycles,
    Engine,
    Lowering,
    Report,
    clocks,
    write_json,
)
from bitwright.rtl_tb import Design, bulk, emit
from bitwright.versions import versions

if TYPE_CHECKING:  # torch alone takes seconds to import
    from torch import nn

    from bitwright.models.lower import Lowered


@dataclass(frozen=True, slots=True)
class Settings:
    """What a job can be told. vectors: how many random ones besides the test rows; see
    `random_vectors`.

    plan: with its own target and clock; one is made without, and without a clock for what
    `find_plan` chooses.
    """

    target: Target = "xc7"
    clock_mhz: float | None = None
    vectors: int | None = None
    seed: int = 0
    plan: Plan | None = None


def run(
    model: "nn.Module",
    input_shape: int | Sequence[int],
    out: Path,
    *,
    rows: Rows | None = None,
    labels: Sequence[str] = (),
    name: str | None = None,
    settings: Settings = Settings(),
    steps: Steps | None = None,
) -> Report:
    """Do all of it for a trained Brevitas model, and write out/report.json.

    rows: test data; random ones without. The folder gets graph/, hls/, rtl/, rtl_plain/, sim/ and
    report.json; whatever else is in it stays. A check that fails is a finding and in the report.

    Raises:
        BitwrightError: what the user can mend. Folders that were whole before still are.
    """
    from bitwright.models.lower import lower

    steps = steps or Steps()
    with steps.step("lower to integers") as step:
        lowered = lower(model, input_shape, name=name, labels=labels)
        graph = lowered.graph
        save(graph, out / "graph")
        rows = rows or random_rows(lowered)
        accuracy, lowering = compare_with_torch(model, lowered, rows)
        step.result = str(lowering)
    with steps.step("plan and estimate") as step:
        plan = settings.plan or make_plan(graph, settings.target, settings.clock_mhz)
        estimated = estimate(graph, plan, solved=True)
        step.result = f"{estimated.total.lut:,} LUT, {estimated.latency} cycles"
    x = np.concatenate(
        [
            quantise(graph, lowered.arrange(rows.x)),
            random_vectors(graph, settings.vectors, settings.seed, estimated.ii),
        ]
    )
    expected = evaluate(graph, x)

    engines: dict[str, Engine] = {}
    with steps.step("HLS: write and simulate") as step:
        project = hls.write(graph, out / "hls", clock_mhz=plan.clock_mhz)
        engines["hls"] = check_hls(project, x, expected)
        step.result = str(engines["hls"])
    designs: dict[str, Design] = {}
    for engine, form in FORMS.items():
        title = f"RTL, {form.replace('_', ' ')}: emit and simulate{_million(len(x), estimated)}"
        with steps.step(title) as step:
            designs[engine] = emit(graph, plan, out / engine, form)
            simulator = bulk.build(designs[engine], out / "sim" / engine)
            engines[engine] = check_rtl(simulator, x, expected)
            found = engines[engine]
            step.result = f"{found}, latency {found.latency}, interval {found.interval} cycles"
    design = designs["rtl"]
    with steps.step("cocotb bench") as step:
        bench = check_bench(design, x, expected, out / "sim" / "rtl")
        step.result = f"{len(bench.passed)} tests passed, {len(bench.failed)} failed"
    with steps.step("deliberate mistakes") as step:
        controls = check_controls(graph, plan, x, progress=step.progress)
        step.result = str(controls)
    with steps.step("synthesise with Yosys") as step:
        measured = measure_design(design, plan.target, step.progress)
        step.result = f"{measured.total.lut:,} LUT"
        if measured.cached:
            step.result += f", {len(measured.cached)} counted before (unchanged, from the cache)"
    report = Report(
        name=graph.name,
        graph=digest(graph),
        accuracy=accuracy,
        lowering=lowering,
        engines=engines,
        bench=bench,
        controls=controls,
        cycles=Cycles(estimated.latency, engines["rtl"].latency),
        ii=Cycles(estimated.ii, engines["rtl"].interval),
        clock_mhz=clocks(plan, estimated),
        cost=cost(estimated, measured),
        seconds=steps.elapsed,
        steps=steps.seconds,
        versions=versions(),
    )
    write_json(report, out / "report.json")
    return report


def _million(vectors: int, estimated: Estimate) -> str:
    """How many cycles are simulated, where they are so many that it takes a while."""
    cycles = vectors * estimated.ii / 1e6
    return f" {cycles:,.0f} million cycles" if cycles >= 10 else ""


def demo(out: Path, settings: Settings = Settings()) -> Report:
    """Train a small network on handwritten digits, and `run` it on its test set.

    The checkpoint is kept in out/model, so training is done once. Raises what `run` raises.
    """
    from bitwright.models.data import digits
    from bitwright.models.train import train
    from bitwright.models.zoo import digits_mlp, digits_recipe

    steps = Steps()
    with steps.step("train on handwritten digits", own_bar=True) as step:
        data, model = digits(), digits_mlp()
        console = steps.console if steps.console.is_terminal else None
        checkpoint = out / "model" / "checkpoint.pt"
        trained = train(model, data, digits_recipe(), checkpoint=checkpoint, console=console)
        step.result = f"{100 * trained.accuracy:.2f} % of the test set"
    return run(
        model,
        data.x_test.shape[1:],
        out,
        rows=Rows(data.x_test, data.y_test),
        labels=data.labels,
        name="digits",
        settings=settings,
        steps=steps,
    )


def compare_with_torch(
    model: "nn.Module", lowered: "Lowered", rows: Rows
) -> tuple[Accuracy, Lowering]:
    """Torch's integers and decisions against the reference's, on the same rows."""
    from bitwright.models.lower import compare

    found = compare(model, lowered, rows.x, rows.y)
    return Accuracy(found.accuracy_torch, found.accuracy_reference), Lowering(
        found.compared,
        found.differing,
        found.decisions,
        found.differing_decisions,
        {t.name: {"compared": t.compared, "differing": t.differing} for t in found.tensors},
    )


def random_rows(lowered: "Lowered", count: int = 1000) -> Rows:
    """Normally distributed inputs, for a model without test data."""
    rng = np.random.default_rng(0)
    return Rows(rng.normal(size=(count, *lowered.input_shape)).astype(np.float32))


def measure_design(
    design: Design,
    target: Target,
    progress: Callable[[int, int], None],
    vivado_mhz: float | None = None,
) -> Measurement:
    """Every layer's module synthesised by itself, and what lies between them.

    Three copies of a design are three times what one is measured to be. vivado_mhz: the clock to
    ask Vivado for, which then measures instead of Yosys.
    """
    done = 0
    tops = dict(design.modules)
    if design.framed or (design.plan is not None and design.plan.redundancy > 1):
        tops[STREAMS] = design.top

    def one_more(node: str, cached: bool) -> None:
        nonlocal done
        done += 1
        progress(done, len(tops))

    if vivado_mhz is None:
        found = measure(design.files, tops, target, progress=one_more)
    else:
        found = measure_with_vivado(design.files, tops, target, vivado_mhz, progress=one_more)
    if design.plan is None or design.plan.redundancy == 1:
        return found
    nodes = {
        name: part if name == STREAMS else part.scaled(design.plan.redundancy)
        for name, part in found.nodes.items()
    }
    return replace(found, nodes=nodes)


def route_design(
    graph: Graph, design: Design, target: Target, progress: Callable[[int, int], None]
) -> dict[str, Route]:
    """Every layer's module placed and routed by itself, but for those that are only wires."""
    wires = {node.name for node in graph.nodes if is_wiring(node)}
    tops = {node: top for node, top in design.modules.items() if node not in wires}
    done = 0

    def one_more(node: str, cached: bool) -> None:
        nonlocal done
        done += 1
        progress(done, len(tops))

    return route(design.files, tops, target, progress=one_more)


def cost(estimated: Estimate, measured: Measurement | None = None) -> Cost:
    """Estimated and measured resources side by side, layer by layer and in total.

    A layer that is only wires of the top module has nothing of its own to be measured.
    """
    nothing = Resources()
    low, high = estimated.band
    layers = {
        name: {
            "estimated": part.as_dict(),
            "low": estimated.low.get(name, part).as_dict(),
            "high": estimated.high.get(name, part).as_dict(),
        }
        | ({"measured": measured.nodes.get(name, nothing).as_dict()} if measured else {})
        for name, part in estimated.nodes.items()
    }
    total = measured.total.as_dict() if measured else {}
    return Cost(
        estimated.target,
        estimated.total.as_dict(),
        total,
        layers,
        low.as_dict(),
        high.as_dict(),
        estimated.extrapolating,
    )
