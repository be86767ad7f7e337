"""`bitwright bottleneck`: a trained network keeps fewer bits, and still goes all the way."""

import json
import shutil
import sys
import typing
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bitwright import cli
from bitwright.bottleneck import Settings, load_calibration
from bitwright.cli import bottleneck as command
from bitwright.inputs import MAX_DATA_BYTES, load_rows
from bitwright.models.data import digits
from bitwright.models.errors import BitwrightError, InputError, StorageError
from bitwright.models.graph import BitPlanes
from bitwright.models.layers import BitwiseBottleneck
from bitwright.models.lower import compare, load_model, lower
from bitwright.models.recipes import read_recipe, train_recipe
from bitwright.models.train import Recipe, accuracy, train

torch.set_num_threads(1)

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def digits_folder(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """digits.py and digits.pt, a trained network for digits."""
    folder = tmp_path_factory.mktemp("digits")
    shutil.copy(root / "examples" / "digits.py", folder)
    model = load_model(f"{folder / 'digits.py'}:mlp")
    train(model, digits(), Recipe(epochs=6, batch=64))
    torch.save(model.state_dict(), folder / "digits.pt")
    return folder


@pytest.fixture
def place(digits_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(digits_folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bottleneck(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command; returns its output, or with exit code 2 the sentence that it ends with."""

    def run(*arguments: object, code: int = 0) -> Any:
        words = ["bottleneck", "digits.py:mlp", "-w", "digits.pt", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", ["bitwright", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        assert ended.value.code == code, err
        assert "Traceback" not in err
        if code:
            return err.strip().splitlines()[-1]
        return json.loads(out) if "--json" in arguments else out

    return run


def test_trained_bottlenecked_fine_tuned_lowered(bottleneck: Command, place: Path) -> None:
    said = bottleneck("--data", "digits", "--rate", 3, "--planes-only", "-o", "out", "--json")
    assert said["rate"] <= 3
    assert set(said["files"]) == {path.name for path in Path("out").iterdir()}
    assert json.loads(Path("out/bottlenecks.json").read_text())["layers"] == said["layers"]
    for row in said["layers"]:
        assert row["kind"] == "bitplanes" and row["source_bits"] == 6
        assert row["psnr"] == row["bitplanes_psnr"]
        better = row["bitplanes_psnr"] > row["uniform_psnr"]
        assert row["winner"] == ("bitplanes" if better else "uniform")
    assert Path("out/rate_distortion.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in Path("out/rate_distortion.svg").read_bytes()

    data = digits()
    made = load_model("out/network.py:network", "out/weights.pt")
    assert accuracy(made, data.x_test, data.y_test) == said["accuracy"]["bottlenecks"]
    given = accuracy(load_model("digits.py:mlp", "digits.pt"), data.x_test, data.y_test)
    assert given == said["accuracy"]["given"] > 0.8

    # Fine-tuned by the recipe in the folder, which starts from the weights beside it.
    recipe = read_recipe("out/finetune.toml")
    start = recipe.network().state_dict()
    assert all(torch.equal(value, start[name]) for name, value in made.state_dict().items())
    train_recipe("out/finetune.toml", Path("tuned"))
    tuned = load_model("tuned/network.py:network", "tuned/weights.pt")
    assert any(
        not torch.equal(value, start[name])
        for name, value in tuned.state_dict().items()
        if name.endswith("weight")
    )
    for row in said["layers"]:
        quantiser = tuned.get_submodule(row["layer"]).bottleneck.quantiser
        assert list(quantiser.coefficients) == row["coefficients"]
        assert list(quantiser.planes) == row["planes"]

    lowered = lower(tuned, 64)
    assert sum(isinstance(node.op, BitPlanes) for node in lowered.graph.nodes) == 2
    found = compare(tuned, lowered, data.x_test, data.y_test)
    assert found.differing == 0 and found.compared > 450 * (64 + 32 + 16 + 10)
    assert compare(made, lowered, data.x_test).differing > 0  # the comparison can fail


def test_the_better_kind_is_chosen_and_said(bottleneck: Command, place: Path) -> None:
    shown = bottleneck("--data", "digits", "--rate", 2, "-o", "out")
    for word in ("relu1", "relu2", "2 of 6", "as chosen", "bitwright train out/finetune.toml"):
        assert word in shown
    said = json.loads(Path("out/bottlenecks.json").read_text())
    assert all(row["kind"] == row["winner"] for row in said["layers"])
    if all(row["kind"] == "uniform" for row in said["layers"]):
        assert said["accuracy"]["bottlenecks"] == said["accuracy"]["uniform"]
    # The command that it names works as it stands.
    line = next(line for line in shown.splitlines() if line.startswith("lower:"))
    words = line.split()
    model, weights = words[3], words[words.index("--weights") + 1]
    assert lower(load_model(model, weights), int(words[-1])).graph.input.shape == (64,)


def test_a_psnr_is_reached_with_the_papers_method_or_powers_of_two(
    bottleneck: Command, place: Path
) -> None:
    arguments = ["--data", "digits", "--psnr", 12, "--planes-only", "-o", "out", "--json"]
    powers = bottleneck(*arguments, "--coefficients", "power_of_two")
    lasso = bottleneck(*arguments, "--method", "lasso", "--layers", "relu2")
    assert all(a & (a - 1) == 0 for row in powers["layers"] for a in row["coefficients"])
    assert [row["layer"] for row in lasso["layers"]] == ["relu2"]
    assert all(row["psnr"] >= 12 for row in powers["layers"] + lasso["layers"])
    model = load_model("out/network.py:network", "out/weights.pt")
    assert sum(isinstance(m, BitwiseBottleneck) for m in model.modules()) == 1


def test_rows_of_a_file(bottleneck: Command, place: Path) -> None:
    data = digits()
    np.savez("rows.npz", x=data.x_test, y=data.y_test)
    np.savez("inputs.npz", x=data.x_test)
    arguments = ["--rate", 3, "--allocation", "lagrangian", "-o", "out", "--json"]
    labelled = bottleneck("--data", "rows.npz", *arguments)
    model = load_model("out/network.py:network", "out/weights.pt")
    assert accuracy(model, data.x_test, data.y_test) == labelled["accuracy"]["bottlenecks"]
    bare = bottleneck("--data", "inputs.npz", *arguments)
    assert bare["accuracy"] == {} and bare["layers"] == labelled["layers"]
    assert "finetune.toml" not in bare["files"]
    few = bottleneck("--data", "inputs.npz", "--rows", 8, *arguments)
    assert few["layers"] != bare["layers"]


def test_rows_are_spread_over_the_file(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(100.0)[:, None])
    assert load_calibration(str(tmp_path / "x.npy"), 4).x.ravel().tolist() == [0, 33, 66, 99]
    assert len(load_calibration(str(tmp_path / "x.npy"), 1000).x) == 100


def test_a_folder_that_was_moved_with_its_network_still_works(
    bottleneck: Command, place: Path
) -> None:
    bottleneck("--data", "digits", "--rate", 3, "-o", "out/bits")
    (place / "away").mkdir()
    for name in ("digits.py", "out"):
        shutil.move(place / name, place / "away" / name)
    bits = place / "away" / "out" / "bits"
    load_model(f"{bits / 'network.py'}:network", bits / "weights.pt")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "digits"], "give exactly one of the two"),
        (["--data", "digits", "--rate", 2, "--psnr", 20], "give exactly one of the two"),
        (["--data", "digits", "--rate", 0.5], "0.5 bits per activation"),
        (["--data", "digits", "--rate", "nan"], "--rate nan"),
        (["--data", "digits", "--rate", "inf"], "inf bits per activation"),
        (["--data", "digits", "--psnr", "nan"], "nan dB"),
        (["--data", "digits", "--psnr", 300, "--planes-only", "--source-bits", 3], "300 dB"),
        (["--data", "digits", "--rate", 2, "--layers", "relu9"], "relu9"),
        (["--data", "digits", "--rate", 2, "--layers", "fc1"], "fc1: activations go down"),
        (["--data", "digits", "--rate", 2, "--rows", 0], "0 rows"),
        (["--data", "nothing", "--rate", 2], "there are no data 'nothing'"),
        (["--data", "mnist", "--rate", 2], "set BITWRIGHT_DATA to their folder"),
        (["--data", "missing.npz", "--rate", 2], "missing.npz does not exist"),
        (["--data", "wide.npz", "--rate", 2], "shape (65,)"),
        (["--data", "objects.npz", "--rate", 2], "objects.npz cannot be read"),
        (["--rate", 2], "--data"),
        (["--data", "digits", "--rate", 2, "--method", "lasso", "--coefficients", "power_of_two"],
         "the Lasso has general coefficients"),
        (["--data", "digits", "--rate", 2, "--method", "guess"], "guess"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_sentence_and_changes_nothing(
    bottleneck: Command,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[object],
    said: str,
) -> None:
    monkeypatch.delenv("BITWRIGHT_DATA", raising=False)
    np.savez("wide.npz", x=np.zeros((4, 65)))
    np.savez("objects.npz", x=np.array([{}, {}], object))
    Path("out").mkdir()
    Path("out/bottlenecks.json").write_text("earlier")
    assert said in bottleneck(*arguments, "-o", "out", code=2)
    assert [path.name for path in Path("out").iterdir()] == ["bottlenecks.json"]
    assert Path("out/bottlenecks.json").read_text() == "earlier"


def test_another_folder_is_not_replaced(bottleneck: Command, place: Path) -> None:
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years")
    arguments = ["--data", "digits", "--rate", 2, "-o", "mine"]
    assert "holds no bottlenecks.json" in bottleneck(*arguments, code=2)
    assert Path("mine/thesis.txt").read_text() == "years"


def test_a_network_with_bottlenecks_is_not_given_more(
    bottleneck: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bottleneck("--data", "digits", "--rate", 3, "-o", "out")
    shutil.copy("out/network.py", "again.py")
    text = Path("again.py").read_text().replace("'../digits.py'", "'digits.py'")
    Path("digits.py").rename("first.py")
    Path("digits.py").write_text(
        text.replace("'digits.py'", "'first.py'").replace("def network", "def mlp")
    )
    shutil.copy("out/weights.pt", "digits.pt")
    said = bottleneck("--data", "digits", "--rate", 3, "-o", "out", code=2)
    assert "has bottlenecks already, as at relu1.bottleneck" in said


@pytest.mark.parametrize(
    "x", [np.float32(3), np.array([[1e300]]), np.zeros((0, 4)), np.array(["a"])]
)
def test_rows_that_are_none(tmp_path: Path, x: Any) -> None:
    np.savez(tmp_path / "x.npz", x=x)
    with pytest.raises(InputError, match="must be rows of finite numbers"):
        load_rows(tmp_path / "x.npz")


def test_a_file_that_says_it_is_huge_is_not_read(tmp_path: Path) -> None:
    header = b"\x93NUMPY\x01\x00"
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 1000), }"
    text += b" " * (64 - (len(header) + 3 + len(text)) % 64) + b"\n"
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("x.npy", header + len(text).to_bytes(2, "little") + text)
    with pytest.raises(StorageError, match="cannot be read"):
        load_rows(tmp_path / "x.npz")


def test_a_file_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((1000, 100)))
    load_rows(tmp_path / "x.npz")
    assert MAX_DATA_BYTES > 1 << 30
    monkeypatch.setattr("bitwright.inputs.MAX_DATA_BYTES", 100_000)
    with pytest.raises(BitwrightError, match="unpacks to 800,"):
        load_rows(tmp_path / "x.npz")


def test_the_command_line_knows_every_choice() -> None:
    hints = typing.get_type_hints(Settings)
    module = sys.modules["bitwright.cli.bottleneck"]
    assert callable(command)
    assert module.Coefficients == hints["coefficients"]
    assert module.Allocation == hints["allocation"]
    assert module.Method == hints["method"]
