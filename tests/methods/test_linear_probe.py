"""The linear probe: logistic regression, initialised at zero or from zero-shot CLIP, for its own classes only."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import textbook
import tiny_clips
from cliptune import experiment
from cliptune.config import RunConfig
from cliptune.engine.evaluate import predict_logits
from cliptune.methods.linear_probe import LinearProbe
from cliptune.methods.zeroshot import ZeroShot
from cliptune.types import Batch, State
from tiny_tasks import QUICK, model, task, trained


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_image")


def test_logits_and_gradients_of_logistic_regression(backbone):
    toy, labels = task(), torch.tensor([0, 2, 1, 1])
    tuned = model(LinearProbe(), backbone, toy)
    weight, bias = tiny_clips.normal(3, backbone.embed_dim, seed=1), tiny_clips.normal(3, seed=2)
    tuned.learner.load_state_dict({"weight": weight, "bias": bias})
    batch, state = Batch(tiny_clips.random_images(backbone, 4), labels), State(0, 1)
    out = tuned(tuned.method.views(batch), state)
    f = textbook.unit(textbook.image_features(backbone.model, batch.images))
    torch.testing.assert_close(out.logits, f @ weight.T + bias, rtol=0, atol=1e-4)
    tuned.method.losses(out, batch, state)["ce"].backward()
    pull = (out.logits.softmax(-1) - F.one_hot(labels, 3)) / 4
    torch.testing.assert_close(tuned.learner.weight.grad, pull.T @ f, rtol=0, atol=1e-5)
    torch.testing.assert_close(tuned.learner.bias.grad, pull.sum(0), rtol=0, atol=1e-6)


@pytest.mark.parametrize("start", ["zero", "text"])
def test_initial_weights(start, backbone):
    toy = task()
    tuned, _ = trained(LinearProbe(start=start), backbone, replace(QUICK, epochs=0), toy)
    clip, _ = trained(ZeroShot(), backbone, toy=toy)
    expected = predict_logits(clip, toy.dataset, toy.tests["test"]) * (start == "text")
    assert expected.any() or start == "zero"
    torch.testing.assert_close(predict_logits(tuned, toy.dataset, toy.tests["test"]), expected, rtol=0, atol=1e-4)


def test_test_sets_of_other_classes_are_skipped(backbone, monkeypatch):
    monkeypatch.setattr(experiment, "cached_backbone", lambda *_: backbone)
    with pytest.warns(UserWarning, match="not tested on novel: LinearProbe has .* per class"):
        _, result = experiment.run_experiment(
            RunConfig(LinearProbe(), training=replace(QUICK, cached_views=1)), task=task()
        )
    assert set(result.metrics) == {"test"} and result.cost["parameters"] == 3 * 48 + 3
