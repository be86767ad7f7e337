"""A user's file and state_dict: what works, and one sentence for everything that does not."""

import pickle
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from bitwright.models.errors import BitwrightError, InputError, StorageError
from bitwright.models.lower import load_model

torch.set_num_threads(1)

FILE = """
from dataclasses import dataclass

import torch
from brevitas import nn as qnn
from brevitas.quant import Uint8ActPerTensorFloatMaxInit as Act

from beside import WIDTH


@dataclass
class Sizes:
    inputs: int = 4
    outputs: int = WIDTH


def net():
    return torch.nn.Sequential(
        qnn.QuantIdentity(act_quant=Act, bit_width=4, max_val=1.0),
        qnn.QuantLinear(Sizes().inputs, Sizes().outputs, bias=True),
    )


def number():
    return 3


def broken():
    raise ZeroDivisionError("no\\nluck")


def greedy(size):
    return net()


CONSTANT = 5
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text("WIDTH = 3\n")
    (tmp_path / "net.py").write_text(FILE)
    return tmp_path / "net.py"


def test_a_factory_and_its_weights(file: Path, tmp_path: Path) -> None:
    trained = load_model(f"{file}:net")
    with torch.no_grad():
        trained[1].weight.fill_(0.25)
    torch.save(trained.state_dict(), tmp_path / "x.pt")
    paths, modules = list(sys.path), set(sys.modules)
    loaded = load_model(f"{file}:net", tmp_path / "x.pt")
    assert torch.equal(loaded[1].weight, trained[1].weight)
    assert sys.path == paths
    assert "net" not in set(sys.modules) - modules


def test_two_files_of_one_name(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "net.py").write_text("import torch\ndef net():\n    return torch.nn.Identity()\n")
    assert isinstance(load_model(f"{other}/net.py:net"), nn.Identity)
    assert isinstance(load_model(f"{file}:net"), nn.Sequential)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("missing", "has no function 'missing': it defines Sizes, net, number, broken, greedy"),
        ("CONSTANT", "has no function 'CONSTANT'"),
        ("number", "returned a int: let it return the torch.nn.Module"),
        ("broken", "raised ZeroDivisionError: no"),
        ("greedy", "raised TypeError: greedy() missing 1 required positional argument"),
        ("", "give a file and a function, such as net.py:make_net"),
        ("a-b", "give a file and a function"),
    ],
)
def test_a_bad_factory(file: Path, factory: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        load_model(f"{file}:{factory}")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("absent.py", None, "does not exist"),
        ("net.txt", "x = 1", "its name must end in .py"),
        ("bad.py", "def net(:\n", "raised SyntaxError"),
        ("bad.py", "import no_such_package\n", "raised ModuleNotFoundError"),
        ("bad.py", "raise SystemExit(1)\n", "raised SystemExit"),
    ],
)
def test_a_bad_file(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    before = set(sys.modules)
    with pytest.raises(InputError, match=message):
        load_model(f"{tmp_path / name}:net")
    assert not {n for n in set(sys.modules) - before if n.startswith("bitwright_user")}
    with pytest.raises(InputError, match="give a file and a function"):
        load_model(str(tmp_path / name))


SCALE = "0.act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl.value"


def weights(path: Path, kind: str) -> object:
    good = {"1.weight": torch.zeros(3, 4), "1.bias": torch.zeros(3), SCALE: torch.tensor(1.0)}
    match kind:
        case "missing":
            return None
        case "text":
            path.write_text("not a checkpoint")
        case "empty":
            path.write_bytes(b"")
        case "truncated":
            torch.save(good, path)
            path.write_bytes(path.read_bytes()[:-200])
        case "pickle":
            path.write_bytes(pickle.dumps(Path("x")))
        case "module":
            torch.save(nn.Linear(2, 2), path)
        case "folder":
            path.mkdir()
        case "list":
            torch.save([torch.zeros(3)], path)
        case "checkpoint":
            torch.save({"model": good, "epoch": torch.tensor(3)}, path)
        case "numbers":
            torch.save({"1.weight": 3}, path)
        case "keys":
            torch.save({**good, "2.weight": torch.zeros(1)}, path)
        case "less":
            torch.save({k: v for k, v in good.items() if k != "1.bias"}, path)
        case "uncalibrated":
            torch.save({k: v for k, v in good.items() if k != SCALE}, path)
        case "shape":
            torch.save({**good, "1.weight": torch.zeros(3, 5)}, path)
    return None


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("missing", StorageError, "do not exist"),
        ("text", StorageError, "cannot be read as tensors"),
        ("empty", StorageError, "cannot be read as tensors"),
        ("truncated", StorageError, "cannot be read as tensors"),
        ("pickle", StorageError, "cannot be read as tensors"),
        ("module", StorageError, "cannot be read as tensors"),
        ("folder", StorageError, "cannot be read as tensors"),
        ("list", StorageError, "are no state_dict: save torch.save(model.state_dict(), path)"),
        ("checkpoint", StorageError, "are no state_dict (it holds 'model': is it a checkpoint?)"),
        ("numbers", StorageError, "are no state_dict"),
        ("keys", InputError, "unexpected 2.weight"),
        ("less", InputError, "makes: missing 1.bias"),
        ("uncalibrated", InputError, "the activations were never calibrated"),
        ("shape", InputError, "size mismatch for 1.weight"),
    ],
)
def test_bad_weights(
    file: Path, tmp_path: Path, kind: str, error: type[BitwrightError], message: str
) -> None:
    path = tmp_path / "x.pt"
    weights(path, kind)
    with pytest.raises(error) as raised:
        load_model(f"{file}:net", path)
    assert message in str(raised.value)
    assert "nothing" not in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_code_in_a_weights_file_is_not_run(file: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save(Evil(), tmp_path / "x.pt")
    with pytest.raises(StorageError):
        load_model(f"{file}:net", tmp_path / "x.pt")
    assert not (tmp_path / "ran").exists()
