"""The report of a study: one HTML page that holds everything it shows, to be opened anywhere."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bitwright.search.front import price
from bitwright.search.space import METHODS, Space
from bitwright.search.study import Record, Study

PAGE = "report.html"

_TEMPLATE = Path(__file__).with_name("page.html")
_MARK = "/*DATA*/"
_NUMBERS = (
    "lut", "ff", "dsp", "bram", "latency", "latency_ns", "interval", "clock_mhz",
    "activation_bits", "stored_bits", "layers", "nodes", "seconds",
)  # fmt: skip


def page(study: Study, shown_as: str) -> str:
    """The page of a study, also of one that is still running. shown_as: its path in commands.

    Raises StorageError where the study holds something else than it should.
    """
    space = Space.from_dict(study.fact("space"))
    known = [r for r in study.records() if r.row is not None]
    records = [r for r in known if r.key == space.key(r.task)]
    notes = list(study.fact("notes") or [])
    if earlier := len(known) - len(records):
        notes.append(
            f"{earlier} networks are of another version of bitwright, of the network or of the "
            "space, and not shown: explore again to have their like."
        )
    points = [_point(study.folder, space, r) for r in records]
    seconds = sum(float((r.row or {}).get("seconds", 0)) for r in records)
    last = max((r.finished or 0 for r in records), default=0.0)
    told = {
        "title": f"{Path(space.model.rpartition(':')[0]).stem} on {Path(space.data).stem}",
        "budget": f"Budget: {space.budget.told()}",
        "limits": dict(space.budget.limits),
        "study": shown_as,
        "points": points,
        **_curves(study, space),
        "notes": notes,
        "hours": f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{seconds / 60:.0f} min",
        "when": time.strftime("%Y-%m-%d %H:%M", time.gmtime(last)) if last else "never",
        "again": [
            "bitwright explore SPACE.toml   # this space, seed "
            f"{space.search.seed}:\n{_told(space)}",
            f"bitwright report {shown_as}",
        ],
        "versions": ", ".join(f"{k} {v}" for k, v in (study.fact("versions") or {}).items()),
    }
    # Inside a script element the text must not close it.
    data = json.dumps(told, separators=(",", ":")).replace("<", "\\u003c")
    return _TEMPLATE.read_text(encoding="utf-8").replace(_MARK, data)


def _point(folder: Path, space: Space, record: Record) -> dict[str, Any]:
    row = dict(record.row or {})
    final = record.task.kind == "final"
    methods = [m for m in METHODS if m in record.methods] or ["pareto"]
    told: dict[str, Any] = {
        "n": record.number,
        "kind": record.task.kind,
        "method": "final" if final else methods[0],
        "methods": ["the front"] if final else methods,
        "text": str(record.task.candidate),
        "error": row.get("error"),
    }
    if told["error"] is not None:
        return told
    passed, measured = _verified(folder, record.number)
    told |= {key: row[key] for key in _NUMBERS}
    return told | {
        "accuracy": row["accuracy"],
        "test": row.get("test_accuracy"),
        "differing": row["differing_decisions"] + row.get("test_differing_decisions", 0),
        "price": price(row),
        "fits": not space.budget.excess(row),
        "verified": passed,
        "measured": measured,
    }


def hardware_folder(folder: Path, number: int) -> Path:
    """Where `bitwright run --from` puts a point unless it is told otherwise."""
    return folder / "hardware" / str(number)


def _verified(folder: Path, number: int) -> tuple[bool | None, Mapping[str, Any] | None]:
    """Whether a point's hardware passed all checks, and its measured cells; None if not made."""
    file = hardware_folder(folder, number) / "point.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return bool(found["passed"]), {n: c for n, c in found["measured"].items() if "lut" in c}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None, None


def _curves(study: Study, space: Space) -> dict[str, Any]:
    """`sensitivity` and `rates` of the first shape whose tables are in the study.

    sensitivity: loss against bits of each module, nothing else varied. rates: see `tables.rates`.
    """
    for record in study.records(("tables",)):
        if record.done and record.key == space.key(record.task):
            row, base = dict(record.row or {}), space.choices(record.task.candidate)
            return {"sensitivity": _sensitivity(row, base), "rates": row["rates"]}
    return {"sensitivity": None, "rates": None}


def _sensitivity(row: Mapping[str, Any], base: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for module in row["modules"]:
        bits = [d for d in module["dimensions"] if not isinstance(base[d], str)]
        bits = [d for d in bits if not d.startswith("sparsity.")]
        if len(bits) != 1:
            continue
        at = module["dimensions"].index(bits[0])
        curve = [
            [combination[at], loss]
            for combination, loss in module["entries"]
            if all(
                c == base[d]
                for d, c in zip(module["dimensions"], combination, strict=True)
                if d != bits[0]
            )
        ]
        kind = "weights" if module["weights"] else "activations"
        found.append({"name": module["name"], "kind": kind, "curve": sorted(curve)})
    return found


def _told(space: Space) -> str:
    """What differs from nothing said, for people to read: a line for each part."""
    told = space.as_dict()
    for key in ("training", "start", "final", "budget", "search"):
        told[key] = {k: v for k, v in told[key].items() if v}
    return "\n".join(f"{key}: {json.dumps(value)}" for key, value in told.items() if value)
