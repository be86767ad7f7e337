"""What mutants of a cell are tried on: networks of the fuzzer that use it, chosen to differ.

    python -m trust battery

It writes battery.json, for every cell the numbers of its networks, all of which the test suite
runs; and parameters.json, with which parameters the networks and the cells' own bench use it.
"""

import json
import re
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import track

from bitwright.models.errors import BitwrightError
from bitwright.rtl_tb import emit
from trust.bench import CELLS, write_all
from trust.equivalence import (
    PARAMETERS,
    Parameters,
    elaborated,
    features,
    most_different,
    parameters,
)
from trust.networks import network

SEED = 7  # of the battery's networks
BATTERY = Path(__file__).with_name("battery.json")

_AMONG, _EACH = 200, 5
_SETS = 16  # of parameters, for a cell


def chosen() -> dict[str, list[int]]:
    """For every cell the numbers of the networks in its battery."""
    tree: dict[str, list[int]] = json.loads(BATTERY.read_text())
    return tree


def battery() -> None:
    """Choose the networks of every cell's battery, and the parameters for proofs of equality."""
    console = Console()
    networks: dict[str, list[tuple[int, int, list[Parameters]]]] = {}
    used: dict[str, list[Parameters]] = {}
    with tempfile.TemporaryDirectory() as name:
        files, top = write_all(Path(name))
        for cell, values in parameters(elaborated(files, top).values()):
            used.setdefault(cell, []).append(values)
        for number in track(range(_AMONG), "networks", console=console):
            for cell, (size, sets) in _cells_of(number, Path(name) / "rtl").items():
                networks.setdefault(cell, []).append((size, number, sets))
                used.setdefault(cell, []).extend(sets)
    tree = {cell: _smallest_that_differ(sorted(networks[cell])) for cell in sorted(networks)}
    BATTERY.write_text(json.dumps(tree, indent=1) + "\n")
    known = {cell: most_different(used[cell], _SETS) for cell in sorted(used)}
    PARAMETERS.write_text(json.dumps(known, indent=1) + "\n")
    missing = sorted({file.stem for file in CELLS.glob("*.sv")} - set(tree))
    console.print(f"{len(tree)} cells; no network has {', '.join(missing) or 'none'}")


def _cells_of(number: int, folder: Path) -> dict[str, tuple[int, list[Parameters]]]:
    """The cells that a network is made of, with its size and their parameters."""
    one = network(SEED, number)
    try:
        design = emit(one.graph, one.plan, folder, one.form)
    except BitwrightError:
        return {}
    modules = elaborated(design.files, design.top)
    found: dict[str, tuple[int, list[Parameters]]] = {}
    for cell, values in parameters(modules.values()):
        found.setdefault(cell, (_size(modules), []))[1].append(values)
    return found


def _size(modules: Mapping[str, str]) -> int:
    """Of all instances, with their loops unrolled: what simulating costs."""
    instances = Counter(re.findall(r"^  cell (\S+) ", "".join(modules.values()), re.MULTILINE))
    return sum(len(text) * max(1, instances[name]) for name, text in modules.items())


def _smallest_that_differ(using: list[tuple[int, int, list[Parameters]]]) -> list[int]:
    """The smallest networks, first those that use a cell with a value that none before them has."""
    seen: set[tuple[str, str]] = set()
    first, others = list[int](), list[int]()
    for _, number, sets in using:
        new = {feature for one in sets for feature in features(one)} - seen
        (first if new else others).append(number)
        seen |= new
    return [*first, *others][:_EACH]
