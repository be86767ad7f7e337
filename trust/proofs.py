"""Proofs: every cell of the library and a set of networks, for all inputs.

    python -m trust proofs

A row of docs/results/trust/proofs.csv is a cell or a network. A cell counts as proven if all of its
benches are, and none is refuted; its mutants are the negative control: they have to be refuted
within 16 cycles, and those that are not are listed in unrefuted.csv. A network counts if nothing is
refuted and every node is proven or searched for so many cycles, none only simulated.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bitwright.models.errors import ToolError
from bitwright.models.graph import Graph, Plan, load, load_plan
from bitwright.rtl_tb import Form, emit
from bitwright.rtl_tb.proof import cells, prove
from bitwright.rtl_tb.proof.specification import terms
from trust import results
from trust.battery import SEED
from trust.bench import CELLS
from trust.mutants import Mutant, mutants
from trust.networks import network

RANDOM = 24
"""Networks of the mutation battery's seed, the first of which are taken."""

_MUTANT_CYCLES = 16
_BENCHMARKS = Path(__file__).parent.parent / "benchmarks" / "networks"


def proofs(
    hours: Annotated[float, typer.Option(help="how long")] = 2.0,
    seconds: Annotated[float, typer.Option(help="for one question to the solver")] = 30.0,
    most: Annotated[int, typer.Option(help="mutants of a cell, evenly chosen of all")] = 1000,
    only: Annotated[str, typer.Option(help="only the cell or network of this name")] = "",
) -> None:
    """Prove the library's cells and a set of networks."""
    console = Console()
    end = time.monotonic() + hours * 3600
    known = {(row["subject"], row["name"]) for row in results.rows("proofs")}

    def wanted(subject: str, name: str) -> bool:
        if only:
            return name == only
        return time.monotonic() < end and (subject, name) not in known

    for cell in sorted(cells.cells(), key=lambda one: (CELLS / f"{one}.sv").stat().st_size):
        if wanted("cell", cell):
            _cell(console, cell, seconds, most)
    for name, graph, plan, form in _networks():
        if wanted("network", name):
            _network(console, name, graph, plan, form, seconds)


def _cell(console: Console, cell: str, seconds: float, most: int) -> None:
    begun = time.monotonic()
    given = list(cells.benches_of(cell))
    verdicts = [cells.check(bench, some, seconds=max(seconds, 120)) for bench, some in given]
    for (bench, some), verdict in zip(given, verdicts, strict=True):
        if verdict.status != "proven":
            console.print(f"  {bench.bench} {dict(some)}: {verdict}", markup=False)
    count = Counter("bounded" if v.status == "proven" and v.method == "bounded" else v.status
                    for v in verdicts)  # fmt: skip
    tried, refuted = 0, 0
    of_all = list(mutants((CELLS / f"{cell}.sv").read_text()))
    for mutant in of_all[:: -(-len(of_all) // most)]:
        noticed = _noticed(cell, mutant)
        if noticed is None:
            continue
        tried += 1
        refuted += noticed
        if not noticed:
            results.record("unrefuted", ("cell", "what"), {"cell": cell, "what": mutant.what})
    whole = bool(given) and count["proven"] + count["bounded"] == len(given)
    _record("cell", cell, count, int(whole), begun, mutants=tried, mutants_refuted=refuted)
    console.print(
        f"{cell}: {count['proven']} proven, {count['bounded']} bounded of {len(given)}; "
        f"{refuted} of {tried} mutants refuted",
        highlight=False,
    )


def _record(
    subject: str, name: str, count: Mapping[str, int], counts: int, begun: float, **more: object
) -> None:
    row = {
        "subject": subject, "name": name,
        "cells": counts * (subject == "cell"), "networks": counts * (subject == "network"),
        "proven": count["proven"], "bounded": count["bounded"], "refuted": count["refuted"],
        "open": count["undecided"] + count["simulated"] + count["unread"],
        "whole": "", "cycles": "", "mutants": "", "mutants_refuted": "",
        "seconds": round(time.monotonic() - begun), "commit": results.commit(),
    }  # fmt: skip
    results.record("proofs", ("subject", "name"), {**row, **more})


def _noticed(cell: str, mutant: Mutant) -> bool | None:
    """Whether a bench refutes a mutant; None where it is no design, for any parameters."""
    read = False
    for bench, some in cells.benches_of(cell):
        try:
            verdict = cells.check(
                bench,
                some,
                replaced={cell: mutant.text},
                cycles=max(bench.cycles, _MUTANT_CYCLES),
                seconds=10,
            )
        except ToolError:
            continue
        read = True
        if verdict.status == "refuted":
            return True
    return False if read else None


def _networks() -> Iterator[tuple[str, Graph, Plan, Form]]:
    """Random networks, and in turn with them those of the benchmarks, smaller ones first."""
    drawn = [network(SEED, number) for number in range(RANDOM)]
    graphs = [(folder, load(folder)) for folder in _BENCHMARKS.iterdir()]
    graphs.sort(key=lambda pair: terms(pair[1].nodes, [pair[1].input]))
    for one, known in zip_longest(drawn, graphs):
        if known is not None:
            folder, graph = known
            yield folder.name, graph, load_plan(folder / "plan.json"), "adder_graph"
        if one is not None:
            yield one.graph.name, one.graph, one.plan, one.form


def _network(
    console: Console, name: str, graph: Graph, plan: Plan, form: Form, seconds: float
) -> None:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bitwright-proofs-") as folder:
        found = prove(graph, emit(graph, plan, Path(folder) / "rtl", form), seconds=seconds)
    # Concatenations are wires of the top module, and have no hardware of their own.
    count = Counter[str](one.status for one in found if one.node and one.kind != "concat")
    whole = next(one for one in found if not one.node)
    failing = count["refuted"] + count["simulated"] + count["unread"]
    counted = not failing and whole.status != "refuted"
    _record("network", name, count, int(counted), begun, whole=whole.status, cycles=whole.cycles)
    console.print(
        f"{name}: {count['proven']} nodes proven, {count['bounded']} bounded, "
        f"{count['simulated']} not proven, {count['refuted']} refuted; whole: {whole.told}",
        highlight=False, markup=False,
    )  # fmt: skip
    for one in found:
        if one.status == "refuted":
            console.print(f"  {one.node or 'whole'}: {one.told}", markup=False)
