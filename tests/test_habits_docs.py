"""The documentation keeps its word: its site builds without a warning, and its tutorial runs."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def build(house: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a checkout with this environment's tools."""
    bin_folder = Path(sys.executable).parent
    command = ["make", "docs", "READY=", f"BIN={bin_folder}"]
    return subprocess.run(command, cwd=house, capture_output=True, text=True)


@pytest.fixture
def house(root: Path, tmp_path: Path) -> Path:
    """The parts of a checkout that the site is made of."""
    for name in ("bitwright", "models", "hls", "rtl_tb", "cost_model", "docs"):
        shutil.copytree(root / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "mkdocs.yml", "pyproject.toml", "constraints.txt"):
        shutil.copy(root / name, tmp_path)
    return tmp_path


def test_the_site_builds_without_a_warning_and_a_dead_link_is_one(house: Path) -> None:
    done = build(house)
    assert done.returncode == 0, done.stderr
    assert "Integer tensors in, integer tensors out" in (house / "build/site/api.html").read_text()

    page = house / "docs" / "tutorial.md"
    page.write_text(page.read_text() + "\n[nowhere](nowhere.md)\n")
    assert build(house).returncode != 0


def test_every_page_is_in_the_navigation(root: Path) -> None:
    listed = set(re.findall(r": ([\w/]+\.md)$", (root / "mkdocs.yml").read_text(), re.MULTILINE))
    assert listed == {str(p.relative_to(root / "docs")) for p in (root / "docs").rglob("*.md")}


def test_the_tutorial_runs_and_its_broken_hardware_is_found(root: Path, tmp_path: Path) -> None:
    text = (root / "docs" / "tutorial.md").read_text()
    files = re.findall(r'^```python title="(.+?)"\n(.*?)^```', text, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in files] == ["net.py", "train.py"]
    for name, content in files:
        (tmp_path / name).write_text(content)

    def do(words: list[str]) -> subprocess.CompletedProcess[str]:
        script = words[1:] if words[0] == "python" else ["-m", *words]
        command = [sys.executable, *script] if words[0] in ("python", "bitwright") else words
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    steps = re.findall(r"^```(bash|python)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for language, block in steps:
        lines = [f"python -c {shlex.quote(block)}"]
        if language == "bash":
            lines = block.replace("\\\n", " ").splitlines()
        for line in lines:
            done = do(shlex.split(line, comments=True))
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"

    broken, *again = re.search(r"^sed .*\n(^bitwright .*\n)+", text, re.MULTILINE)[0].splitlines()
    whole = (tmp_path / "rtl" / "digits_l4.sv").read_text()
    assert do(shlex.split(broken)).returncode == 0
    assert (tmp_path / "rtl" / "digits_l4.sv").read_text() != whole
    found, mended = (do(shlex.split(line, comments=True)) for line in again)
    assert found.returncode == 1 and "vectors differ" in found.stdout
    assert mended.returncode == 0
    assert (tmp_path / "rtl" / "digits_l4.sv").read_text() == whole
