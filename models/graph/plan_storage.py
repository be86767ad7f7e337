"""A plan as a file: JSON that people read and edit.

{"target": "xc7", "clock_mhz": 200.0,
 "engines": {"conv1": {"pe": 4, "simd": 3}, "relu1": {"pe": 4, "simd": 1}, "fc": {"stages": 2}}}

Beside a product's pe and simd, "stages" says how many registers are in its sum, "loadable": true
makes its weights loadable at run time, and "memory" puts them in "lut" or "block". "redundancy": 3
beside the engines asks for triple modular redundancy.
"""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from typing_extensions import assert_never

from bitwright.models.errors import BitwrightError, StorageError
from bitwright.models.files import replaced_file
from bitwright.models.graph.plan import MEMORIES, Engine, Folded, Plan, Unrolled

_MAX_BYTES = 16 << 20

Json = dict[str, Any]


def plan_to_json(plan: Plan) -> Json:
    """The plan as what `json.dumps` takes."""
    engines = {name: _engine_to_json(engine) for name, engine in plan.engines.items()}
    tree: Json = {"target": plan.target, "clock_mhz": plan.clock_mhz, "engines": engines}
    return tree if plan.redundancy == 1 else {**tree, "redundancy": plan.redundancy}


def plan_from_json(tree: Any) -> Plan:
    """The plan in a JSON tree.

    Raises StorageError where it is not one, with the node that is wrong.
    """
    try:
        unknown = sorted(set(tree) - {"target", "clock_mhz", "engines", "redundancy"})
        if unknown:
            raise StorageError(
                f"a plan has no {unknown[0]!r}: it is target, clock_mhz, engines and redundancy"
            )
        engines = {str(name): _engine_from_json(name, e) for name, e in tree["engines"].items()}
        redundancy = tree.get("redundancy", 1)
        if type(redundancy) is not int or redundancy not in (1, 3):
            raise StorageError(f"a plan's redundancy is {redundancy!r}: it is 1 or 3")
        return Plan(engines, tree["target"], float(tree["clock_mhz"]), 3 if redundancy == 3 else 1)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StorageError(
            f"not a plan ({type(error).__name__}: {error}): make one with 'bitwright plan'"
        ) from None


def save_plan(plan: Plan, file: str | os.PathLike[str]) -> None:
    """Replace a file by a plan. Raises StorageError where it cannot be written."""
    with replaced_file(file, "the plan") as made:
        made.write((json.dumps(plan_to_json(plan), indent=1) + "\n").encode())


def load_plan(file: str | os.PathLike[str]) -> Plan:
    """Read a plan. Raises StorageError where the file is missing or does not hold one."""
    path = Path(file)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise StorageError(f"{path} is larger than {_MAX_BYTES >> 20} MiB: it is not a plan")
        return plan_from_json(json.loads(path.read_text(encoding="utf-8")))
    except StorageError as error:
        raise StorageError(f"{path}: {error}") from None
    except (OSError, ValueError, RecursionError, BitwrightError) as error:
        raise StorageError(
            f"{path} cannot be read as a plan ({error}): make one with 'bitwright plan'"
        ) from None


def _engine_to_json(engine: Engine) -> Json:
    match engine:
        case Unrolled():
            return {"stages": engine.stages}
        case Folded():
            fields = {f.name: getattr(engine, f.name) for f in dataclasses.fields(engine)}
            folding = {n: v for n, v in fields.items() if v != getattr(Folded(), n)}
            return {"pe": engine.pe, "simd": engine.simd, **folding}
        case _:
            assert_never(engine)


def _engine_from_json(name: object, fields: Json) -> Engine:
    kind = Folded if {"pe", "simd"} <= set(fields) else Unrolled if "stages" in fields else None
    types = {} if kind is None else {f.name: type(f.default) for f in dataclasses.fields(kind)}
    if kind is None or not all(type(v) is types.get(f) for f, v in fields.items()):
        raise StorageError(
            f"node {name!r} has the engine {fields}: give whole numbers for either stages, or pe "
            "and simd, which may have more stages, loadable true or false, and the memory "
            f"{', '.join(MEMORIES)} beside them"
        )
    return kind(**fields)
