"""Data sets: arrays split into training and test rows, with the classes' names."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitwright.models.errors import InputError


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs as float32, (rows, *shape of one example), and classes as int64, (rows,)."""

    x_train: npt.NDArray[np.float32]
    y_train: npt.NDArray[np.int64]
    x_test: npt.NDArray[np.float32]
    y_test: npt.NDArray[np.int64]
    labels: tuple[str, ...]
    """The classes' names, by class."""
    source: str
    """Where the data come from, for reports."""

    def __post_init__(self) -> None:
        for part, x, y in (
            ("train", self.x_train, self.y_train),
            ("test", self.x_test, self.y_test),
        ):
            if len(x) == 0 or y.shape != (len(x),):
                raise InputError(
                    f"{part} data of shapes {x.shape} and {y.shape}: give one class a row"
                )
            if not np.isfinite(x).all():
                raise InputError(f"{part} data hold NaN or infinite values: clean them first")
            if not (y.min() >= 0 and y.max() < len(self.labels)):
                raise InputError(
                    f"{part} classes {y.min()}..{y.max()} do not fit {len(self.labels)} labels"
                )
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            raise InputError(
                f"training rows have shape {self.x_train.shape[1:]}, test rows "
                f"{self.x_test.shape[1:]}: make them equal"
            )


def digits(test_share: float = 0.25, seed: int = 0) -> Dataset:
    """Scikit-learn's bundled handwritten digits: 1,797 images of 64 pixels, scaled to 0..1.

    UCI's "Optical Recognition of Handwritten Digits", test part (E. Alpaydin, C. Kaynak, 1998).
    The split depends on the arguments only and keeps the share of every class.
    """
    from sklearn.datasets import load_digits

    pixels, classes = load_digits(return_X_y=True)
    x = (pixels / 16.0).astype(np.float32)
    y = classes.astype(np.int64)
    test = stratified_rows(y, test_share, seed)
    train = np.setdiff1d(np.arange(len(y)), test)
    return Dataset(
        x[train], y[train], x[test], y[test], tuple("0123456789"), "scikit-learn digits (UCI)"
    )


def held_out(data: Dataset, share: float, seed: int) -> Dataset:
    """Training rows alone: a share of every class (by the seed) as test rows, the rest to train on.

    What is chosen by such rows has never seen the test set. Raises InputError for a share outside
    0..1 (both excluded).
    """
    kept = stratified_rows(data.y_train, share, seed)
    rest = np.setdiff1d(np.arange(len(data.y_train)), kept)
    x, y = data.x_train, data.y_train
    source = f"{data.source}, {share:g} of the training rows held out"
    return Dataset(x[rest], y[rest], x[kept], y[kept], data.labels, source)


def stratified_rows(y: npt.NDArray[np.int64], share: float, seed: int) -> npt.NDArray[np.int64]:
    """Sorted row numbers: of every class the given share (rounded), chosen by the seed.

    Raises InputError for a share outside 0..1 (both excluded).
    """
    if not 0 < share < 1:
        raise InputError(f"a test share of {share} is outside 0..1")
    rng = np.random.default_rng(seed)
    chosen = [
        rng.permutation(rows)[: round(share * len(rows))]
        for rows in (np.flatnonzero(y == c) for c in np.unique(y))
    ]
    return np.sort(np.concatenate(chosen))
