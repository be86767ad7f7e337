"""The README keeps its word: its Python runs, and so do its commands."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    return (root / "README.md").read_text()


@pytest.fixture
def place(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like a fresh checkout's top, to run in."""
    shutil.copytree(root / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


SLOW = ("run", "synth", "explore", "report")
"""Commands that take minutes on the README's network. They run on small ones in
test_bitwright_cli.py, …_flow.py and …_search_digits.py; here their arguments are only parsed."""


def commands(readme: str) -> list[list[str]]:
    """Every `python …` and `bitwright …` line of the README's shell blocks, split into words."""
    lines = "\n".join(blocks(readme, "bash")).replace("\\\n", " ").splitlines()
    split = [shlex.split(line, comments=True) for line in lines]
    return [words for words in split if words and words[0] in ("python", "bitwright")]


def test_commands_and_python_run_in_their_order(readme: str, place: Path) -> None:
    found = [words for words in commands(readme) if words[1] not in SLOW]
    assert {words[1] for words in found} >= {"lower", "estimate", "hls", "rtl", "verify"}
    for words in found:
        script = words[1:] if words[0] == "python" else ["-m", *words]
        done = subprocess.run([sys.executable, *script], cwd=place, capture_output=True, text=True)
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stderr}"

    snippets = blocks(readme, "python")
    assert snippets
    assert all(len(snippet.strip().splitlines()) <= 12 for snippet in snippets)
    subprocess.run([sys.executable, "-c", "\n".join(snippets)], cwd=place, check=True)


def test_the_arguments_of_slow_commands_are_right(
    readme: str, accepted: Callable[[list[str]], bool]
) -> None:
    slow = [words for words in commands(readme) if words[1] in SLOW]
    assert {words[1] for words in slow} == set(SLOW)
    for words in slow:
        assert accepted(words), shlex.join(words)
        assert not accepted([*words, "--no-such-option"])


def test_every_make_target_exists(readme: str, root: Path) -> None:
    targets = set(re.findall(r"^make (\w+)", "\n".join(blocks(readme, "bash")), re.MULTILINE))
    assert {"demo", "test"} <= targets
    makefile = (root / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
