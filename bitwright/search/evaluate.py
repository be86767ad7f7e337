"""The evaluator: a task of any kind to a row, the same wherever it runs.

A row is plain JSON. Whatever goes wrong with one candidate becomes its row's "error", in a
sentence, and never the end of the study.
"""

import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitwright.cost_model import estimate, find_plan
from bitwright.cost_model.estimate import unrolled_plan
from bitwright.models.errors import BitwrightError, InputError
from bitwright.models.graph import (
    Conv2d,
    Dense,
    Graph,
    Plan,
    decode,
    save,
    save_plan,
    stored_bits,
    weight_width,
)
from bitwright.search.candidate import Candidate, Task
from bitwright.search.space import Space

if TYPE_CHECKING:
    from torch import nn

    from bitwright.models.data import Dataset
    from bitwright.models.lower import Lowered

Row = dict[str, Any]


def evaluate(message: Mapping[str, Any]) -> Row:
    """What a task makes of itself. message: as `explore` sends it, JSON.

    Every row has `seconds`; one that failed has `error`, the others what their kind says below.
    """
    began = time.perf_counter()
    row: Row
    try:
        space = Space.from_dict(message["space"])
        task = Task(message["kind"], Candidate.from_dict(message["candidate"]))
        if space.context(task.kind) != message["context"]:
            raise InputError(
                f"{space.model} has changed meanwhile, or the worker has another bitwright: "
                "explore again with equal ones"
            )
        here = Place(Path(message["folder"]), message["key"], message["start"])
        row = _KINDS[task.kind](space, task.candidate, here)
    except BitwrightError as error:
        row = {"error": str(error)}
    except Exception as error:  # noqa: BLE001 - a candidate may fail in any way, the study goes on
        where = traceback.extract_tb(error.__traceback__)[-1]
        told = " ".join(line.strip() for line in str(error).splitlines()[:3])
        place = f"{Path(where.filename).name}, line {where.lineno}"
        row = {"error": f"{type(error).__name__}: {told} ({place})"}
    row["seconds"] = round(time.perf_counter() - began, 3)
    return row


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task leaves things: the study's folder, its key, and that of its float network."""

    folder: Path
    key: str
    start_key: str

    @property
    def start(self) -> Path:
        """The weights of the float network."""
        return self.folder / "starts" / f"{self.start_key}.pt"

    @property
    def point(self) -> Path:
        """The folder of a final point: its weights, graph and plan."""
        return self.folder / "points" / self.key


def _start(space: Space, candidate: Candidate, here: Place) -> Row:
    """The float network: `accuracy` on held-out rows."""
    from bitwright.search.network import train_start

    done = train_start(space, candidate, here.start)
    return {"accuracy": done.accuracy, "epochs": len(done.losses)}


def _candidate(space: Space, candidate: Candidate, here: Place) -> Row:
    """A short training: `accuracy` on held-out rows, and what `hardware` says."""
    from bitwright.search.network import search_data, started, train_candidate

    model = started(space, candidate, here.start)
    done = train_candidate(space, candidate, model, space.training)
    row, _, _ = hardware(space, candidate, model, search_data(space))
    return {"epochs": len(done.losses), **row}


def _final(space: Space, candidate: Candidate, here: Place) -> Row:
    """Trained in full: `accuracy` on held-out and `test_accuracy` on test rows.

    Once with distillation and once without; the one that was better on held-out rows is kept.
    `distilled` says which, `tried` how good both were there. Its folder, points/KEY, has
    weights.pt, graph/ and plan.json.
    """
    from bitwright.models.graph.storage import replaced_folder
    from bitwright.search.network import (
        float_network,
        keep_state,
        search_data,
        started,
        test_data,
        train_candidate,
    )

    teacher = float_network(space, space.start_of(candidate).candidate, here.start)
    tried = []
    for taught in (teacher, None):
        model = started(space, candidate, here.start)
        # To the end: a rate that falls to zero gains most there; the best epoch is kept.
        patience = space.final.epochs
        done = train_candidate(space, candidate, model, space.final, taught, patience)
        tried.append((done.accuracy, taught is not None, len(done.losses), model))
    _, distilled, epochs, model = max(tried, key=lambda t: t[:2])
    row, lowered, plan = hardware(space, candidate, model, search_data(space), solved=True)
    row |= _tested(model, lowered, test_data(space))
    with replaced_folder(here.point, "weights.pt") as fresh:
        keep_state(model, fresh / "weights.pt")
        save(lowered.graph, fresh / "graph")
        save_plan(plan, fresh / "plan.json")
    told = {"distilled" if taught else "plain": reached for reached, taught, *_ in tried}
    return {"epochs": epochs, "distilled": distilled, "tried": told, **row}


def _tables(space: Space, candidate: Candidate, here: Place) -> Row:
    """What the integer program of a shape chooses from; see `tables.py`."""
    from bitwright.search.tables import measure_tables

    return measure_tables(space, candidate, here.start)


def hardware(
    space: Space,
    candidate: Candidate,
    model: "nn.Module",
    data: "Dataset",
    solved: bool = False,
) -> tuple[Row, "Lowered", Plan]:
    """What a trained network is as integers and as hardware, and its graph and plan.

    accuracy: of the integers, on the data's test rows. differing_decisions: from torch's there.
    lut, ff, carry, dsp, bram, latency (cycles), latency_ns, interval, clock_mhz: estimated.
    activation_bits: average over the hidden activations that layers read. stored_bits: of all
    weights. nodes: the cost of each. layers: bits of each layer's weights and inputs, and the share
    of weights that are zero. excess: by how much limits are exceeded. solved: see `estimate`.
    """
    from bitwright.models.lower import compare, lower

    lowered = lower(model, data.x_train.shape[1:], labels=data.labels)
    graph = lowered.graph
    found = compare(model, lowered, data.x_test, data.y_test)
    budget = space.budget
    if candidate.interval == 1 and all(len(v.shape) == 1 for v in graph.values.values()):
        plan = unrolled_plan(graph, budget.target, budget.clock_mhz)
    else:
        rate = budget.clock_mhz * 1e6 / candidate.interval
        plan = find_plan(graph, budget.target, budget.clock_mhz, target_fps=rate)
    cost = estimate(graph, plan, solved=solved)
    row: Row = {
        "accuracy": found.accuracy_reference,
        "differing_decisions": found.differing_decisions,
        **cost.total.as_dict(),
        "latency": cost.latency,
        "latency_ns": round(cost.latency * 1e3 / budget.clock_mhz, 3),
        "interval": cost.ii,
        "clock_mhz": round(cost.clock_mhz, 2),
        **bits(graph),
        "nodes": {name: part.as_dict() for name, part in cost.nodes.items()},
    }
    row["excess"] = budget.excess(row)
    return row, lowered, plan


def bits(graph: Graph) -> Row:
    """The bits of a graph: `activation_bits`, `stored_bits` and `layers`, as `hardware` says."""
    layers: dict[str, Any] = {}
    activations, width, stored = 0, 0, 0
    for node in graph.nodes:
        if not isinstance(node.op, Dense | Conv2d):
            continue
        source = graph.values[node.inputs[0]]
        weights = decode(node.op.weights)
        stored += stored_bits(node.op.weights)
        if source.name != graph.input.name:
            activations += source.size
            width += source.size * source.type.width
        layers[node.name] = {
            "weight_bits": weight_width(node.op.weights),
            "input_bits": source.type.width,
            "weights": int(weights.size),
            "zero": round(float((weights == 0).mean()), 4),
        }
    return {
        "activation_bits": round(width / activations, 4) if activations else 0.0,
        "stored_bits": stored,
        "layers": layers,
    }


def _tested(model: "nn.Module", lowered: "Lowered", data: "Dataset") -> Row:
    from bitwright.models.lower import compare

    found = compare(model, lowered, data.x_test, data.y_test)
    return {
        "test_accuracy": found.accuracy_reference,
        "test_differing_decisions": found.differing_decisions,
    }


_KINDS = {"start": _start, "candidate": _candidate, "tables": _tables, "final": _final}
