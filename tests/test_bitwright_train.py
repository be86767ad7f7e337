"""`bitwright train`: from a recipe to weights that `bitwright lower` takes, as a user types it."""

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bitwright import cli

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


@pytest.fixture
def recipe(root: Path, tmp_path: Path) -> Path:
    text = (root / "examples" / "recipes" / "digits_mlp.toml").read_text()
    model = str(root / "examples" / "mnist_networks.py")
    made = tmp_path / "digits.toml"
    made.write_text(
        text.replace("../mnist_networks.py", model).replace("epochs = 30", "epochs = 4")
    )
    return made


def test_train_and_what_it_says_comes_next(
    bitwright: Command, recipe: Path, tmp_path: Path
) -> None:
    out, _ = bitwright("train", recipe, "-o", tmp_path / "run", "--json")
    said = json.loads(out)
    assert said["run"]["accuracy"] > 0.6 and len(said["run"]["losses"]) == 4
    first, *arguments = shlex.split(said["next"])
    assert first == "bitwright"
    out, _ = bitwright(*arguments, "-o", tmp_path / "graph", "--json")
    lowered = json.loads(out)
    assert lowered["lowering"]["differing_decisions"] == 0
    assert lowered["accuracy"]["reference"] == said["run"]["accuracy"]
    # For people the same, and a run that is finished is not done again.
    out, err = bitwright("train", recipe, "-o", tmp_path / "run")
    assert f"{100 * said['run']['accuracy']:.2f} %" in out
    assert "train digits" in err


def test_what_a_user_can_mend_is_one_sentence(
    bitwright: Command, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BITWRIGHT_DATA", raising=False)
    recipe.write_text(recipe.read_text().replace('"digits"', '"mnist"'))
    _, err = bitwright("train", recipe, "-o", tmp_path / "run", code=2)
    assert err.startswith("bitwright: data set mnist is read from files, and no folder is named")
    _, err = bitwright("train", recipe, "-o", tmp_path / "run", "--data", tmp_path, code=2)
    assert f"data folder {tmp_path} lacks train-images-idx3-ubyte" in err
    recipe.write_text("epochs = 3")
    _, err = bitwright("train", recipe, code=2)
    assert "unknown keys epochs" in err and err.count("\n") == 1
    assert not (tmp_path / "run").exists()
