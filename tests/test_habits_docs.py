"""The documentation keeps its word: the site builds, its commands exist, and the tutorial runs."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from bitwright import cli


def build(house: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a checkout with this environment's tools."""
    bin_folder = Path(sys.executable).parent
    command = ["make", "docs", "READY=", f"BIN={bin_folder}"]
    return subprocess.run(command, cwd=house, capture_output=True, text=True)


@pytest.fixture
def house(root: Path, tmp_path: Path) -> Path:
    """The parts of a checkout that the site is made of."""
    for name in ("bitwright", "models", "hls", "rtl_tb", "cost_model", "docs", "examples"):
        shutil.copytree(root / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "mkdocs.yml", "pyproject.toml", "constraints.txt"):
        shutil.copy(root / name, tmp_path)
    return tmp_path


def test_the_site_builds_without_a_warning_and_a_dead_link_is_one(house: Path) -> None:
    done = build(house)
    assert done.returncode == 0, done.stderr
    site = house / "build" / "site"
    assert "Integer tensors in, integer tensors out" in (site / "api.html").read_text()
    reference = (site / "cli.html").read_text()
    for name, command in typer.main.get_command(cli.app).commands.items():
        assert f'id="bitwright-{name}"' in reference
        for option in command.params:
            assert all(word in reference for word in option.opts), (name, option.name)
    for notebook in (house / "examples/notebooks").glob("*.ipynb"):
        page = (site / "notebooks" / f"{notebook.stem}.html").read_text()
        drawn = re.findall(rf'src="({notebook.stem}_\w+\.png)"', page)
        assert drawn and all((site / "notebooks" / name).is_file() for name in drawn)

    page = house / "docs" / "tutorial.md"
    page.write_text(page.read_text() + "\n[nowhere](nowhere.md)\n")
    assert build(house).returncode != 0


def test_every_page_is_in_the_navigation(root: Path) -> None:
    listed = set(re.findall(r": ([\w/]+\.md)$", (root / "mkdocs.yml").read_text(), re.MULTILINE))
    written = {str(p.relative_to(root / "docs")) for p in (root / "docs").rglob("*.md")}
    books = {f"notebooks/{p.stem}.md" for p in (root / "examples/notebooks").glob("*.ipynb")}
    assert listed == {"cli.md", *written, *books}


def test_every_command_in_the_docs_has_the_arguments_that_it_is_given(
    root: Path, accepted: Callable[[list[str]], bool]
) -> None:
    found = []
    for page in sorted((root / "docs").rglob("*.md")):
        blocks = re.findall(r"^```(?:ba)?sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
        for line in "\n".join(blocks).replace("\\\n", " ").replace("$rate", "3").splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] == "bitwright":
                found.append((page.name, words))
    assert len({words[1] for _, words in found}) > 10
    assert [(page, shlex.join(words)) for page, words in found if not accepted(words)] == []
    assert not accepted([*found[0][1], "--no-such-option"])


def test_python_on_the_method_pages_runs(root: Path) -> None:
    blocks = [
        block
        for page in sorted((root / "docs" / "methods").glob("*.md"))
        for block in re.findall(
            r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL
        )
    ]
    assert len(blocks) > 1
    subprocess.run([sys.executable, "-c", "\n".join(blocks)], check=True)


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
