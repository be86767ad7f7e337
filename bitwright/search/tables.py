"""Tables for the integer program: what every part of a network costs and loses, choice by choice.

A part of the hardware, or a module of the network, depends on a few dimensions only: its own bits
and those of its input. Which, is found by trying; then every combination of its choices is made
once. One network serves many parts at once. Nothing is trained: all start from the float network.
"""

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bitwright.cost_model import estimate
from bitwright.cost_model.candidates import parts
from bitwright.cost_model.estimate import unrolled_plan
from bitwright.models.data import stratified_rows
from bitwright.models.errors import InputError
from bitwright.models.graph import Graph, Node
from bitwright.models.layers.curves import full_scale_step, rate_distortion
from bitwright.models.layers.rate_distortion import Activations
from bitwright.models.lower import lower
from bitwright.models.train import magnitude_mask
from bitwright.search.candidate import Candidate, Scalar
from bitwright.search.network import (
    float_network,
    search_data,
    started,
    weighted,
)
from bitwright.search.sensitivity import ROWS, Sensitivity, activations, sensitivity
from bitwright.search.space import Space

MOST_NETWORKS = 3000
_SOURCE_BITS = 8
"""What bit planes are taken from: the bits of a bottleneck's source."""

Chosen = dict[str, Scalar]
Row = dict[str, Any]


def measure_tables(space: Space, candidate: Candidate, start: Path) -> Row:
    """The tables of one shape, whose float network is in a file.

    parts: of each its `name`, the `dimensions` that it depends on, and `entries`: [choices, ways],
    a way being its resources, `cycles`, `latency` in cycles, and `width` and `size` of what it
    hands on. modules: likewise, with entries [choices, loss]. traces: of the Hessian, by module.
    rates: of every activation that a bottleneck could follow, PSNR in dB by kept bits.

    Raises InputError where there are more combinations than MOST_NETWORKS.
    """
    data = search_data(space)
    share = min(ROWS / len(data.y_train), 0.999)
    rows = stratified_rows(data.y_train, share, space.search.seed)
    x, y = torch.from_numpy(data.x_train[rows]), torch.from_numpy(data.y_train[rows])
    known = sensitivity(float_network(space, space.start_of(candidate).candidate, start), x, y)
    seen = _Seen(space, start, known, data.x_train.shape[1:])
    base = space.choices(candidate)
    free = [
        d
        for d in space.dimensions
        if d.name in space.precision and d.name != "interval" and len(d.choices) > 1
    ]
    first = seen.look(base)
    needs: dict[str, list[str]] = {name: [] for name in first}
    for d in free:
        for choice in {d.choices[0], d.choices[-1]} - {base[d.name]}:
            other = seen.look({**base, d.name: choice})
            for name, told in first.items():
                if other.get(name, (None,))[0] != told[0] and d.name not in needs[name]:
                    needs[name].append(d.name)
    choices = {d.name: d.choices for d in free}
    entries: dict[str, list[Any]] = {name: [] for name in first}
    for wanted in _packed({n: [choices[d] for d in ds] for n, ds in needs.items()}, needs, base):
        made = seen.look(wanted)
        for name, dimensions in needs.items():
            combination = [wanted[d] for d in dimensions]
            if name in made and all(e[0] != combination for e in entries[name]):
                entries[name].append([combination, made[name][1]])
    tables = [
        {
            "name": name.partition(":")[2],
            "weights": name.partition(":")[2] in known.weights,
            "dimensions": needs[name],
            "entries": entries[name],
        }
        for name in first
    ]
    kinds = [name.partition(":")[0] for name in first]
    return {
        "parts": [t for t, kind in zip(tables, kinds, strict=True) if kind == "part"],
        "modules": [t for t, kind in zip(tables, kinds, strict=True) if kind == "module"],
        "traces": dict(known.traces),
        "rates": rates(known.outputs),
        "networks": seen.count,
    }


def rates(outputs: Mapping[str, torch.Tensor]) -> list[Row]:
    """Rate-distortion curves of activations: `name`, `bitplanes` and `uniform`, as [bits, PSNR].

    Those that a bottleneck cannot follow, such as negative ones, have none, and what loses nothing
    has no finite PSNR and is left out.
    """
    found = []
    for name, values in outputs.items():
        try:
            data = Activations.of(values.numpy())
        except InputError:
            continue
        curve = rate_distortion(data, full_scale_step(data, _SOURCE_BITS), _SOURCE_BITS)
        kinds = {"bitplanes": curve.bitplanes, "uniform": curve.uniform}
        lines = {
            kind: [[p.bits, round(p.psnr, 3)] for p in points if math.isfinite(p.psnr)]
            for kind, points in kinds.items()
        }
        if all(lines.values()):
            found.append({"name": name, **lines})
    return found


def _packed(
    ways: Mapping[str, list[tuple[Scalar, ...]]],
    needs: Mapping[str, list[str]],
    base: Chosen,
) -> Iterator[Chosen]:
    """Networks that together have every combination of every part's choices, few of them."""
    waiting = {name: list(itertools.product(*each)) for name, each in ways.items()}
    most = max(map(len, waiting.values()), default=0)
    if most > MOST_NETWORKS:
        name = max(waiting, key=lambda n: len(waiting[n]))
        raise InputError(
            f"{name.partition(':')[2]} depends on {', '.join(needs[name])}, which have {most:,} "
            f"combinations, and at most {MOST_NETWORKS:,} are measured: give fewer choices"
        )
    while any(waiting.values()):
        chosen: Chosen = {}
        for name, combinations in waiting.items():
            for i, one in enumerate(combinations):
                told = dict(zip(needs[name], one, strict=True))
                if all(chosen.get(d, c) == c for d, c in told.items()):
                    chosen |= told
                    del combinations[i]
                    break
        yield {**base, **chosen}


class _Seen:
    """Looks at networks: of each part and module what identifies it, and what it costs or loses."""

    def __init__(
        self, space: Space, start: Path, known: Sensitivity, shape: tuple[int, ...]
    ) -> None:
        self._space, self._start, self._known, self._shape = space, start, known, shape
        self.count = 0

    def look(self, chosen: Chosen) -> dict[str, tuple[object, Any]]:
        self.count += 1
        candidate = self._space.candidate(chosen)
        model = started(self._space, candidate, self._start)
        layers = weighted(model)
        for path, share in candidate.sparsity:
            weight = layers[path].weight
            assert isinstance(weight, nn.Parameter)
            with torch.no_grad():
                weight.mul_(magnitude_mask(weight, share))
        model.eval()
        found: dict[str, tuple[object, Any]] = {}
        for path, layer in layers.items():
            quantise: Callable[[], Any] = layer.quant_weight
            loss = self._known.of_weights(path, quantise().value)
            found[f"module:{path}"] = (loss, loss)
        for path, module in activations(model).items():
            loss = self._known.of_activation(path, module)
            found[f"module:{path}"] = (loss, loss)
        graph = lower(model, self._shape).graph
        for nodes, ways in self._ways(graph):
            name = f"part:{nodes[0].name}"
            found[name] = ([_identity(graph, node) for node in nodes], ways)
        return found

    def _ways(self, graph: Graph) -> Iterator[tuple[tuple[Node, ...], list[Row]]]:
        budget = self._space.budget
        flat = all(len(value.shape) == 1 for value in graph.values.values())
        if flat and budget.intervals == (1,):
            plan = unrolled_plan(graph, budget.target, budget.clock_mhz)
            cost = estimate(graph, plan)
            for node in graph.nodes:
                way = {**cost.nodes[node.name].as_dict(), "cycles": 1}
                yield (node,), [{**way, "latency": plan.stages(node.name), **_width(graph, node)}]
            return
        for part in parts(graph, budget.target, budget.clock_mhz):
            made = _width(graph, part.nodes[-1])
            yield (
                part.nodes,
                [
                    {**c.cost.as_dict(), "cycles": c.cycles, "latency": c.cycles + 2, **made}
                    for c in part.candidates
                ],
            )


def _width(graph: Graph, node: Node) -> Row:
    """Bits and number of the activations that products read from here."""
    from bitwright.models.graph import Conv2d, Dense

    value = node.output
    if any(isinstance(reader.op, Dense | Conv2d) for reader in graph.readers(value.name)):
        return {"width": value.type.width, "size": value.size}
    return {"width": 0, "size": 0}


def _identity(graph: Graph, node: Node) -> str:
    """A digest of all that a node's hardware depends on."""
    sha = hashlib.sha256()
    for name in node.inputs:
        value = graph.values[name]
        sha.update(repr((value.shape, value.type)).encode())
    sha.update(repr((node.output.shape, node.output.type, node.kind)).encode())
    _digest(sha, node.op)
    return sha.hexdigest()


def _digest(sha: Any, thing: Any) -> None:
    if hasattr(thing, "tobytes"):
        sha.update(str(thing.shape).encode() + thing.tobytes())
    elif hasattr(thing, "__dataclass_fields__"):
        for name in thing.__dataclass_fields__:
            _digest(sha, getattr(thing, name))
    elif isinstance(thing, tuple):
        for one in thing:
            _digest(sha, one)
    else:
        sha.update(repr(thing).encode())
