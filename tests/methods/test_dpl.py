"""DPL: prompt lengths are searched on validation images; then prompts of these lengths are trained."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Generator

import textbook
import tiny_clips
from cliptune.backbones.teacher import SIXTY_TEMPLATES
from cliptune.errors import UserError
from cliptune.methods.copypaste import CopyPaste
from cliptune.methods.dapt import Dapt
from cliptune.methods.dpl import Dpl
from cliptune.model.tuned_model import TunedModel
from cliptune.prompts.length_search import FixedLengthPrompts, SearchedPrompts
from cliptune.saliency.gradcam import gradcam
from cliptune.types import Batch, State
from tiny_tasks import model, task

NAMES = ("cat", "steam locomotive")
FOUND = Dpl(lengths_text=(1, 0, 2), lengths_image=(0, 2, 0, 1), sentence="template")


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_image")


def tuned_to(method, backbone, names=NAMES, templates=("a photo of a {}.",)):
    return TunedModel(backbone, method, names, templates, Generator().manual_seed(1))


def test_the_search_starts_as_released(backbone):
    learner = tuned_to(Dpl(), backbone).learner
    assert isinstance(learner, SearchedPrompts)
    text, image = (torch.cat([p.flatten() for p in tower.parameters()]) for tower in (learner.text, learner.image))
    assert 0 <= text.min() and text.max() < 1 and text.mean().item() == pytest.approx(0.5, abs=0.02)
    assert (image.mean().item(), image.std().item()) == (pytest.approx(0, abs=0.02), pytest.approx(1, abs=0.02))
    assert learner.alphas_text.shape == (backbone.text_depth, 7)
    assert learner.alphas_image.shape == (backbone.image_depth, 7)
    small_start = tuned_to(Dpl(start="small"), backbone).learner
    assert torch.cat([p.flatten() for p in small_start.text.parameters()]).std().item() == pytest.approx(0.02, rel=0.1)


def released_logits(learner, clip, ids, images):
    """The supernet by full attentions, from the learner's leaf tensors."""

    def tower(options, alphas):
        return [
            ((torch.zeros(0, own[0].shape[1]), *own), weights)
            for own, weights in zip(options, alphas.softmax(-1), strict=True)
        ]

    text = textbook.unit(textbook.text_features(clip, ids, prefix_kv=tower(learner.text, learner.alphas_text)))
    image = textbook.unit(textbook.image_features(clip, images, prefix_kv=tower(learner.image, learner.alphas_image)))
    return clip.logit_scale.exp() * image @ text.T


@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: Dapt(base=m), lambda m: CopyPaste(base=m)])
def test_each_step_updates_the_scores_by_adam_on_the_next_validation_images(backbone, wrap):
    toy = task()
    method = Dpl(longest_text=1, longest_image=2, search_batch=4)
    tuned = model(wrap(method), backbone, toy).train()
    learner = tuned.learner
    memory = tuned.method.prepare(tuned, toy)
    twins = [alphas.detach().clone().requires_grad_() for alphas in learner.alphas]
    adam = torch.optim.Adam(twins, lr=0.0035, betas=(0.5, 0.999))
    ids = textbook.tokens(
        backbone.prompt_tokenizer, [f"a photo of a {name.replace('_', ' ')}." for name in toy.classnames]
    )
    seen, tokens = [], {name: p.detach().clone() for name, p in learner.named_parameters() if p.requires_grad}
    for _ in range(3):
        batch = method._validation(memory, learner.steps, torch.device("cpu"))
        seen.append(sorted(batch.index.tolist()))
        with learner.learning_alphas():
            loss = F.cross_entropy(released_logits(learner, backbone.model, ids, batch.images), batch.labels)
            gradients = torch.autograd.grad(loss, learner.alphas)
        for twin, gradient in zip(twins, gradients, strict=True):
            twin.grad = gradient
        adam.step()
        tuned.method.before_step(tuned, State(0, 10, memory))
        for alphas, twin in zip(learner.alphas, twins, strict=True):
            torch.testing.assert_close(alphas.detach(), twin.detach(), rtol=0, atol=1e-5)
    assert len(seen[0]) == 4 and len({tuple(rows) for rows in seen}) > 1, "shuffled"
    after = dict(learner.named_parameters())
    assert all(torch.equal(tokens[name], after[name]) and after[name].grad is None for name in tokens)


def test_the_release_uses_only_the_first_validation_images(backbone):
    toy, method = task(), Dpl(compat="release", search_batch=4)
    memory = method.prepare(model(method, backbone, toy), toy)
    batches = [method._validation(memory, step, torch.device("cpu")) for step in (0, 1, 5)]
    assert all(batch.index.tolist() == [0, 1, 2, 3] for batch in batches)
    wide = replace(method, search_batch=99)._validation(memory, 3, torch.device("cpu"))
    assert wide.index.tolist() == list(range(len(toy.val)))


def test_all_validation_images_are_used(backbone):
    toy, method = task(), Dpl(search_batch=2)
    memory = method.prepare(model(method, backbone, toy), toy)
    batches = [method._validation(memory, step, torch.device("cpu")).index.tolist() for step in range(6)]
    assert sorted(sum(batches[:3], [])) == sorted(sum(batches[3:], [])) == list(range(6)) and batches[:3] != batches[3:]


def test_a_search_needs_validation_images(backbone):
    toy = replace(task(), val=())
    tuned = model(Dpl(), backbone, toy)
    with pytest.raises(UserError, match="searches with validation images, but toy has none; give lengths_text"):
        tuned.method.prepare(tuned, toy)
    assert FOUND.prepare(model(FOUND, backbone, toy), toy) is None


def test_the_next_stage_has_the_most_likely_length_per_layer(backbone):
    method = Dpl(longest_text=2, longest_image=1, sentence="custom", distill=2.0)
    tuned = tuned_to(Dapt(base=method), backbone)
    with torch.no_grad():
        tuned.learner.alphas_text.copy_(torch.tensor([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]))
        tuned.learner.alphas_image.copy_(torch.tensor([[0.0, 1], [1, 0], [0, 1], [0, 1]]))
    after = tuned.method.next_stage(tuned)
    assert after == Dapt(base=replace(method, lengths_text=(1, 2, 0), lengths_image=(1, 0, 1, 1)))
    assert (Dpl().epochs, tuned.method.epochs, after.epochs) == (80, 80, None)
    next_model = tuned_to(after, backbone)
    assert isinstance(next_model.learner, FixedLengthPrompts) and after.next_stage(next_model) is None


@pytest.mark.parametrize("method", [FOUND, replace(FOUND, lengths_text=()), replace(FOUND, lengths_image=())])
def test_logits_of_found_lengths_equal_the_reference(backbone, method):
    tuned = tuned_to(method, backbone).train()
    images = tiny_clips.random_images(backbone, 3)
    prompts = tuned.learner()

    def tower(layers, depth, width):
        own = [layer.options[0] if layer else torch.zeros(0, width) for layer in layers]
        return [((tokens,), torch.ones(1)) for tokens in (*own, *[torch.zeros(0, width)] * (depth - len(own)))]

    ids = textbook.tokens(backbone.prompt_tokenizer, [f"a photo of a {name}." for name in NAMES])
    text = tower(prompts.text_kv, backbone.text_depth, backbone.text_width)
    image = tower(prompts.image_kv, backbone.image_depth, backbone.image_width)
    u = textbook.unit(textbook.image_features(backbone.model, images, prefix_kv=image))
    t = textbook.unit(textbook.text_features(backbone.model, ids, prefix_kv=text))
    expected = backbone.model.logit_scale.exp() * u @ t.T
    out = tuned({"image": images}, State(0, 1))
    torch.testing.assert_close(out.logits, expected, rtol=0, atol=1e-4)
    tiny_clips.same_gradients(out.logits[:, 0].sum(), expected[:, 0].sum(), list(tuned.learner.parameters()))


def test_sentences(backbone):
    def ids(method, templates=("a drawing of a {}.",)):
        found = method.class_prompts(backbone, NAMES, templates)
        return found, [row[row > 0].tolist() for row in found.ids]

    assert ids(FOUND)[1] == [backbone.prompt_tokenizer(f"a photo of a {name}.") for name in NAMES]
    assert ids(replace(FOUND, words="my"))[1] == [backbone.prompt_tokenizer(f"my {name}.") for name in NAMES]
    assert ids(replace(FOUND, sentence="custom"))[1] == [
        backbone.prompt_tokenizer(f"a drawing of a {name}.") for name in NAMES
    ]
    many, rows = ids(replace(FOUND, sentence="features"))
    assert many.per_class == 60 and rows[61] == backbone.prompt_tokenizer(SIXTY_TEMPLATES[1].format(NAMES[1]))
    blend, rows = ids(replace(FOUND, sentence="ensemble"))
    assert (
        rows == [backbone.prompt_tokenizer(f"itap of the {name}.") for name in NAMES] and blend.embeddings is not None
    )
    for sentence in ("ensemble", "custom"):  # the search uses the plain template
        found, rows = ids(Dpl(sentence=sentence))
        assert rows == ids(FOUND)[1] and found.embeddings is None


@pytest.mark.parametrize("compat", ["paper", "release"])
def test_distillation_from_the_frozen_model(backbone, compat):
    method = replace(FOUND, distill=3.0, compat=compat)
    tuned = tuned_to(method, backbone).train()
    images, labels = tiny_clips.random_images(backbone, 3), torch.tensor([0, 1, 1])
    teacher = method.prepare(tuned, task())
    batch, state = Batch(images, labels), State(0, 1, teacher)
    losses = method.losses(tuned({"image": images}, state), batch, state)
    chosen = SIXTY_TEMPLATES if compat == "paper" else SIXTY_TEMPLATES[-1:]
    with torch.no_grad():
        each = [
            textbook.text_features(
                backbone.model, textbook.tokens(backbone.prompt_tokenizer, [t.format(n) for n in NAMES])
            )
            for t in chosen
        ]
        u = textbook.unit(textbook.image_features(backbone.model, images))
        z = backbone.model.logit_scale.exp() * u @ textbook.unit(torch.stack(each).mean(0)).T
        logits = tuned({"image": images}, state).logits
    p, q = z.softmax(-1), logits.softmax(-1)
    assert losses["distill"].item() == pytest.approx(3 * (p * (p.log() - q.log())).mean().item(), rel=1e-3)
    assert set(replace(method, distill=0.0).losses(tuned({"image": images}, state), batch, state)) == {"ce"}
    assert set(Dpl(distill=3.0).losses(tuned({"image": images}, state), batch, state)) == {"ce"}, "not in the search"


@pytest.mark.parametrize("method", [FOUND, Dpl(longest_text=1, longest_image=1)])
def test_gradcam_includes_the_prefix_tokens_of_the_last_block(backbone, method):
    tuned = tuned_to(method, backbone).eval()
    images, labels = tiny_clips.random_images(backbone, 2), torch.tensor([0, 1])
    prompts = tuned.learner()
    tower = backbone.image_tower
    x = tower.before_last(images, prompts)
    normed = tower.blocks[-1].norm1(x).detach().requires_grad_()
    image = textbook.unit(tower.from_last(x, normed, prompts).features)
    torch.testing.assert_close(image, tuned({"image": images}).image["image"], rtol=0, atol=1e-5)
    logits = backbone.logit_scale * image @ tuned.encode_classes()[0].T
    (gradient,) = torch.autograd.grad(logits.gather(1, labels[:, None]).sum() / logits.numel(), normed)
    weights = gradient[:, 1:].mean(1, keepdim=True)
    expected = (normed[:, 1:] * weights).sum(-1).relu().flatten(1)
    torch.testing.assert_close(gradcam(tuned, images, labels).flatten(1), expected, rtol=1e-3, atol=1e-6)
