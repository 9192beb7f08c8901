"""CoPrompt: consistency with the frozen model on second views and drawn sentences."""

import json

import pytest
import torch

import textbook
import tiny_clips
from cliptune.errors import UserError
from cliptune.methods.coprompt import CoPrompt
from cliptune.model.descriptions import SentenceTeacher
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, State
from tiny_clips import normal, random_images

LABELS, NAMES = torch.tensor([0, 3, 1]), tiny_clips.NAMES[:4]


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_image")


def teacher(backbone, tmp_path, *counts):
    path = tmp_path / "sentences.json"
    rows = {name: [f"{name} {i}" for i in range(n)] for name, n in zip(NAMES, counts, strict=True)}
    path.write_text(json.dumps(rows), encoding="utf-8")
    return SentenceTeacher.of(backbone, str(path), NAMES, "a {}.", 3)


@pytest.mark.parametrize("distance", ["cosine", "mse"])
def test_losses_equal_a_naive_version(backbone, tmp_path, distance):
    method = CoPrompt(n_ctx=2, depth=2, weight=2.5, distance=distance)
    model = TunedModel(backbone, method, NAMES)
    for parameter in model.learner.parameters():
        parameter.data += normal(*parameter.shape, std=0.05)
    images, second = random_images(backbone), random_images(backbone).flip(0)
    state = State(0, 1, teacher(backbone, tmp_path, 2, 2, 2, 2))
    out = model({"image": images}, state)
    losses = method.losses(out, Batch(images, LABELS, second_view=second), state)
    u0 = textbook.unit(textbook.image_features(backbone.model, second))
    k = int(state.memory.share(state) * 2)
    sentences = textbook.tokens(backbone.prompt_tokenizer, [f"{name} {k}" for name in NAMES])
    t0 = textbook.unit(textbook.text_features(backbone.model, sentences))
    u, t = out.image["image"], out.text
    if distance == "cosine":
        expected = (1 - (t * t0).sum(-1).mean()) + (1 - (u * u0).sum(-1).mean())
    else:
        expected = ((t - t0) ** 2).mean() + ((u - u0) ** 2).mean()
    torch.testing.assert_close(losses["consistency"], 2.5 * expected, rtol=1e-4, atol=1e-5)
    raw = model.encode_images({"image": images}, out.prompts)["image"]
    image = model.learner.image
    adapted = 0.1 * (image.up.weight @ (image.down.weight @ raw.T).relu()).relu().T + 0.9 * raw
    torch.testing.assert_close(u, textbook.unit(adapted), rtol=1e-4, atol=1e-5)


def test_sentences_are_drawn_per_step_and_repeat_with_the_seed(backbone, tmp_path):
    ragged = teacher(backbone, tmp_path, 4, 4, 1, 2)
    states = [State(epoch, 9, step=step) for epoch in range(6) for step in range(6)]
    drawn = [int(ragged.share(state) * 4) for state in states]
    assert {*drawn} == {0, 1, 2, 3} and drawn == [int(ragged.share(state) * 4) for state in states]
    for state, k in zip(states, drawn, strict=True):
        text = ragged.text(state)
        assert torch.equal(text[1], ragged.sentences[1][k]) and torch.equal(text[2], ragged.sentences[2][0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"weight": -1}, "weight"), ({"image_ratio": 1.5}, "image_ratio"), ({"depth": 0}, "depth")],
)
def test_bad_values(fields, message):
    with pytest.raises(UserError, match=message):
        CoPrompt(**fields)
