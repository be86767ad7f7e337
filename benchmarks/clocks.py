"""What the networks of benchmarks/ should reach: the clocks behind `USUAL_MHZ`, by family.

python -m benchmarks.clocks

Every network is planned for 1,000 MHz, which none reaches, so each is as fast as the cost model
knows how to make it. Prints the lower quartile, median and fastest, unrolled and folded.
"""

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from bitwright.cost_model import estimate, make_plan
from bitwright.models.graph import TARGETS, USUAL_MHZ, Folded, load

NETWORKS = Path(__file__).parent / "networks"


def main() -> None:
    graphs = [load(file.parent) for file in sorted(NETWORKS.glob("*/graph.json"))]
    graphs = [graph for graph in graphs if len(graph.nodes) <= 14]  # larger ones take minutes
    table = Table("target", "usual MHz", "engines", "networks", "quartile", "median", "fastest")
    for target in TARGETS:
        found: dict[str, list[float]] = {"unrolled": [], "folded": []}
        for graph in graphs:
            plan = make_plan(graph, target, 1000.0)
            folded = any(isinstance(engine, Folded) for engine in plan.engines.values())
            found["folded" if folded else "unrolled"].append(estimate(graph, plan).clock_mhz)
        for engines, mhz in found.items():
            told = (f"{value:.0f}" for value in np.quantile(mhz, (0.25, 0.5, 1.0)))
            table.add_row(target, f"{USUAL_MHZ[target]:.0f}", engines, str(len(mhz)), *told)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
