"""Imports point down: models <- hls, rtl_tb, cost_model <- bitwright; the graph: numpy only."""

import ast
import sys
from pathlib import Path

import pytest

ROOMS = ("models", "hls", "rtl_tb", "cost_model")
SMALL = ("threadpoolctl", "typing_extensions")  # one file each, without dependencies
MAY_IMPORT = {
    "models": {"models"},
    "hls": {"hls", "models"},
    "rtl_tb": {"rtl_tb", "models"},
    "cost_model": {"cost_model", "models"},
}


def imported(source: str, module: str, is_package: bool) -> set[str]:
    """Full names of everything that a module's source imports, wherever in the file it does."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                kept = len(parts) - node.level + is_package
                base = ".".join([*parts[:kept], *([node.module] if node.module else [])])
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return names


def forbidden(source: str, module: str, is_package: bool = False) -> list[str]:
    """The imports of ours that the room of `module` may not make."""
    room = module.split(".")[1]
    wrong = []
    for name in imported(source, module, is_package):
        parts = name.split(".")
        if parts[0] in ROOMS:  # a bare `import models` would be a second copy of every class
            wrong.append(name)
        if parts[0] == "bitwright" and (len(parts) < 2 or parts[1] not in MAY_IMPORT[room]):
            wrong.append(name)
    return sorted(wrong)


def sources(root: Path, room: str) -> list[tuple[str, bool, str]]:
    """(module, is it a package, source) of every Python file of a room."""
    found = []
    for path in sorted((root / room).rglob("*.py")):
        parts = ["bitwright", *path.relative_to(root).with_suffix("").parts]
        package = parts[-1] == "__init__"
        found.append((".".join(parts[:-1] if package else parts), package, path.read_text()))
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_what_lies_below(root: Path, room: str) -> None:
    files = sources(root, room)
    assert files
    for module, package, source in files:
        assert not forbidden(source, module, package), module


def test_the_graph_needs_only_numpy(root: Path) -> None:
    files = sources(root, "models/graph")
    assert files
    for module, package, source in files:
        tops = {name.split(".")[0] for name in imported(source, module, package)}
        assert tops <= {"bitwright", "numpy", *SMALL, *sys.stdlib_module_names}, module


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("bitwright.hls.write", "from bitwright.rtl_tb import emit"),
        ("bitwright.hls.write", "def f():\n    import bitwright.cost_model.formulas as c"),
        ("bitwright.rtl_tb.emit", "from bitwright import flow"),
        ("bitwright.rtl_tb.emit", "import bitwright"),
        ("bitwright.models.zoo", "from ..hls import write"),
        ("bitwright.models.zoo", "from .. import hls"),
        ("bitwright.cost_model.fit", "from models.graph import Graph"),
        ("bitwright.cost_model.fit", "import models"),
    ],
)
def test_a_wrong_import_is_found(module: str, source: str) -> None:
    assert forbidden(source, module)


def test_a_right_import_is_left_alone() -> None:
    source = "import numpy\nfrom bitwright.models import graph\nfrom . import b\nfrom .c import d\n"
    assert forbidden(source, "bitwright.hls.write") == []
