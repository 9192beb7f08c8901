"""MMRL and MMRL++: losses against a naive version, when logits are mixed, views without gradients, bad values."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import tiny_clips
from backbones.test_learned_tokens import plain_image, plain_text
from cliptune.data import public
from cliptune.engine.evaluate import predict_logits
from cliptune.errors import UserError
from cliptune.methods.dapt import Dapt
from cliptune.methods.dept import Dept
from cliptune.methods.mmrl import Mmrl
from cliptune.methods.mmrlpp import MmrlPlusPlus
from cliptune.model.tuned_model import TunedModel
from cliptune.saliency.gradcam import gradcam
from cliptune.types import Batch, State
from golden.families.mmrl import TEMPLATES
from tiny_tasks import task

NAMES = ("cat", "sled dog", "x", "cathedral")
METHODS = [Mmrl(n_ctx=3, table_width=20), MmrlPlusPlus(n_ctx=3, table_width=20, beta=0.3, rank=2, projection_rank=5)]
every_method = pytest.mark.parametrize("method", METHODS, ids=["mmrl", "mmrlpp"])


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_image")


def tuned(method, backbone, names=NAMES, **more):
    return tiny_clips.moved(TunedModel(backbone, method, names, **more))


def images(n=4):
    return tiny_clips.normal(n, 3, 32, 32, seed=2)


BATCH = Batch(images(), torch.tensor([2, 0, 2, 3]))


def mapped(linear, table):
    """The table's tokens at each layer, from the learner's state."""
    state = {name: tensor.detach() for name, tensor in linear.named_parameters()}
    if "weight" in state:
        return [
            table @ (state["weight"] + state[f"left.{i}"] @ state[f"right.{i}"]).T + state[f"bias.{i}"]
            for i in range(len(linear.bias))
        ]
    return [table @ layer.weight.T + layer.bias for layer in linear.layers]


def by_hand(made, batch, layers):
    """Raw features of classes, class tokens and learned tokens, every token through every block."""
    backbone, learner, mix = made.backbone, made.learner, getattr(made.method, "beta", 1.0)
    table = learner.table.detach()
    image, text = ([None] * layers[0] + mapped(linear, table) for linear in (learner.to_image, learner.to_text))
    x, fixed = plain_image(backbone, batch.images, image, mix)
    matrix = learner.projection.weight if mix == 1 else 0
    if mix != 1:
        matrix = backbone.visual.proj + learner.projection.left @ learner.projection.right
    texts = plain_text(backbone, made.class_text.text, text, mix=mix)
    return texts, x[:, 0] @ backbone.visual.proj, x[:, fixed:].mean(1) @ matrix


@every_method
@pytest.mark.parametrize("layers", [(2, 3), (3,)])
def test_the_losses(method, layers, backbone):
    method = replace(method, layers=layers, weight=0.5, alpha=0.6)
    made = tuned(method, backbone).train()
    state = State(0, 1, method.prepare(made, task()))
    out = made({"image": BATCH.images}, state)
    losses = method.losses(out, BATCH, state)
    with torch.no_grad():
        text, image, read = by_hand(made, BATCH, [layer - 1 for layer in layers])
        plain_texts = plain_text(backbone, made.class_text.text)
        plain, _ = plain_image(backbone, BATCH.images, ())
    scale, unit = backbone.logit_scale, F.normalize(text, dim=-1)
    own, tokens = (scale * F.normalize(x, dim=-1) @ unit.T for x in (image, read))
    ce = 0.6 * F.cross_entropy(own, BATCH.labels) + 0.4 * F.cross_entropy(tokens, BATCH.labels)
    expected = {
        "ce": ce,
        "image": 0.5 * (1 - F.cosine_similarity(image, plain[:, 0] @ backbone.visual.proj).mean()),
        "text": 0.5 * (1 - F.cosine_similarity(text, plain_texts).mean()),
    }
    torch.testing.assert_close(dict(losses), expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(out.logits, 0.6 * own + 0.4 * tokens, rtol=1e-3, atol=1e-3)


def test_tokens_of_the_first_layer_are_not_normalised(backbone):
    made = tuned(replace(METHODS[0], layers=(1,)), backbone).eval()
    vit, prompts = backbone.visual, made.prompts()
    with torch.no_grad():
        patches = vit.conv1(images()).flatten(2).transpose(1, 2)
        x = torch.cat([vit.class_embedding.expand(4, 1, -1), patches], 1) + vit.positional_embedding
        x = torch.cat([vit.ln_pre(x), prompts.image[0].expand(4, -1, -1)], 1)
        for block in vit.transformer.resblocks:
            x = block(x)
        expected = vit.ln_post(x)
        got = backbone.encode_image_parts(images(), prompts, tokens=True)
    torch.testing.assert_close(got.features, expected[:, 0] @ vit.proj, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(got.tokens, expected[:, -3:], rtol=1e-4, atol=1e-4)


@every_method
def test_logits_are_mixed_for_trained_classes_alone(method, backbone):
    made = tuned(method, backbone).eval()

    def logits(names, of=made, **more):
        with torch.no_grad():
            out = of.with_classes(names, **more)({"image": images()})
        return out.logits, *of.method.branch_logits(out)

    mixed, own, read = logits(NAMES)
    torch.testing.assert_close(mixed, 0.7 * own + 0.3 * read)
    some = NAMES[2], NAMES[0]
    torch.testing.assert_close(logits(some)[0], mixed[:, [2, 0]])
    for names in (("house", "tree"), ("cat", "house"), (*NAMES, "house")):
        for novel in (None, False):  # False: classes of other data
            answer, own_of_others, _ = logits(names, novel=novel)
            assert torch.equal(answer, own_of_others)
    assert torch.equal(logits(NAMES, novel=True)[0], own)
    assert torch.equal(logits(NAMES, other_data=True)[0], mixed)
    released = TunedModel(backbone, replace(method, compat="release"), NAMES, learner=made.learner).eval()
    scaled = logits(NAMES, released)
    assert torch.equal(logits(NAMES, released, other_data=True)[0], scaled[1])
    torch.testing.assert_close(scaled[1], own * 100 / backbone.logit_scale)


def test_other_data_are_marked_in_evaluation(backbone):
    made = tuned(replace(METHODS[0], compat="release"), backbone, task().classnames)
    toy = task()
    test = toy.tests["test"]
    mixed, own = (predict_logits(made, toy.dataset, one) for one in (test, replace(test, dataset=toy.dataset)))
    assert not torch.allclose(mixed, own, atol=1e-3)


@every_method
def test_around_it(method, backbone):
    """In DAPT, a foreground trains the text side alone; Grad-CAM and DePT read the class token."""
    masks = torch.zeros(4, 1, 32, 32)
    masks[..., 8:20] = 1
    batch = replace(BATCH, masks=masks)
    made = tuned(Dapt(method), backbone).train()
    state = State(9, 10, made.method.prepare(made, task()))
    losses = made.method.losses(made(made.method.views(batch), state), batch, state)
    assert set(losses) == {"ce", "image", "text", "foreground", "background"}
    losses["foreground"].backward(retain_graph=True)
    assert all(parameter.grad is None for parameter in made.learner.projection.parameters())
    assert all(parameter.grad is None for parameter in made.learner.to_image.parameters())
    assert made.learner.table.grad.any()
    assert gradcam(made, BATCH.images, BATCH.labels).isfinite().all()
    wide = tuned(Dapt(method, compat="release"), backbone).train()
    out = wide(wide.method.views(batch), State(0, 10))
    assert out.logits.shape == (4, 4 + 7)
    assert all(loss.isfinite() for loss in wide.method.losses(out, batch, state).values())
    made = tuned(Dept(method), backbone).train()
    state = State(0, 10, made.method.prepare(made, task()))
    losses = made.method.losses(made({"image": BATCH.images}, state), BATCH, state)
    assert set(losses) == {"ce", "image", "text", "linear"}


def test_layers_start_equal_and_the_projection_of_mmrlpp_starts_as_clips(backbone):
    plain, shared = (TunedModel(backbone, method, NAMES).learner for method in METHODS)
    for learner in (plain, shared):
        prompts = learner()
        for tokens in (prompts.image, prompts.text_inserted):
            first, *others = [own for own in tokens if own is not None]
            assert others and all(torch.equal(own, first) for own in others)
    assert torch.equal(shared.projection.matrix(), backbone.visual.proj)
    assert not any("frozen" in name for name in shared.state_dict())


@pytest.mark.parametrize("depth, layers", [("deep_image", (0, 1, 2)), ("deep_text", (0, 1))])
def test_layers_by_default_are_the_upper_ones_of_the_shorter_tower(depth, layers):
    assert Mmrl().layers_of(tiny_clips.backbone(depth)) == layers


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"n_ctx": 0}, "n_ctx must be at least 1"),
        ({"layers": (0, 1)}, "layers must be at least 1"),
        ({"layers": (2, 2)}, "layers must be ascending"),
        ({"alpha": 1.5}, "alpha must be from 0 to 1"),
        ({"weight": -1}, "weight must be at least 0"),
    ],
)
def test_bad_values(fields, message):
    for kind in (Mmrl, MmrlPlusPlus):
        with pytest.raises(UserError, match=message):
            kind(**fields)


def test_bad_values_of_mmrlpp_and_of_the_backbone(backbone):
    with pytest.raises(UserError, match="beta must be from 0 to 1"):
        MmrlPlusPlus(beta=1.1)
    with pytest.raises(UserError, match="rank must be at least 1"):
        MmrlPlusPlus(rank=0)
    with pytest.raises(UserError, match=r"layers=\(2, 4\) has layers beyond the 3 of the shorter tower of backbone"):
        TunedModel(backbone, Mmrl(layers=(2, 4)), NAMES)
    with pytest.raises(UserError, match="visual prompts and Grad-CAM need open_clip's ViT"):
        TunedModel(tiny_clips.backbone("resnet"), Mmrl(), NAMES)


def test_the_datasets_own_templates_are_those_of_the_release():
    own = {spec.title: spec.templates for spec in public.specs().values() if spec.title in TEMPLATES}
    assert own == {title: (template,) for title, template in TEMPLATES.items()}
