"""The digits and their split."""

import numpy as np
import pytest

from bitwright.models.data import Dataset, digits, stratified_rows
from bitwright.models.errors import InputError


def test_digits_split_in_equal_shares_of_every_class() -> None:
    data = digits()
    assert data.x_train.dtype == np.float32 and data.y_train.dtype == np.int64
    assert len(data.x_train) + len(data.x_test) == 1797
    assert data.x_train.shape[1:] == data.x_test.shape[1:] == (64,)
    assert data.x_train.min() == 0.0 and data.x_train.max() == 1.0
    for c in range(10):
        test, train = (data.y_test == c).sum(), (data.y_train == c).sum()
        assert abs(test - 0.25 * (test + train)) <= 0.5


def test_digits_are_the_same_every_time_and_no_row_is_in_both() -> None:
    one, two, other = digits(), digits(), digits(seed=1)
    assert np.array_equal(one.x_test, two.x_test) and np.array_equal(one.y_train, two.y_train)
    assert not np.array_equal(one.x_test, other.x_test)
    # The split itself, so that accuracies of different versions compare.
    y = np.arange(40) % 4
    assert stratified_rows(y, 0.3, seed=7).tolist() == [0, 3, 9, 17, 18, 26, 28, 30, 32, 33, 35, 39]
    whole = np.concatenate([one.x_train, one.x_test]).sum(dtype=np.float64)
    assert whole == pytest.approx(
        np.concatenate([other.x_train, other.x_test]).sum(dtype=np.float64)
    )


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, 2.0])
def test_a_share_must_leave_rows_on_both_sides(share: float) -> None:
    with pytest.raises(InputError, match=r"outside 0\.\.1"):
        digits(test_share=share)


def dataset(**changes: object) -> Dataset:
    x, y = np.zeros((4, 3), np.float32), np.array([0, 1, 0, 1])
    parts = {"x_train": x, "y_train": y, "x_test": x[:2], "y_test": y[:2], "labels": ("a", "b")}
    return Dataset(**{**parts, "source": "none", **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_train": np.array([0, 1])}, "one class a row"),
        ({"x_test": np.zeros((0, 3), np.float32), "y_test": np.zeros(0, int)}, "one class a row"),
        ({"x_test": np.full((2, 3), np.nan, np.float32)}, "test data hold NaN"),
        ({"y_test": np.array([0, 2])}, r"test classes 0..2 do not fit 2 labels"),
        ({"x_test": np.zeros((2, 4), np.float32)}, r"training rows have shape \(3,\), test rows"),
    ],
)
def test_bad_data(changes: dict[str, object], message: str) -> None:
    assert dataset().labels == ("a", "b")
    with pytest.raises(InputError, match=message):
        dataset(**changes)
