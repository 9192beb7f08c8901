"""PromptSRC: losses equal to the reference, a frozen teacher, and prompts averaged over epochs."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import textbook
import tiny_clips
from cliptune.backbones.teacher import SIXTY_TEMPLATES
from cliptune.errors import UserError
from cliptune.methods.dapt import Dapt
from cliptune.methods.promptsrc import PromptSrc
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, State
from tiny_tasks import QUICK, learned, model, same, task, trained

NAMES = ("cat", "steam_locomotive", "sled dog")
METHOD = PromptSrc(2, 2, 3, 2, aggregate_mean=2.0, aggregate_std=1.0)


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_image")


def unit_text(backbone, names, templates):
    rows = []
    for name in names:
        texts = [t.format(name.replace("_", " ")) for t in templates]
        rows.append(textbook.text_features(backbone.model, textbook.tokens(backbone.prompt_tokenizer, texts)).mean(0))
    return textbook.unit(torch.stack(rows))


def test_a_step_equals_the_reference(backbone):
    tuned = TunedModel(backbone, METHOD, NAMES)
    with torch.no_grad():  # with words and small random tokens some terms would be almost equal
        for i, p in enumerate(tuned.learner.parameters()):
            p.add_(tiny_clips.normal(*p.shape, seed=i, std=0.3))
    images, labels = tiny_clips.random_images(backbone), torch.tensor([2, 0, 1])
    batch, state = Batch(images, labels), State(0, 1, METHOD.prepare(tuned, task()))
    losses = METHOD.losses(tuned(METHOD.views(batch), state), batch, state)

    own, seen, scale = tuned.learner.text, tuned.learner.image, backbone.logit_scale
    ids, _ = textbook.prompted(backbone.prompt_tokenizer, "a photo of a", [name.replace("_", " ") for name in NAMES])
    text = textbook.unit(textbook.text_features(backbone.model, ids, own[0], own[1:]))
    image = textbook.unit(textbook.image_features(backbone.model, images, list(seen)))
    text0, image0 = (
        unit_text(backbone, NAMES, SIXTY_TEMPLATES),
        textbook.unit(textbook.image_features(backbone.model, images)),
    )
    logits, logits0 = scale * image @ text.T, scale * image0 @ text0.T
    kl = (logits0.softmax(1) * (logits0.log_softmax(1) - logits.log_softmax(1))).sum() / logits.numel()
    expected = {
        "ce": F.cross_entropy(logits, labels),
        "text": 25 * (text - text0).abs().mean(),
        "image": 10 * (image - image0).abs().mean(),
        "logits": kl,
    }
    assert losses.keys() == expected.keys()
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(expected[name].item(), rel=1e-4) and loss.item() > 0.01, name
    tiny_clips.same_gradients(sum(losses.values()), sum(expected.values()), [*own, *seen])


def test_the_teachers_templates():
    assert len(SIXTY_TEMPLATES) == len(set(SIXTY_TEMPLATES)) == 60 and all(t.count("{}") == 1 for t in SIXTY_TEMPLATES)
    assert SIXTY_TEMPLATES[0] == "a photo of a {}." and SIXTY_TEMPLATES[-1] == "itap of the {}."


def test_without_image_tokens_image_losses_are_zero(backbone):
    method = replace(METHOD, n_ctx_image=0)
    tuned, toy = TunedModel(backbone, method, NAMES), task()
    batch, state = (
        Batch(tiny_clips.random_images(backbone), torch.tensor([2, 0, 1])),
        State(0, 1, method.prepare(tuned, toy)),
    )
    losses = method.losses(tuned(method.views(batch), state), batch, state)
    assert losses["image"].item() == pytest.approx(0, abs=1e-5) and losses["text"].item() > 0.1
    # A text-only model can train on cached features.
    raw = tuned.encode_images(method.views(batch), tuned.prompts())
    again = method.losses(tuned(raw, state), Batch(raw["image"], batch.labels), state)
    assert {n: loss.item() for n, loss in again.items()} == pytest.approx(
        {n: loss.item() for n, loss in losses.items()}
    )


def test_the_final_prompts_are_the_gaussian_weighted_average_of_epochs(backbone):
    states, toy = [], task()

    class Spy(PromptSrc):
        def after_epoch(self, model, state):
            states.append(learned(model))

    spy = Spy(2, 2, 3, 2, aggregate_mean=2.0, aggregate_std=1.0)
    tuned, history = trained(spy, backbone, QUICK, toy)
    density = torch.tensor([-0.5, 0.0, -0.5]).exp()
    for name, tensor in learned(tuned).items():
        expected = sum(weight * state[name] for weight, state in zip(density / density.sum(), states, strict=True))
        torch.testing.assert_close(tensor, expected)
        assert not torch.equal(tensor, states[-1][name])
    assert len(history) == 3


def test_no_epochs_keep_the_initial_values(backbone):
    tuned, history = trained(METHOD, backbone, replace(QUICK, epochs=0))
    assert history == [] and same(learned(tuned), learned(model(METHOD, backbone, task())))


def test_columns_added_by_a_wrapper_are_not_compared_with_the_teacher(backbone):
    method = Dapt(METHOD, compat="release")
    tuned, toy = model(method, backbone, task()), task()
    masks = torch.zeros(3, 1, backbone.image_size, backbone.image_size)
    masks[..., 8:24, 8:24] = 1
    batch, state = (
        Batch(tiny_clips.random_images(backbone), torch.tensor([2, 0, 1]), masks),
        State(0, 10, method.prepare(tuned, toy)),
    )
    out = tuned(method.views(batch), state)
    assert out.logits.shape == (3, 10)
    around, alone = method.losses(out, batch, state), METHOD.losses(out, batch, state)
    assert {"ce", "text", "image", "logits", "pull_push"} == set(around)
    assert around["logits"] == alone["logits"]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"n_ctx_text": 0}, "n_ctx_text must be at least 1"),
        ({"depth_image": -1}, "depth_image must be at least 0"),
        ({"text_weight": -1.0}, "text_weight must be at least 0, got -1.0"),
        ({"image_weight": -2.0}, "image_weight must be at least 0, got -2.0"),
        ({"aggregate_std": 0.0}, "aggregate_std must be positive, got 0.0"),
    ],
)
def test_invalid_settings_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        PromptSrc(**options)


def test_a_resnet_refuses_image_tokens():
    with pytest.raises(UserError, match="has a ModifiedResNet image tower; visual prompts .* need open_clip's ViT"):
        TunedModel(tiny_clips.backbone("resnet"), PromptSrc(2, 1, 2, 1), NAMES)
