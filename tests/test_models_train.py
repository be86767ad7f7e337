"""Training: the same weights every time, also after a kill; pruning; refusals."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from brevitas import nn as qnn
from brevitas.quant import fixed_point
from torch import nn

from bitwright.models import train as training
from bitwright.models.checkpoints import save_tensors
from bitwright.models.data import Dataset
from bitwright.models.errors import InputError, StorageError
from bitwright.models.layers import TiledLinear, Tiling
from bitwright.models.train import Recipe, Trained, accuracy, train
from bitwright.search.network import switch_off

torch.set_num_threads(1)


def network() -> nn.Module:
    torch.manual_seed(5)
    act = fixed_point.Uint8ActPerTensorFixedPointMaxInit
    return nn.Sequential(
        OrderedDict(
            inp=qnn.QuantIdentity(act_quant=act, bit_width=4, max_val=1.0),
            fc1=qnn.QuantLinear(6, 12, bias=False, weight_bit_width=4),
            bn=nn.BatchNorm1d(12),
            act=qnn.QuantReLU(act_quant=act, bit_width=3, max_val=2.0),
            drop=nn.Dropout(0.1),
            fc2=qnn.QuantLinear(12, 3, bias=True, weight_bit_width=4),
        )
    )


def blobs(seed: int = 0) -> Dataset:
    """Three clouds of points in six dimensions."""
    rng = np.random.default_rng(seed)
    y = np.arange(240) % 3
    x = rng.normal(0, 0.1, (240, 6)) + np.eye(3).repeat(2, axis=1)[y] * 0.5
    x = x.clip(0, 1).astype(np.float32)
    return Dataset(x[:180], y[:180], x[180:], y[180:], ("a", "b", "c"), f"blobs {seed}")


RECIPE = Recipe(epochs=6, batch=16, learning_rate=2e-2, seed=3, sparsity={"fc1": 0.5})


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def run(recipe: Recipe = RECIPE, **kwargs: object) -> tuple[nn.Module, Trained]:
    model = network()
    return model, train(model, blobs(), recipe, **kwargs)  # type: ignore[arg-type]


def test_it_learns_and_says_how_well() -> None:
    model, result = run()
    assert result.losses[-1] < result.losses[0] / 2
    assert result.accuracy > 0.9
    assert not model.training
    assert accuracy(model, blobs().x_test, blobs().y_test) == result.accuracy


def test_one_seed_makes_one_network_and_leaves_the_global_one_alone() -> None:
    torch.manual_seed(123)
    expected = torch.rand(1)
    first, one = run()
    torch.manual_seed(99)  # what came before must not matter
    second, two = run()
    assert one == two
    assert same(weights(first), weights(second))
    other, _ = run(Recipe(epochs=6, batch=16, learning_rate=2e-2, seed=4))
    assert not same(weights(first), weights(other))
    model = network()
    torch.manual_seed(123)
    train(model, blobs(), RECIPE)
    assert torch.equal(torch.rand(1), expected)


def test_a_killed_run_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uninterrupted, expected = run()
    checkpoint = tmp_path / "deep" / "run.pt"
    whole = training._epoch

    def killed(model: nn.Module, *rest: object) -> float:
        if rest[4] == 4:  # the fifth epoch
            raise KeyboardInterrupt
        return whole(model, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=checkpoint)
    monkeypatch.undo()
    assert [path.name for path in checkpoint.parent.iterdir()] == ["run.pt"]
    resumed, result = run(checkpoint=checkpoint)
    assert result == expected
    assert same(weights(resumed), weights(uninterrupted))
    # A finished run is only loaded.
    again, result = run(checkpoint=checkpoint)
    assert result == expected and same(weights(again), weights(uninterrupted))


@pytest.mark.parametrize(
    "changes",
    [
        {"optimiser": "sgd", "learning_rate": 0.1, "weight_decay": 1e-4},
        {"optimiser": "adadelta", "learning_rate": 1.0, "schedule": "constant"},
        {"schedule": "step", "step_epochs": 2, "step_factor": 0.5},
    ],
    ids=["sgd", "adadelta", "step"],
)
def test_every_optimiser_and_schedule_learns_and_resumes(
    changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(**{"epochs": 6, "batch": 16, "learning_rate": 2e-2, **changes})
    model, expected = run(recipe)
    assert expected.losses[-1] < expected.losses[0] / 2 and expected.accuracy > 0.9
    whole = training._epoch

    def killed(model: nn.Module, *rest: Any) -> float:
        if rest[4] == 3:
            raise KeyboardInterrupt
        return whole(model, *rest)

    monkeypatch.setattr(training, "_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, checkpoint=tmp_path / "run.pt")
    monkeypatch.undo()
    resumed, result = run(recipe, checkpoint=tmp_path / "run.pt")
    assert result == expected and same(weights(resumed), weights(model))


def test_momentum_and_weight_decay_change_what_is_learned() -> None:
    plain = run(Recipe(epochs=1, optimiser="sgd", momentum=0.0))[1]
    assert run(Recipe(epochs=1, optimiser="sgd", momentum=0.5))[1].losses != plain.losses
    decayed = Recipe(epochs=1, optimiser="sgd", momentum=0.0, weight_decay=0.5)
    assert run(decayed)[1].losses != plain.losses


def test_the_rate_over_time() -> None:
    def rates(**settings: Any) -> list[float]:
        recipe = Recipe(epochs=4, learning_rate=1.0, **settings)
        return [round(training._rate(recipe, epoch), 4) for epoch in (0, 1, 1.99, 2, 4)]

    assert rates(schedule="constant") == [1.0] * 5
    assert rates(schedule="step", step_epochs=2, step_factor=0.25) == [1, 1, 1, 0.25, 0.0625]
    assert rates() == [1.0, 0.8536, 0.5039, 0.5, 0.0]


def test_crops_and_flips_are_shifted_copies() -> None:
    images = torch.arange(1.0, 1 + 64 * 2 * 5 * 6).reshape(64, 2, 5, 6)
    torch.manual_seed(0)
    made = training._augmented(images, Recipe(augmentation="crop_flip"))
    assert made.shape == images.shape
    padded = torch.nn.functional.pad(images, (4, 4, 4, 4))
    windows = [
        torch.flip(padded[..., y : y + 5, x : x + 6], [3] if mirror else [])
        for y in range(9) for x in range(9) for mirror in (False, True)
    ]  # fmt: skip
    equal = torch.stack([(made == window).flatten(1).all(1) for window in windows])
    assert (equal.sum(0) >= 1).all()  # each is one of them
    assert (equal.sum(1) > 0).sum() > 30  # and they differ
    torch.manual_seed(0)
    assert torch.equal(made, training._augmented(images, Recipe(augmentation="crop_flip")))
    assert training._augmented(images, Recipe()) is images


def test_augmentation_is_for_images() -> None:
    with pytest.raises(InputError, match=r"needs images, .* not rows of shape \(6,\)"):
        run(Recipe(augmentation="crop_flip"))


def test_tiled_layers_are_told_how_far_training_is() -> None:
    layer = TiledLinear(6, 4, tiling=Tiling(2, min_compress_size=1, estimator="reste"))
    model = nn.Sequential(layer, nn.BatchNorm1d(4))
    assert layer.power == 1.0
    train(model, blobs(), Recipe(epochs=2, batch=60))
    assert 2.5 < layer.power < 3.0


def test_a_device_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    for name in ("tpu9", "xpu:7"):
        with pytest.raises(
            InputError, match=rf"device '{name}' cannot be used \(.*train on the cpu"
        ):
            run(device=name)
    model, result = run(device="cpu")
    assert result == run()[1] and next(model.parameters()).device.type == "cpu"


def test_accuracy_is_the_same_in_any_batches() -> None:
    model, data = network().eval(), blobs()
    every = {accuracy(model, data.x_test, data.y_test, batch) for batch in (7, 60, 1000)}
    assert len(every) == 1


def test_a_kill_while_writing_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "run.pt"
    run(Recipe(epochs=1), checkpoint=checkpoint)
    before = checkpoint.read_bytes()

    def fails(state: object, file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fails)
    with pytest.raises(StorageError, match=r"cannot write the checkpoint .*No space left"):
        save_tensors(checkpoint, {"identity": "x"}, "checkpoint")
    assert checkpoint.read_bytes() == before
    assert list(tmp_path.iterdir()) == [checkpoint]


def test_the_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.pt"
    run(Recipe(epochs=1), checkpoint=checkpoint)
    before = checkpoint.read_bytes()
    with pytest.raises(StorageError, match="of a run with other data, layers or settings"):
        run(Recipe(epochs=2), checkpoint=checkpoint)
    with pytest.raises(StorageError, match="of a run with other data"):
        train(network(), blobs(1), Recipe(epochs=1), checkpoint=checkpoint)
    assert checkpoint.read_bytes() == before
    state = torch.load(checkpoint, weights_only=True)
    del state["best"]
    torch.save(state, checkpoint)
    with pytest.raises(StorageError, match=r"lacks best, as an earlier version .* delete it"):
        run(Recipe(epochs=1), checkpoint=checkpoint)
    checkpoint.write_bytes(before[: len(before) // 2])
    with pytest.raises(StorageError, match=r"is damaged .*: delete it to train anew"):
        run(Recipe(epochs=1), checkpoint=checkpoint)


def test_the_best_weights_of_a_float_network_come_back() -> None:
    """Its switched-off quantiser of signed inputs has seen nothing, and is in no state_dict."""
    signed = fixed_point.Int8ActPerTensorFixedPoint
    model = nn.Sequential(qnn.QuantIdentity(act_quant=signed), network())
    train(switch_off(model), blobs(0), Recipe(epochs=3), patience=1)
    assert not any("scaling_impl.value" in name for name in model[0].state_dict())


def test_pruning_reaches_its_share_and_keeps_the_largest() -> None:
    model, _ = run()
    assert isinstance(model.fc1.weight, torch.Tensor)
    assert int((model.fc1.weight == 0).sum()) == round(0.5 * 72)
    assert int((model.fc2.weight == 0).sum()) == 0
    shares = [
        training._sparsity_now(Recipe(epochs=100, sparsity={"a": 0.8}), "a", e) for e in range(100)
    ]
    assert shares[0] == 0 and shares == sorted(shares)
    assert shares[68] < shares[70] == pytest.approx(0.8) == shares[99]
    mask = training.magnitude_mask(torch.tensor([[3.0, -1.0], [0.5, -4.0]]), 0.5)
    assert mask.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (lambda: Recipe(epochs=0), "all must be above 0"),
        (lambda: Recipe(learning_rate=0.0), "all must be above 0"),
        (lambda: Recipe(noise=-0.1), "a noise of -0.1"),
        (lambda: Recipe(optimiser="lion"), "optimiser 'lion': choose from adam, sgd, adadelta"),  # type: ignore[arg-type]
        (lambda: Recipe(schedule="linear"), "schedule 'linear': choose from"),  # type: ignore[arg-type]
        (lambda: Recipe(augmentation="cutout"), "augmentation 'cutout': choose from none"),  # type: ignore[arg-type]
        (lambda: Recipe(momentum=1.0), "a momentum of 1.0"),
        (lambda: Recipe(weight_decay=-1.0), "a weight decay of -1.0"),
        (lambda: Recipe(step_epochs=0), "a factor of 1.0 every 0 epochs"),
        (lambda: Recipe(sparsity={"fc1": 1.0}), "a sparsity of 1.0 for fc1 is outside 0..1"),
        (lambda: Recipe(sparsity={"fc9": 0.5}), "'fc9', which has no weights"),
        (
            lambda: Recipe(epochs=3, learning_rate=1e30),
            "the loss became .* lower the learning rate",
        ),
    ],
)
def test_bad_recipes(recipe: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(recipe())  # type: ignore[operator]


def test_a_network_whose_scales_were_never_collected_gets_its_best_weights_back() -> None:
    """As the search's float networks, whose quantisers are off while they are trained."""
    collecting = fixed_point.Uint8ActPerTensorFixedPoint
    model = nn.Sequential(nn.Linear(6, 12), qnn.QuantReLU(act_quant=collecting), nn.Linear(12, 3))
    state = model.state_dict()
    with pytest.raises(RuntimeError, match="Missing key"):
        model.load_state_dict(state)

    switch_off(model)
    done = train(model, blobs(), Recipe(epochs=8, batch=16, learning_rate=2e-2), patience=2)
    assert done.accuracy == accuracy(model, blobs().x_test, blobs().y_test) > 0.9
