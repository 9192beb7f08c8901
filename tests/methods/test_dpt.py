"""DPT: tokens, losses and gradients against a plain version, other class names, guidance, bad values."""

import pytest
import torch
import torch.nn.functional as F

import textbook
import tiny_clips
from cliptune.errors import UserError
from cliptune.methods.dapt import Dapt
from cliptune.methods.dpt import Dpt
from cliptune.model.tuned_model import TunedModel
from cliptune.saliency.gradcam import gradcam
from cliptune.saliency.maskclip import maskclip
from cliptune.types import Batch, State
from tiny_clips import NAMES, normal, random_images, same_gradients
from tiny_tasks import task

TEMPLATES = ("a drawing of a {}.",)
LABELS = torch.tensor([0, 3, 1])


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_image")


def tuned(backbone, method=None, names=NAMES):
    """A model with parameters large enough to matter, and LayerNorms that are no identity."""
    method = method or Dpt(n_ctx=3, n_ctx_image=2, classes=3, class_layers=2, alpha=0.7)
    model = TunedModel(backbone, method, names, TEMPLATES)
    with torch.no_grad():
        for i, parameter in enumerate(model.learner.parameters()):
            parameter += normal(*parameter.shape, seed=i, std=0.1)
    return model


def cross_attention(layer, x, classes):
    """Tokens and what is read of one image, with inputs `(n, width)` and class features `(k, d)`."""
    queries = classes @ layer.query.weight.T + layer.query.bias
    seen = torch.cat([x.detach(), layer.keys])
    tokens, reads = [], []
    for query in queries:
        q = layer.to_q.weight @ query
        share = torch.stack([q @ (layer.to_k.weight @ key) for key in seen]).div(32**0.5).softmax(0)
        attended = layer.to_v.weight @ (share[:, None] * seen).sum(0)
        tokens.append(F.layer_norm(attended + query, query.shape, layer.norm_tokens.weight, layer.norm_tokens.bias))
        reads.append(F.layer_norm(attended, query.shape, layer.norm_read.weight, layer.norm_read.bias))
    return torch.stack(tokens), torch.stack(reads)


def image_by_hand(model, image, raw_text, chosen):
    """Un-normalised features of one image, and logits `(layers, k, C)` of its class-aware tokens."""
    vit, learner = model.backbone.visual, model.learner
    patches = vit.conv1(image[None]).flatten(2).transpose(1, 2)
    x = vit.ln_pre(torch.cat([vit.class_embedding.expand(1, 1, -1), patches], 1) + vit.positional_embedding)
    fixed, below, logits = x.shape[1], len(vit.transformer.resblocks) - len(learner.layers), []
    for i, block in enumerate(vit.transformer.resblocks):
        if i < below:
            own = learner.image[i] if len(learner.image) else x[0, :0]
        else:
            layer = learner.layers[i - below]
            own, read = cross_attention(layer, x[0], raw_text[chosen])
            logits.append(read @ layer.classifier.weight.T)
        x = block(torch.cat([x, own[None]], 1))[:, :fixed]
    return (vit.ln_post(x[:, 0]) @ vit.proj)[0], torch.stack(logits)


def frozen_by_hand(model, images):
    clip = model.backbone.model
    sentences = [TEMPLATES[0].format(name.replace("_", " ")) for name in model.classnames]
    ids = textbook.tokens(model.backbone.prompt_tokenizer, sentences)
    with torch.no_grad():
        return textbook.unit(clip.encode_image(images)), textbook.unit(textbook.text_features(clip, ids))


def by_hand(model, images, labels):
    """Logits, those against frozen features of the other tower, and the class tokens' loss."""
    frozen, fixed = frozen_by_hand(model, images)
    raw = model.backbone.encode_text(model.class_text.text, model.prompts())
    chosen = (frozen @ fixed.T).sort(-1, descending=True).indices[:, : model.method.classes]
    found = [image_by_hand(model, image, raw, own) for image, own in zip(images, chosen, strict=True)]
    features, text = textbook.unit(torch.stack([one for one, _ in found])), textbook.unit(raw)
    scale = model.backbone.logit_scale
    terms = [
        -layer.log_softmax(-1)[place, label]
        for (_, logits), own, label in zip(found, chosen, labels, strict=True)
        for layer in logits
        for place, name in enumerate(own)
        if name == label
    ]
    tokens = torch.stack(terms).mean() if terms else None
    return scale * features @ text.T, scale * frozen @ text.T, scale * features @ fixed.T, tokens


METHODS = [
    Dpt(n_ctx=3, n_ctx_image=2, classes=3, class_layers=2, alpha=0.7),
    Dpt(n_ctx=3, n_ctx_image=2, classes=10, alpha=0.7),
    Dpt(n_ctx=3, n_ctx_image=0, classes=3, class_layers=4, alpha=0.7),
]


@pytest.mark.parametrize("guided", [True, False])
@pytest.mark.parametrize("method", METHODS, ids=["two layers", "all classes", "every layer"])
def test_the_losses(method, guided, backbone):
    model = tuned(backbone, method).train()
    images = random_images(backbone)
    state = State(0 if guided else 1, 2, method.prepare(model, task()))
    out = model({"image": images}, state)
    losses = method.losses(out, Batch(images, LABELS), state)
    logits, by_text, by_image, tokens = by_hand(model, images, LABELS)
    assert tokens is not None
    torch.testing.assert_close(out.logits, logits, rtol=1e-3, atol=1e-3)
    ce = F.cross_entropy(logits, LABELS)
    expected = {"class_tokens": 0.7 * tokens, **({"guided": 0.1 * ce} if guided else {"ce": ce})}
    if guided:
        text, image = (F.cross_entropy(x, LABELS) for x in (by_text, by_image))
        expected |= {"text": text, "image": image}
    torch.testing.assert_close(losses, expected, rtol=1e-3, atol=1e-3)
    loss, reference = (torch.stack(list(x.values())).sum() for x in (losses, expected))
    same_gradients(loss, reference, list(model.learner.parameters()))


def test_images_whose_class_is_not_chosen_do_not_count(backbone):
    method = Dpt(n_ctx=3, n_ctx_image=2, classes=1)
    model, images = tuned(backbone, method).train(), random_images(backbone)
    state = State(1, 2, method.prepare(model, task()))
    out = model({"image": images}, state)
    frozen, fixed = frozen_by_hand(model, images)
    first = (frozen @ fixed.T).argmax(1)
    wrong = (first + 1) % len(NAMES)
    assert method.losses(out, Batch(images, wrong), state)["class_tokens"] == 0
    assert method.losses(out, Batch(images, first), state)["class_tokens"] > 0


def test_other_class_names(backbone):
    model, images = tuned(backbone).eval(), random_images(backbone)
    other = model.with_classes(("dog", "steam_engine", "tree", "cup"))
    with torch.no_grad():
        logits, *_ = by_hand(other, images, LABELS)
        torch.testing.assert_close(other({"image": images}).logits, logits, rtol=1e-3, atol=1e-3)
        features = other.encode_views({"image": images}, other.prompts())["image"]
        torch.testing.assert_close(features, other({"image": images}).image["image"])


def test_dapt_and_saliency(backbone):
    method = Dapt(Dpt(n_ctx=3, n_ctx_image=2, classes=3), masks_from="full", switch=0.5)
    model, images = tuned(backbone, method).train(), random_images(backbone)
    batch = Batch(images, LABELS, masks=(images[:, :1] > 0).float())
    for epoch, name in ((0, "pull_push"), (1, "foreground")):
        state = State(epoch, 2, method.prepare(model, task()))
        losses = method.losses(model(method.views(batch), state), batch, state)
        assert name in losses and "class_tokens" in losses and all(x.isfinite() for x in losses.values())
    model.eval()
    for saliency in (gradcam, maskclip):
        assert saliency(model, images, LABELS).isfinite().all()


def test_a_half_of_the_epochs_or_steps_is_guided():
    method = Dpt()
    assert [method.guided(State(epoch, 5)) for epoch in range(5)] == [True] * 3 + [False] * 2
    assert [method.guided(State(0, 1, None, step, 4)) for step in range(4)] == [True] * 2 + [False] * 2
    assert not Dpt(guidance=0).guided(State(0, 3)) and Dpt(guidance=1).guided(State(2, 3))


@pytest.mark.parametrize(
    "values", [{"class_layers": 0}, {"classes": 0}, {"alpha": -1}, {"guidance": 1.5}, {"text_rate": -1}, {"n_ctx": 0}]
)
def test_bad_values(values):
    with pytest.raises(UserError, match=next(iter(values))):
        Dpt(**values)


def test_more_class_layers_than_the_tower_has(backbone):
    with pytest.raises(UserError, match="class_layers=5.*4 layers"):
        TunedModel(backbone, Dpt(class_layers=5), NAMES)


def test_an_image_tower_without_tokens():
    with pytest.raises(UserError, match="resnet"):
        TunedModel(tiny_clips.backbone("resnet"), Dpt(), NAMES)
