"""Which pipeline stage computes each adder, and which values must be registered on the way."""

from dataclasses import dataclass

from bitwright.models.adders.adder_graph import AdderGraph


@dataclass(frozen=True, eq=False, slots=True)
class Schedule:
    """Stages are numbered from 1. Inputs arrive in the first; the last computes every output.

    adders[stage]: the values (indices into the graph) computed in that stage.
    registers[stage]: the values kept at the end of that stage because a later one reads them.
    """

    adders: dict[int, list[int]]
    registers: dict[int, list[int]]


def schedule(graph: AdderGraph, stages: int, levels_after: int = 0) -> Schedule:
    """Cut the graph's levels into `stages` nearly equal parts, each value as early as it can be.

    levels_after: levels of logic that follow the graph in the last stage (rounding, saturation).
    Early rather than late, because a sum is one value to register where its terms are two.
    """
    depth = max(graph.depth + levels_after, 1)
    made = [max(1, -(-level * stages // depth)) for level in graph.level]
    last_use = list(made)
    adders: dict[int, list[int]] = {stage: [] for stage in range(1, stages + 1)}
    for value, adder in enumerate(graph.adders, start=graph.inputs):
        adders[made[value]].append(value)
        for source in (adder.left, adder.right):
            last_use[source] = max(last_use[source], made[value])
    for output in graph.outputs:
        if output.source is not None:
            last_use[output.source] = stages
    registers: dict[int, list[int]] = {stage: [] for stage in range(1, stages)}
    for value, (first, last) in enumerate(zip(made, last_use, strict=True)):
        for stage in range(first, last):
            registers[stage].append(value)
    return Schedule(adders, registers)
