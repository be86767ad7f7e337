"""The plot of rate-distortion curves: what its lines, rings and notes say."""

from pathlib import Path

import numpy as np
import pytest

from bitwright.models.errors import InputError, StorageError
from bitwright.models.layers import Activations, Curve, plot_curves, rate_distortion


@pytest.fixture(scope="module")
def curves() -> dict[str, Curve]:
    rng = np.random.default_rng(0)
    real = Activations.of(np.abs(rng.normal(size=500)))
    whole = Activations.of(rng.integers(0, 15, 500) * 0.25)
    return {
        "act1": rate_distortion(real, 0.125, 5),
        "act2": rate_distortion(whole, 0.25, 4),
    }


def test_each_layer_shows_both_kinds(curves: dict[str, Curve], tmp_path: Path) -> None:
    chosen = {"act1": curves["act1"].at_rate(3)}
    figure = plot_curves(curves, tmp_path / "rd.png", chosen=chosen)
    assert (tmp_path / "rd.png").read_bytes().startswith(b"\x89PNG")
    for panel, (name, curve) in zip(figure.axes, curves.items(), strict=True):
        assert panel.get_title() == f"behind {name}"
        lines = {line.get_label(): line for line in panel.lines}
        finite = [p for p in curve.bitplanes if p.mse > 0]
        assert lines["bit planes"].get_xdata() == pytest.approx([p.bits for p in finite])
        assert lines["bit planes"].get_ydata() == pytest.approx([p.psnr for p in finite])
        assert lines["uniform, best clip"].get_ydata()[0] == curve.uniform[0].psnr
        assert ("chosen" in lines) == (name == "act1")
    # What loses nothing stands on a line of its own, above all else.
    assert not any(text.get_text() == "exact" for text in figure.axes[0].texts)
    (exact,) = (t.xy[1] for t in figure.axes[1].texts if t.get_text() == "exact")
    assert exact > max(p.psnr for p in curves["act1"].uniform)
    (first,) = (p.bits for p in curves["act2"].bitplanes if p.mse == 0)
    assert any(
        line.get_xdata()[-1] == first and line.get_ydata()[-1] == exact
        for line in figure.axes[1].lines
        if line.get_marker() == "o" and line.get_markersize() == 5
    )


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_equal_curves_make_equal_files(curves: dict[str, Curve], tmp_path: Path, kind: str) -> None:
    made = [tmp_path / f"{number}.{kind}" for number in range(2)]
    for file in made:
        plot_curves(curves, file)
    assert made[0].read_bytes() == made[1].read_bytes()


def test_a_chosen_point_that_loses_nothing_is_ringed(curves: dict[str, Curve]) -> None:
    chosen = {"act2": curves["act2"].bitplanes[-1]}
    assert chosen["act2"].mse == 0
    (panel,) = plot_curves({"act2": curves["act2"]}, chosen=chosen).axes
    (ring,) = (line for line in panel.lines if line.get_label() == "chosen")
    assert list(ring.get_xdata()) == [chosen["act2"].bits]
    assert np.isfinite(ring.get_ydata()).all()


def test_a_picture_that_cannot_be_written_is_one_sentence(
    curves: dict[str, Curve], tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        plot_curves(curves, tmp_path / "missing" / "rd.png")
    with pytest.raises(StorageError, match="cannot be written"):
        plot_curves(curves, tmp_path / "rd.nonsense")
    with pytest.raises(InputError, match="no curves"):
        plot_curves({})
