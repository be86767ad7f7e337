"""A failure as a folder of JSON and arrays: the network, the vectors, and what went wrong.

graph/        as `bitwright.models.graph.save` writes it
loaded/       the same with other loadable weights, where there are any
plan.json     the plan
case.json     {"engine", "what", "found", "form", "io", "x"}
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from bitwright.models.graph import load, load_plan, save, save_plan
from trust.engines import Case, answered
from trust.plans import Network

FOLDER = Path(__file__).parent.parent / "tests" / "regressions"


def keep(case: Case, engine: str, what: str, found: str, folder: Path = FOLDER) -> Path:
    """Save a failure under a name that its graph and vectors give it; returns its folder.

    engine, what: who was wrong, and how. found: by which command.
    """
    network = case.network
    graph = replace(network.graph, name="regression")
    kinds = "_".join(node.kind for node in graph.nodes[:3])
    target = folder / f"{engine}_{found.replace(' ', '_')}_{kinds}"
    save(graph, target / "graph")
    if network.loaded is not None:
        save(replace(network.loaded, name="regression"), target / "loaded")
    save_plan(network.plan, target / "plan.json")
    tree = {
        "engine": engine,
        "what": what.splitlines()[0],
        "found": found,
        "form": network.form,
        "io": network.io,
        "x": case.x.tolist(),
    }
    (target / "case.json").write_text(json.dumps(tree) + "\n")
    return target


def kept(folder: Path) -> Case:
    """The case in a folder, its outputs as the oracle has them today."""
    tree = json.loads((folder / "case.json").read_text())
    loaded = load(folder / "loaded") if (folder / "loaded").is_dir() else None
    plan, graph = load_plan(folder / "plan.json"), load(folder / "graph")
    network = Network(graph, plan, tree["form"], tree["io"], loaded)
    return answered(network, np.array(tree["x"], np.int64))
