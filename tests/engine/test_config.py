"""Settings of training: their ranges, and the settings of stages."""

import pytest

from cliptune.engine.config import TrainConfig
from cliptune.errors import UserError


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"epochs": -1}, "epochs must be at least 0, got -1"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"lr": 0.0}, "lr must be positive, got 0.0"),
        ({"momentum": -0.9}, "momentum must be at least 0, got -0.9"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0"),
        ({"warmup_epochs": -1}, "warmup_epochs must be at least 0"),
        ({"warmup_lr": -1e-5}, "warmup_lr must be at least 0"),
        ({"workers": -1}, "workers must be from 0 to 1024"),
        ({"cached_views": -1}, "cached_views must be at least 0"),
        ({"eps": 0.0}, "eps must be positive, got 0.0"),
        ({"lr": 0.1, "min_lr": 0.2}, "min_lr must be at most lr=0.1, got 0.2"),
        ({"steps": 5, "steps_per_shot": 5}, "steps=5 and steps_per_shot=5 exclude each other"),
        ({"crop_scale": 1.0}, "crop_scale must be below 1, got 1.0; augment=flip takes the whole image"),
    ],
)
def test_settings_out_of_range_are_refused(options, reason):
    with pytest.raises(UserError, match=reason):
        TrainConfig(**options)


def test_steps_per_shot_and_shares_of_stages():
    training = TrainConfig(steps_per_shot=300)
    assert training.for_shots(4) == TrainConfig(steps=1200)
    assert training.for_shots(4).for_stage(None, 0.6) == TrainConfig(steps=720)
    assert TrainConfig(epochs=5).for_stage(None, 0.5) == TrainConfig(epochs=2)
    assert TrainConfig(epochs=1).for_stage(None, 0.4) == TrainConfig(epochs=1)
    assert TrainConfig(epochs=0).for_stage(None, 0.4) == TrainConfig(epochs=0)
    assert training.for_stage(7, 1) == TrainConfig(epochs=7)
    assert TrainConfig(epochs=4, min_steps=100).for_stage(None, 0.5) == TrainConfig(epochs=2, min_steps=50)
    assert TrainConfig(epochs=4, min_steps=100).for_stage(7, 1) == TrainConfig(epochs=7)


def test_epochs_of_few_images():
    training = TrainConfig(epochs=4, min_steps=100)
    assert [training.count_epochs(steps) for steps in (1, 3, 24, 25, 50)] == [100, 34, 5, 4, 4]
    assert TrainConfig(epochs=0, min_steps=100).count_epochs(1) == 0
    assert TrainConfig(epochs=4, steps=7, min_steps=100).count_epochs(2) == 4
