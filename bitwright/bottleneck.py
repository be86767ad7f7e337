"""Bitwise bottlenecks for a network of a user's: measured, put in, and a folder to go on from."""

import copy
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import torch

from bitwright.inputs import Rows, load_rows
from bitwright.models.data_files import DATASETS, FOLDER_VARIABLE, load_dataset
from bitwright.models.errors import InputError
from bitwright.models.graph.storage import replaced_folder
from bitwright.models.layers import BitwiseBottleneck, BottleneckReport, insert, plot_curves
from bitwright.models.layers.allocation import Method
from bitwright.models.layers.rate_distortion import Kind
from bitwright.models.lower import load_model
from bitwright.report import to_json

if TYPE_CHECKING:
    from torch import nn

MARKER = "bottlenecks.json"
"""The report, and the file by which a folder of bottlenecks is known."""

KINDS: tuple[Kind, ...] = ("bitplanes", "uniform")
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Settings:
    """What is asked of the bottlenecks; the fields are arguments of `models.layers.insert`.

    Give either rate, average bits per activation, or psnr_floor, in dB for every layer. method:
    exact best subsets of planes, or the paper's Lasso. planes_only: bit planes even where the
    uniform quantiser of as many bits is better.
    """

    rate: float | None = None
    psnr_floor: float | None = None
    coefficients: Literal["general", "power_of_two"] = "general"
    allocation: Method = "ilp"
    method: Literal["subset", "lasso"] = "subset"
    paths: Sequence[str] | None = None
    source_bits: int | None = None
    power_of_two_scale: bool = False
    planes_only: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Calibration:
    """Rows whose activations are measured, and rows to tell the accuracy on.

    dataset: the name of the data set, where it is one. source: what to call it in reports.
    """

    x: npt.NDArray[np.float32]
    test: Rows | None
    source: str
    dataset: str | None = None


@dataclass(frozen=True, slots=True)
class Bottlenecks:
    """What was made.

    accuracy: of the network as "given", with the "bottlenecks" that were chosen, and with nothing
    but "uniform" codes or "bitplanes" of at most as many bits in every layer, all before any
    fine-tuning; empty without classes.
    """

    folder: Path
    report: BottleneckReport
    files: tuple[str, ...]
    calibration: str
    accuracy: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "rate": self.report.rate,
            "calibration": self.calibration,
            "accuracy": self.accuracy,
            "layers": self.report.rows(),
            "files": list(self.files),
        }


def load_calibration(data: str, rows: int) -> Calibration:
    """Rows of an .npz or .npy file, or of a data set by its name; evenly spaced if there are more.

    A file's rows are also what the accuracy is told on, if they have classes; a data set's test
    rows are. Raises InputError or StorageError as `load_rows` and `load_dataset`, and for no rows.
    """
    if rows < 1:
        raise InputError(f"{rows} rows to calibrate on: give at least 1")
    if data in DATASETS and not Path(data).exists():
        if data != "digits" and not os.environ.get(FOLDER_VARIABLE):
            raise InputError(
                f"data set {data} is read from files: set {FOLDER_VARIABLE} to their folder"
            )
        known = load_dataset(data)
        x, test = known.x_train, Rows(known.x_test, known.y_test)
        return Calibration(_spaced(x, rows), test, known.source, data)
    if not data.endswith((".npz", ".npy")):
        raise InputError(
            f"there are no data {data!r}: give an .npz file with rows x, or one of "
            f"{', '.join(DATASETS)}"
        )
    found = load_rows(Path(data))
    labelled = found if found.y is not None else None
    return Calibration(_spaced(found.x, rows), labelled, Path(data).name)


def put_in(
    source: str,
    weights: Path | None,
    calibration: Calibration,
    out: Path,
    settings: Settings = Settings(),
) -> Bottlenecks:
    """Put bottlenecks into the network of "file.py:factory", and write a folder.

    It gets network.py (`network` makes the network with bottlenecks, for every command), weights.pt
    (its state_dict), bottlenecks.json, rate_distortion.png and .svg, and for a data set
    finetune.toml (a recipe for `bitwright train`).

    Raises:
        BitwrightError: what the user can mend. A folder of bottlenecks that was there still is.
    """
    model = load_model(source, weights)
    made, report = insert(
        model,
        torch.split(torch.from_numpy(calibration.x), _BATCH),
        rate=settings.rate,
        psnr_floor=settings.psnr_floor,
        paths=settings.paths,
        source_bits=settings.source_bits,
        power_of_two_scale=settings.power_of_two_scale,
        coefficients=_coefficients(settings),
        kinds=("bitplanes",) if settings.planes_only else KINDS,
        method=settings.allocation,
    )
    accuracy = {}
    if (test := calibration.test) is not None:
        accuracy = {"given": _accuracy(model, test), "bottlenecks": _accuracy(made, test)}
        for kind in KINDS:
            accuracy[kind] = _accuracy(_with_only(kind, made, report), test)
    state = io.BytesIO()  # torch's own errors when a disk is full are no OSError
    torch.save(made.state_dict(), state)
    texts = {"network.py": _network_file(source, out, [layer.path for layer in report.layers])}
    if calibration.dataset is not None:
        texts["finetune.toml"] = _FINETUNE.format(data=calibration.dataset)
    pictures = ("rate_distortion.png", "rate_distortion.svg")
    result = Bottlenecks(
        out, report, (*texts, "weights.pt", MARKER, *pictures), calibration.source, accuracy
    )
    with replaced_folder(out, MARKER) as fresh:
        (fresh / "weights.pt").write_bytes(state.getvalue())
        for name, text in texts.items():
            (fresh / name).write_text(text, encoding="utf-8")
        (fresh / MARKER).write_text(to_json(result.as_dict()), encoding="utf-8")
        for name in pictures:
            plot_curves(
                {layer.path: layer.curve for layer in report.layers},
                fresh / name,
                chosen={layer.path: layer.chosen for layer in report.layers},
            )
    return result


def _coefficients(settings: Settings) -> Literal["general", "power_of_two", "lasso"]:
    if settings.method == "subset":
        return settings.coefficients
    if settings.coefficients != "general":
        raise InputError(
            f"the Lasso has general coefficients, not {settings.coefficients}: choose the subset "
            "method for those"
        )
    return "lasso"


def _with_only(kind: Kind, made: "nn.Module", report: BottleneckReport) -> "nn.Module":
    other = copy.deepcopy(made)
    for layer in report.layers:
        point = layer.curve.at_rate(layer.chosen.bits, (kind,))
        bottleneck = other.get_submodule(layer.path).get_submodule("bottleneck")
        assert isinstance(bottleneck, BitwiseBottleneck)
        bottleneck.quantiser = point.quantiser
    return other


def _spaced(x: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.float32]:
    """At most so many rows: not the first ones, which may all be of one class."""
    return x[np.linspace(0, len(x) - 1, min(count, len(x))).astype(np.int64)]


def _accuracy(model: "nn.Module", rows: Rows) -> float:
    model.eval()
    assert rows.y is not None
    right = 0
    with torch.no_grad():
        parts = (torch.split(torch.from_numpy(part), 256) for part in (rows.x, rows.y))
        for x, y in zip(*parts, strict=True):
            scores = model(x)
            scores = getattr(scores, "value", scores)
            right += int((scores.flatten(1).argmax(1) == y).sum())
    return right / len(rows.x)


_FINETUNE = """\
# Trains the network with its bottlenecks, whose coefficients stay as they are:
#
#   bitwright train finetune.toml -o tuned
#
# Rate and epochs are the paper's (Bitwise Bottleneck, AAAI 2021).
model = "network.py:network"
data = "{data}"

[arguments]
trained = true

[training]
epochs = 5
learning_rate = 1e-4
"""


def _network_file(source: str, out: Path, paths: Sequence[str]) -> str:
    file, _, function = source.rpartition(":")
    relative = os.path.relpath(Path(file).resolve(), os.path.realpath(out))
    return f'''\
"""A network with bitwise bottlenecks behind its activations; weights.pt beside it is its state."""

from pathlib import Path

from bitwright.models.layers import place
from bitwright.models.lower import load_model

HERE = Path(__file__).resolve().parent
SOURCE = HERE / {relative!r}
BEHIND = {list(paths)!r}


def network(trained=False):
    """trained: with the weights of weights.pt, and not only the places for them."""
    if trained:
        return load_model(f"{{HERE / 'network.py'}}:network", HERE / "weights.pt")
    return place(load_model(f"{{SOURCE}}:{function}"), BEHIND)[0]
'''
