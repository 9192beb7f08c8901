"""The choice of the best epoch by validation accuracy."""

from dataclasses import dataclass, replace

import pytest
import torch

import tiny_clips
from cliptune.methods.coop import CoOp
from tiny_tasks import QUICK, learned, same, task, trained

COOP = CoOp(n_ctx=2)


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_image")


def test_best_is_the_earliest_epoch_with_the_best_validation_accuracy(backbone, monkeypatch):
    scores, snapshots = iter([10.0, 30.0, 30.0, 20.0]), []

    def validate(tuned, toy, training):
        snapshots.append(learned(tuned))
        return next(scores)

    monkeypatch.setattr("cliptune.engine.trainer.validate", validate)
    tuned, history = trained(COOP, backbone, replace(QUICK, epochs=4, keep="best"))
    assert [row["val"] for row in history] == [10.0, 30.0, 30.0, 20.0]
    assert same(learned(tuned), snapshots[1]) and not same(snapshots[1], snapshots[2])


@dataclass(frozen=True)
class Averaged(CoOp):
    """Returns the mean of all epochs from `finish`."""

    n_ctx: int = 2
    needs_history = True

    def finish(self, model, history):
        model.learner.load_state_dict({"text": torch.stack([tensors["text"] for tensors in history]).mean(0)})


@pytest.mark.parametrize("reached, chosen", [(40.0, "finish"), (30.0, "finish"), (20.0, "epoch")])
def test_the_result_of_finish_is_another_candidate_for_best(backbone, monkeypatch, reached, chosen):
    scores, snapshots = iter([10.0, 30.0, reached]), []

    def validate(tuned, toy, training):
        snapshots.append(learned(tuned))
        return next(scores)

    monkeypatch.setattr("cliptune.engine.trainer.validate", validate)
    tuned, _ = trained(Averaged(), backbone, replace(QUICK, epochs=2, keep="best"))
    first, second, mean = snapshots
    assert torch.allclose(mean["text"], (first["text"] + second["text"]) / 2) and not same(mean, second)
    assert same(learned(tuned), mean if chosen == "finish" else second)


def test_validation_does_not_change_training(backbone):
    toy, training = task(), replace(QUICK, augment="crop")
    _, last = trained(COOP, backbone, training, toy)
    _, best = trained(COOP, backbone, replace(training, keep="best"), toy)
    assert [{k: v for k, v in row.items() if k != "val"} for row in best] == last
    assert all(0 <= row["val"] <= 100 for row in best)
