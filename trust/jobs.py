"""Jobs to be killed, as small as they go: what each does, and what is whole in the folder it left.

emit          graph, plan, RTL in both forms and HLS project, three times over; compiled simulation
run           `bitwright run` of an untrained network of 5 weights
characterise  rows of sample points, by a Yosys that makes its counts up
explore       a study with two workers, by an evaluator that makes its rows up
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bitwright import hls
from bitwright.models.errors import StorageError
from bitwright.models.graph import load, load_plan, save, save_plan
from bitwright.rtl_tb import build, emit, load_design
from trust.networks import network

_ROOT = Path(__file__).parent.parent
_SEED, _NUMBER = 7, 3
_AGAIN = 3  # times that every step is done, so that replacing a folder is hit as well
_STUDY = _ROOT / "tests" / "networks"  # where the study of made-up rows is

Note = Callable[[str], None]
"""Called with the name of what is finished."""


@dataclass(frozen=True, slots=True)
class Job:
    """do: all of it in a folder. contents: what is whole there under the names that are noted, each
    as a text that is alike for equal contents; raises BitwrightError or OSError where something is
    there that its loader refuses.
    """

    do: Callable[[Path, Note], None]
    contents: Callable[[Path], dict[str, str]]


def _emit(out: Path, note: Note) -> None:
    one = network(_SEED, _NUMBER)
    steps: dict[str, Callable[[], object]] = {
        "graph": lambda: save(one.graph, out / "graph"),
        "plan.json": lambda: save_plan(one.plan, out / "plan.json"),
        "rtl": lambda: emit(one.graph, one.plan, out / "rtl"),
        "rtl_plain": lambda: emit(one.graph, one.plan, out / "rtl_plain", "plain"),
        "hls": lambda: hls.write(one.graph, out / "hls"),
    }
    for _ in range(_AGAIN):
        for name, step in steps.items():
            step()
            note(name)
    build(load_design(out / "rtl"), out / "sim")
    note("sim")


def _folders(out: Path) -> dict[str, str]:
    """What `emit` and `run` leave."""
    loaders: dict[str, Callable[[Path], object]] = {
        "graph": load, "plan.json": load_plan, "rtl": load_design, "rtl_plain": load_design,
        "hls": hls.load,
    }  # fmt: skip
    found = {}
    for name, loader in loaders.items():
        if (out / name).exists():
            loader(out / name)
            found[name] = _hash(out / name)
    for path in out.rglob("model.key"):  # a compiler's program holds the name of its folder
        (path.parent / "bulk").stat()
        found[str(path.parent.relative_to(out))] = path.read_text()
    return found


def _hash(path: Path) -> str:
    sha = hashlib.sha256()
    for file in sorted([path] if path.is_file() else path.rglob("*")):
        sha.update(str(file.relative_to(path)).encode() + b"\0")
        if file.is_file():
            sha.update(file.read_bytes())
    return sha.hexdigest()


def _run(out: Path, note: Note) -> None:
    import torch
    from brevitas import nn as qnn
    from brevitas.quant.fixed_point import Int8ActPerTensorFixedPoint

    from bitwright.flow import Settings, run

    torch.manual_seed(0)
    model = torch.nn.Sequential(
        qnn.QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, bit_width=3),
        qnn.QuantLinear(5, 1, bias=False, weight_bit_width=3),
    )
    model(torch.randn(64, 5))
    run(model.eval(), 5, out, name="tiny", settings=Settings(vectors=20))
    note("report.json")


def _report(out: Path) -> dict[str, str]:
    """And the report, without what is another time each time."""
    found = _folders(out)
    if (out / "report.json").exists():
        tree = json.loads((out / "report.json").read_text())
        for field in ("seconds", "steps"):
            del tree[field]
        text = json.dumps(tree, sort_keys=True)
        found["report.json"] = text.replace(str(out), "")
    return found


_YOSYS = """\
#!/bin/sh
if [ "$1" = -V ]; then echo "Yosys 1.0 (fake)"; exit; fi
sleep 0.1
lut=LUT4; grep -q synth_ice40 run.ys && lut=SB_LUT4
count=$(cat src/* | grep -cE 'assign|wire')
echo "{\\"design\\": {\\"num_cells_by_type\\": {\\"$lut\\": $count}}}" > stat.json
"""


def _characterise(out: Path, note: Note) -> None:
    from bitwright.characterise import Limits, measure, point_subjects
    from bitwright.cost_model.points import Point, u
    from bitwright.cost_model.rows import POINTS
    from bitwright.models.graph import Unrolled

    out.mkdir(parents=True, exist_ok=True)
    yosys = out / "yosys"
    yosys.write_text(_YOSYS)
    yosys.chmod(0o755)
    points = [Point("identity", (n,), u(2), Unrolled(1)) for n in range(1, 13)]
    limits = Limits(("ecp5", "ice40"), 2, cache=out / "cache", yosys=str(yosys))
    told: set[str] = set()

    def progress(done: int, total: int, last: str) -> None:
        new = set(_rows(out)) - told  # of which the file is whole by now
        told.update(new)
        for name in sorted(new):
            note(name)

    measure(point_subjects(points), out / "rows.csv", POINTS, limits, progress)


def _rows(out: Path) -> dict[str, str]:
    from bitwright.cost_model.rows import read_rows

    rows = read_rows(out / "rows.csv")
    return {"/".join(row.key): f"{row.tool} {row.cost}" for row in rows}


def _explore(out: Path, note: Note) -> None:
    import sys

    sys.path.insert(0, str(_STUDY))
    os.environ |= {"PYTHONPATH": str(_STUDY), "FAKE_LOG": str(out / "log"), "FAKE_SECONDS": "0.1"}
    import fake_study

    from bitwright.search.executors import LocalExecutor
    from bitwright.search.explore import State, explore

    out.mkdir(parents=True, exist_ok=True)
    told: set[str] = set()

    def watch(state: State) -> None:
        for key in sorted(set(state.rows) - told):
            note(key)
        told.update(state.rows)

    executor = LocalExecutor(out / "study", 2, fake_study.EVALUATOR)
    try:
        explore(fake_study.space(), out / "study", executor, watch)
    finally:
        executor.close()


def _study(out: Path) -> dict[str, str]:
    from bitwright.search.study import FILE, read_study

    if not (out / "study" / FILE).exists():
        return {}
    with read_study(out / "study") as study:
        try:
            return {key: json.dumps(row, sort_keys=True) for key, row in study.rows().items()}
        except StorageError:
            if not study.records():  # killed before it was a study
                return {}
            raise


JOBS: Mapping[str, Job] = {
    "emit": Job(_emit, _folders),
    "run": Job(_run, _report),
    "characterise": Job(_characterise, _rows),
    "explore": Job(_explore, _study),
}
