"""Tip-Adapter: its cache, its search on validation images, and its independence of test images."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import textbook
import tiny_clips
from cliptune import config, experiment, model_io
from cliptune.adapters.key_value_cache import KeyValueCache
from cliptune.data.loader import ExampleSet
from cliptune.data.transforms import RandomCropFlip
from cliptune.engine.evaluate import predict_logits
from cliptune.errors import UserError
from cliptune.methods.tip_adapter import TipAdapter
from cliptune.methods.tip_adapter_f import TipAdapterF
from cliptune.types import State
from tiny_tasks import QUICK, learned, model, task, trained

BOTH = pytest.mark.parametrize("kind", [TipAdapter, TipAdapterF])


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_image")


def example_set(backbone, examples, augment=None):
    return ExampleSet(task().dataset, examples, backbone.preprocess, augment=augment, seed=1)


def pixels(backbone, raw):
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (backbone.preprocess.mean, backbone.preprocess.std))
    return ((raw / 255 - mean) / std)[None]


@BOTH
@pytest.mark.parametrize("crops", [0, 3])
def test_keys_are_the_normalised_means_over_crops(kind, crops, backbone):
    toy = task()
    tuned = model(kind(crops=crops), backbone, toy)
    tuned.method.prepare(tuned, toy)
    seen = example_set(backbone, toy.train, RandomCropFlip(backbone.image_size, scale=(0.5, 1.0)) if crops else None)
    for i in range(len(toy.train)):
        features = []
        for epoch in range(max(1, crops)):
            with torch.no_grad():
                features.append(textbook.image_features(backbone.model, pixels(backbone, seen.item(i, epoch)[0])))
        key = textbook.unit(sum(features) / len(features))[0]
        torch.testing.assert_close(tuned.learner.keys[i].detach(), key, rtol=0, atol=1e-5)
    assert tuned.learner.labels.tolist() == [e.label for e in toy.train]


def test_logits_of_test_images(backbone):
    toy = task()
    tuned, history = trained(TipAdapter(crops=0, alpha=2.0, beta=3.0), backbone, toy=toy)
    assert history == []
    with torch.no_grad():
        ids = textbook.tokens(
            backbone.prompt_tokenizer, [f"a photo of a {n.replace('_', ' ')}." for n in toy.classnames]
        )
        text = textbook.unit(textbook.text_features(backbone.model, ids))

        def seen(examples):
            read = example_set(backbone, examples)
            images = torch.cat([pixels(backbone, read.item(i)[0]) for i in range(len(read))])
            return textbook.unit(textbook.image_features(backbone.model, images))

        image, keys = seen(toy.tests["test"].examples), seen(toy.train)
        values = torch.eye(3)[[e.label for e in toy.train]]
        expected = (
            backbone.model.logit_scale.exp() * image @ text.T + 2.0 * torch.exp(-3.0 * (1 - image @ keys.T)) @ values
        )
    torch.testing.assert_close(predict_logits(tuned, toy.dataset, toy.tests["test"]), expected, rtol=0, atol=1e-3)


@BOTH
def test_the_authors_grid_is_searched_on_validation_images_only(kind, backbone, monkeypatch):
    toy = replace(task(), tests={})  # no test images
    asked = []
    monkeypatch.setattr(KeyValueCache, "search", lambda self, *given: asked.append(given))
    trained(kind(crops=0, search=True), backbone, toy=toy)
    ((image, clip, labels, alphas, betas),) = asked
    zero_shot = model(kind(crops=0), backbone, toy)  # an empty cache
    views = {
        "image": torch.cat([pixels(backbone, row[0]) for row in map(example_set(backbone, toy.val).item, range(6))])
    }
    with torch.no_grad():
        torch.testing.assert_close(clip, zero_shot(views).logits, rtol=0, atol=1e-3)
        torch.testing.assert_close(image, zero_shot(views).image["image"], rtol=0, atol=1e-5)
    assert labels.tolist() == [e.label for e in toy.val]
    assert (len(alphas), len(betas)) == (20, 200) and alphas[0] == betas[0] == 0.1
    assert (alphas[-1], betas[-1]) == pytest.approx((3 - 2.9 / 20, 7 - 6.9 / 200))


@BOTH
def test_found_values_are_saved(kind, backbone, tmp_path):
    tuned, _ = trained(kind(crops=0, search=True, alpha=0.0, beta=0.0), backbone)
    model_io.save_model(tmp_path / "checkpoint.safetensors", config.RunConfig(tuned.method), tuned)
    restored, _ = model_io.load_model(tmp_path, backbone)
    assert restored.learner.alpha == tuned.learner.alpha >= 0.1 and restored.learner.beta == tuned.learner.beta >= 0.1


def test_without_validation_images_there_is_no_search(backbone):
    with pytest.raises(UserError, match="search needs validation images, but toy has none; give alpha and beta"):
        trained(TipAdapter(crops=0, search=True), backbone, toy=replace(task(), val=()))


def test_training_starts_from_the_training_free_cache(backbone):
    toy = task()
    still, _ = trained(TipAdapter(crops=2), backbone, toy=toy)
    start, _ = trained(TipAdapterF(crops=2), backbone, replace(QUICK, epochs=0), toy)
    moved, rows = trained(TipAdapterF(crops=2), backbone, replace(QUICK, optimizer="adamw", lr=1e-3), toy)
    answers = [predict_logits(tuned, toy.dataset, toy.tests["test"]) for tuned in (still, start, moved)]
    assert torch.equal(answers[0], answers[1]) and not torch.allclose(answers[0], answers[2], atol=1e-3)
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert not torch.equal(learned(moved)["keys"], learned(still)["keys"])
    assert all(torch.equal(learned(moved)[name], learned(still)[name]) for name in ("labels", "alpha", "beta"))


def test_the_loss_and_its_first_step(backbone):
    toy = task()
    tuned = model(TipAdapterF(crops=0), backbone, toy)
    memory = tuned.method.prepare(tuned, toy)
    read = example_set(backbone, toy.train)
    views = {"image": torch.cat([pixels(backbone, read.item(i)[0]) for i in range(len(read))])}
    out, labels = tuned(views, State(0, 1, memory)), tuned.learner.labels
    out.logits.retain_grad()
    loss = tuned.method.losses(out, next(read.in_order(12, torch.device("cpu"))), State(0, 1, memory))
    torch.testing.assert_close(loss["ce"], -out.logits.log_softmax(-1)[range(12), labels].mean())
    loss["ce"].backward()
    torch.testing.assert_close(out.logits.grad, (out.logits.softmax(-1) - F.one_hot(labels, 3)) / 12)


@pytest.mark.parametrize(("kind", "parameters"), [(TipAdapter, 0), (TipAdapterF, 12 * 48)])
def test_trainable_parameters(kind, parameters, backbone, monkeypatch):
    monkeypatch.setattr(experiment, "cached_backbone", lambda *_: backbone)
    run = config.RunConfig(kind(crops=0), training=replace(QUICK, epochs=1, cached_views=1))
    _, result = experiment.run_experiment(run, task=task())
    assert result.cost["parameters"] == parameters and set(result.metrics) == {"test", "novel"}


@BOTH
@pytest.mark.parametrize("name", ["alpha", "beta", "crops"])
def test_invalid_values_are_refused(kind, name):
    with pytest.raises(UserError, match=f"{name} must be at least 0, got -1"):
        kind(**{name: -1})
