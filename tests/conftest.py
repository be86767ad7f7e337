"""What every test may use: the golden files and the place of the checkout."""

from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.exceptions import TyperException

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="rewrite the golden files")


@pytest.fixture(scope="session")
def root() -> Path:
    """The top folder of the checkout."""
    return ROOT


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden(name, text)` asserts that `text` equals the file tests/golden/<name>.

    With `--golden` (`make golden`) it writes the file instead, to be read in review.
    """

    def check(name: str, text: str) -> None:
        path = ROOT / "tests" / "golden" / name
        if request.config.getoption("--golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"{path} is missing: make golden writes it"
        assert text == path.read_text(encoding="utf-8"), f"{name} changed: make golden, then read"

    return check


@pytest.fixture(scope="session")
def accepted() -> Callable[[list[str]], bool]:
    """Whether the command line takes these words, found out without running the command."""
    from bitwright import cli

    group = typer.main.get_command(cli.app)

    def check(words: list[str]) -> bool:
        try:
            with group.make_context("bitwright", words[1:]) as context:
                _, chosen, rest = group.resolve_command(context, [words[1], *words[2:]])
                chosen.make_context(words[1], list(rest), parent=context).close()
        except TyperException:
            return False
        return True

    return check
