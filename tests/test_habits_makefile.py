"""The Makefile's checks really check: each is run on a small house with a mistake in it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOMS = ("bitwright", "models", "hls", "rtl_tb", "cost_model", "benchmarks", "trust")


@pytest.fixture
def house(root: Path, tmp_path: Path) -> Path:
    """The real Makefile and settings around rooms that are empty but for the errors."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(root / name, tmp_path)
    for room in ROOMS:
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text('"""A room."""\n')
    shutil.copy(root / "models" / "errors.py", tmp_path / "models")
    return tmp_path


# This environment instead of a .venv of the house's own.
HERE = ("READY=", f"BIN={Path(sys.executable).parent}")


def make(house: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=house, capture_output=True, text=True)


def test_a_clean_house_passes(house: Path) -> None:
    done = make(house, "lint", *HERE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_types_are_checked_in_every_room(house: Path) -> None:
    for room in ROOMS:
        (house / room / "wrong.py").write_text('"""Wrong."""\n\nnumber: int = "text"\n')
    done = make(house, "types", *HERE)
    assert done.returncode != 0
    assert done.stdout.count("Incompatible types in assignment") == len(ROOMS)


def test_types_follow_imports_between_rooms(house: Path) -> None:
    wrong = '"""Wrong."""\n\nfrom bitwright.models.errors import NoSuchError as NoSuchError\n'
    (house / "hls" / "wrong.py").write_text(wrong)
    done = make(house, "types", *HERE)
    assert done.returncode != 0 and "NoSuchError" in done.stdout


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ('"""Wrong."""\n\nimport models.errors\n\nprint = models.errors\n', "TID251"),
        ('"""Wrong."""\n\nimport os\n', "F401"),
        ('"""Wrong."""\n\nx = {  "a":1 }\n', 'x = {"a": 1}'),
        ('"""Wrong."""\n\ntry:\n    x = 1\nexcept Exception:\n    x = 2\n', "BLE001"),
    ],
)
def test_lint_finds_mistakes(house: Path, source: str, rule: str) -> None:
    (house / "hls" / "wrong.py").write_text(source)
    done = make(house, "lint", *HERE)
    assert done.returncode != 0 and rule in done.stdout + done.stderr


def test_an_old_python_is_refused_in_a_sentence(house: Path) -> None:
    done = make(house, ".venv/.ready", "PYTHON=")
    assert done.returncode != 0
    assert "needs Python 3.10 or newer" in done.stderr
    assert not (house / ".venv").exists()


def test_help_lists_every_door(house: Path) -> None:
    listed = make(house, "help").stdout
    for door in ("demo", "test", "bench", "golden", "lint", "clean"):
        assert f"make {door}" in listed
