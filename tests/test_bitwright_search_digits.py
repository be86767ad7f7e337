"""A small study of handwritten digits as a user types it: front, page, and a checked point."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bitwright import cli
from bitwright.search.space import Space
from bitwright.search.study import read_study

SPACE = """
model = "{model}:dense"
data = "digits"
[arguments]
inputs = 64
classes = 10
hidden = [8]
[vary]
weights = [[2, 4], [2, 4]]
activations = [[2], [2]]
[sparsity]
fc1 = [0.0, 0.8]
[budget]
max_lut = {lut}
[training]
epochs = 4
batch = 32
learning_rate = 1e-2
[start]
epochs = 6
[final]
epochs = 5
[search]
methods = ["uniform", "differentiable", "ilp", "pareto"]
trials = 2
pressures = [10.0]
finalists = 1
"""

Command = Callable[..., tuple[str, str]]


@pytest.fixture
def bitwright(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command, wants an exit code, and returns what it printed to both streams."""

    def command(*arguments: object, code: int = 0) -> Any:
        monkeypatch.setattr(sys, "argv", ["bitwright", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        assert ended.value.code == code, err
        return out, err

    return command


@pytest.fixture(scope="module")
def studied(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A space file and an empty folder for its study."""
    folder = tmp_path_factory.mktemp("digits")
    file = folder / "space.toml"
    model = str(root / "examples" / "dense.py")
    file.write_text(SPACE.replace("{model}", model).replace("{lut}", "2500"))
    return file, folder / "study"


def test_from_a_space_to_checked_hardware(
    bitwright: Command, studied: tuple[Path, Path], tmp_path: Path
) -> None:
    file, folder = studied
    out, _ = bitwright("explore", file, "-o", folder, "--json")
    said = json.loads(out)
    assert said["failed"] == 0 and said["networks"] >= 6
    (point,) = said["points"]
    assert point["lut"] <= 2500 and point["test_accuracy"] > 0.7
    with read_study(folder) as study:
        space = Space.from_dict(study.fact("space"))
        records = study.records()
        (tables,) = study.records(("tables",))
    assert {m for r in records for m in r.methods} == {*space.search.methods, "final"}
    assert all(r.row is not None and r.row["differing_decisions"] == 0 for r in records)
    # Nothing of the search has seen a test row.
    assert all("test_accuracy" not in (r.row or {}) for r in records if r.task.kind != "final")
    # What the program chose from: each module by its own bits alone, more bits lose less.
    assert tables.row is not None
    needs = {m["name"]: m["dimensions"] for m in tables.row["modules"]}
    assert needs == {"inputs": [], "fc1": ["weights.0", "sparsity.fc1"], "relu1": [],
                     "fc2": ["weights.1"]}  # fmt: skip
    losses = {tuple(c): loss for c, loss in tables.row["modules"][1]["entries"]}
    assert len(losses) in (2, 4) and all(loss > 0 for loss in losses.values())
    # Pressure prunes: fewer weights are left than in any network that was not pruned.
    zeros = {r.task.candidate.pressure: (r.row or {})["layers"]["fc1"]["zero"] for r in records
             if not any(share for _, share in r.task.candidate.sparsity)}  # fmt: skip
    assert zeros[10.0] > 0.3

    out, _ = bitwright("run", "--from", folder / "study.db", "--point", point["point"], "--json")
    report = json.loads(out)
    assert report["controls"]["caught"] == report["controls"]["total"]
    assert report["accuracy"]["reference"] == pytest.approx(point["test_accuracy"])
    page = bitwright("report", folder)[0].split()[-1]
    text = Path(page).read_text()
    data = json.loads(text.split('type="application/json">')[1].split("</script>")[0])
    shown = {p["n"]: p for p in data["points"]}
    assert shown[point["point"]]["verified"] is True
    assert shown[point["point"]]["measured"]["fc1"]["lut"] > 0
    assert {m["name"] for m in data["sensitivity"]} == {"fc1", "fc2"}
    rates = {r["name"]: r for r in data["rates"]}
    assert rates.keys() == {"inputs", "relu1"}
    # A bit more loses less; 8 of 8 planes lose what 8 uniform bits do.
    for kind in ("bitplanes", "uniform"):
        decibels = [psnr for _, psnr in rates["relu1"][kind]]
        assert decibels == sorted(decibels) and decibels[-1] > 40
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "") and "src=" not in text


def test_the_page_draws_in_a_browser(bitwright: Command, studied: tuple[Path, Path]) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on the PATH")
    _, folder = studied
    page = bitwright("report", folder)[0].split()[-1]
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"file://{page}"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.count('class="point"') >= 3  # the scripts ran to the end
    for told in ("Sensitivity", "Rate and distortion", "bit planes kept", "✓ all checks passed"):
        assert told in done.stdout


def test_what_a_user_can_mend_is_one_sentence(
    bitwright: Command,
    studied: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file, folder = studied
    _, err = bitwright("run", "--from", folder / "study.db", "--point", 999, code=2)
    assert "point 999 of" in err and "choose from" in err and err.count("\n") == 1
    # Rows of an earlier bitwright are neither checked nor shown as if they were of this one.
    monkeypatch.setattr("bitwright.search.space.version", lambda name: "0.0.0")
    _, err = bitwright("run", "--from", folder / "study.db", "--point", 1, code=2)
    assert "point 1 of" in err and "another version" in err and "explore again" in err
    page = bitwright("report", folder, "-o", tmp_path / "page.html")[0].split()[-1]
    assert "networks are of another version" in Path(page).read_text()
    monkeypatch.undo()
    _, err = bitwright("run", "--from", folder / "study.db", code=2)
    assert "give both --from and --point" in err
    _, err = bitwright("report", tmp_path, code=2)
    assert "'bitwright explore' makes one" in err
    _, err = bitwright("explore", file, "-o", folder, "--resource", "licence", code=2)
    assert "give a name and an amount" in err
