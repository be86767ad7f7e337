"""Small mistakes in a Python module, and the import of a module with one."""

import ast
import importlib.util
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

_COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_BINARY: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip


def python_mutants(source: str) -> Iterator[tuple[str, str]]:
    """Every mutant of a module but for what it asserts: what it is, and its text."""
    tree = ast.parse(source)
    asserted = {id(n) for a in ast.walk(tree) if _asserts(a) for n in ast.walk(a)}
    for node in list(ast.walk(tree)):
        for name in () if id(node) in asserted else _kinds(node):
            before, kept = ast.unparse(node), dict(vars(node))
            _apply(node, name)
            after, text = ast.unparse(node), ast.unparse(tree)
            vars(node).update(kept)
            if before != after:
                at = f"{getattr(node, 'lineno', 0)}:{getattr(node, 'col_offset', 0)}"
                yield f"{at}: {before} -> {after}", text


def _asserts(node: ast.AST) -> bool:
    """An assertion, or that of `zip` that all are as long as the first."""
    return isinstance(node, ast.Assert) or (isinstance(node, ast.keyword) and node.arg == "strict")


def _kinds(node: ast.AST) -> tuple[str, ...]:
    match node:
        case ast.Compare() if type(node.ops[0]) in _COMPARE:
            return ("compare",)
        case ast.BinOp() if type(node.op) in _BINARY and not isinstance(node.left, ast.JoinedStr):
            return ("binary",)
        case ast.BoolOp():
            return ("boolean",)
        case ast.IfExp():
            return ("swap",)
        case ast.UnaryOp() if isinstance(node.op, ast.Not):
            return ("not",)
        case ast.Constant() if type(node.value) is int:
            return ("more",)
        case ast.Constant() if type(node.value) is bool:
            return ("other",)
    return ()


def _apply(node: Any, kind: str) -> None:
    """Change a node of a tree in place."""
    match kind:
        case "compare":
            node.ops = [_COMPARE[type(node.ops[0])](), *node.ops[1:]]
        case "binary":
            node.op = _BINARY[type(node.op)]()
        case "boolean":
            node.op = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
        case "swap":
            node.body, node.orelse = node.orelse, node.body
        case "not":
            node.op = ast.UAdd()
        case "more":
            node.value += 1
        case "other":
            node.value = not node.value


class Mutated:
    """An import finder that gives one module another text."""

    def __init__(self, name: str, file: Path, text: str) -> None:
        self.name, self.file, self.text = name, file, text

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return (
            importlib.util.spec_from_file_location(name, self.file, loader=self)  # type: ignore[arg-type]
            if name == self.name
            else None
        )

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: Any) -> None:
        exec(compile(self.text, str(self.file), "exec"), module.__dict__)
