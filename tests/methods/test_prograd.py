"""ProGrad: the projected gradient, alone, wrapped and with scaled losses, and the initial context."""

import pytest
import torch
import torch.nn.functional as F
from torch import Generator

import textbook
import tiny_clips
from cliptune.errors import UserError
from cliptune.methods.copypaste import CopyPaste
from cliptune.methods.dapt import Dapt
from cliptune.methods.prograd import ProGrad
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, State
from tiny_clips import NAMES, normal, random_images

CLEAN = [name.replace("_", " ") for name in NAMES]
#: One of the two label vectors makes the gradients conflict.
LABELLINGS = [torch.tensor([i, i, i]) for i in range(len(NAMES))]


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_text")


def prepared(method, backbone, labels):
    model = TunedModel(backbone, method, NAMES, ("a drawing of a {}.",))
    with torch.no_grad():
        model.learner.text.copy_(normal(*model.learner.text.shape, std=0.3))
    images = random_images(backbone)
    masks = (normal(3, 1, *images.shape[-2:], seed=9) > 0).float()
    return model, Batch(images, labels, masks), State(0, 1, method.prepare(model, None))


def losses_of(model, batch, state):
    return model.method.losses(model(model.method.views(batch), state), batch, state)


def sides(backbone, context, batch, temperature):
    """Gradients of the cross-entropy and of the distillation loss, by the reference implementation."""
    ids, _ = textbook.prompted(backbone.prompt_tokenizer, " ".join("X" * len(context)), CLEAN)
    ce, logits = textbook.coop_step(backbone.model, ids, context, batch.images, batch.labels)
    sentences = textbook.tokens(backbone.prompt_tokenizer, [f"a drawing of a {name}." for name in CLEAN])
    teacher = textbook.unit(textbook.text_features(backbone.model, sentences))
    known = backbone.logit_scale * textbook.unit(textbook.image_features(backbone.model, batch.images)) @ teacher.T
    p, q = F.softmax(known / temperature, 1), F.log_softmax(logits / temperature, 1)
    kl = -(temperature**2) * (p * q).sum(1).mean()
    return kl, [torch.autograd.grad(loss, context, retain_graph=True)[0] for loss in (ce, kl)]


@pytest.mark.parametrize("labels", LABELLINGS, ids=str)
@pytest.mark.parametrize("temperature, lam", [(1.0, 1.0), (2.0, 0.5)])
def test_the_gradient_equals_the_reference(backbone, labels, temperature, lam):
    model, batch, state = prepared(ProGrad(4, temperature=temperature, lam=lam), backbone, labels)
    losses = losses_of(model, batch, state)
    kl, (a, b) = sides(backbone, model.learner.text, batch, temperature)
    torch.testing.assert_close(losses["kl"], kl, rtol=1e-4, atol=1e-5)
    dot = (a * b).sum()
    expected = a if dot >= 0 else a - lam * dot / b.square().sum() * b
    model.method.update(losses, [model.learner.text])
    assert (model.learner.text.grad - expected).abs().max() < 1e-3 * expected.abs().max()


def test_both_directions_occur(backbone):
    dots = []
    for labels in LABELLINGS:
        model, batch, _ = prepared(ProGrad(4), backbone, labels)
        _, (a, b) = sides(backbone, model.learner.text, batch, 1.0)
        dots.append((a * b).sum().item())
    assert min(dots) < 0 < max(dots), "otherwise the test above tests one case alone"


@pytest.mark.parametrize("wrapper", [Dapt, CopyPaste])
def test_losses_of_a_wrapper_are_added_to_the_cross_entropy(backbone, wrapper):
    method = wrapper(base=ProGrad(4))
    for labels in LABELLINGS[:3]:
        model, batch, state = prepared(method, backbone, labels)
        losses = losses_of(model, batch, State(9, 10, state.memory))
        assert set(losses) > {"ce", "kl"}
        parameter = model.learner.text
        own = sum(loss for name, loss in losses.items() if name != "kl")
        a, b = (torch.autograd.grad(loss, parameter, retain_graph=True)[0] for loss in (own, losses["kl"]))
        dot = (a * b).sum()
        model.method.update(losses, [parameter])
        torch.testing.assert_close(parameter.grad, a - min(dot, 0) / b.square().sum() * b, rtol=1e-4, atol=1e-6)


def test_columns_that_a_wrapper_adds_are_not_compared_with_the_teacher(backbone):
    labels = LABELLINGS[0]
    model, batch, state = prepared(ProGrad(4), backbone, labels)
    around, _, _ = prepared(Dapt(base=ProGrad(4), compat="release"), backbone, labels)
    more = losses_of(around, batch, state)
    assert more["ce"] > losses_of(model, batch, state)["ce"], "seven more columns"
    torch.testing.assert_close(more["kl"], losses_of(model, batch, state)["kl"])


def test_scaled_losses_give_scaled_gradients(backbone):
    labels = LABELLINGS[0]
    gradients = []
    for scale in (1.0, 65536.0):
        model, batch, state = prepared(ProGrad(4), backbone, labels)
        losses = {name: scale * loss for name, loss in losses_of(model, batch, state).items()}
        model.method.update(losses, [model.learner.text])
        gradients.append(model.learner.text.grad / scale)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


def test_parameters_outside_the_distillation_loss_keep_their_gradient(backbone):
    one, other, third = (normal(3, seed=i).requires_grad_() for i in range(3))
    losses = {"ce": (one * normal(3, seed=5)).sum() + other.square().sum(), "kl": -(one * normal(3, seed=5)).sum()}
    ProGrad().update(losses, [one, other, third])
    assert torch.equal(other.grad, 2 * other) and third.grad is None
    assert one.grad.abs().max() < 1e-6, "all of it opposed the teacher"


def test_words_fill_the_last_vectors(backbone):
    def start(**options):
        return ProGrad(6, "a photo of", **options).learner(backbone, NAMES, Generator().manual_seed(0)).text

    words = backbone.embed_words("a photo of", 3)
    assert torch.equal(start()[3:], words) and torch.equal(start(compat="release")[3:], words)
    assert start()[:3].std().item() == pytest.approx(0.02, rel=0.5) and not start(compat="release")[:3].any()
    sentences = ProGrad(6, "a photo of").class_prompts(backbone, NAMES, ())
    ids = backbone.prompt_tokenizer("X X X a photo of cat.")
    assert sentences.ids[0, : len(ids)].tolist() == ids
    assert sentences.slots[0, : len(ids)].tolist() == [-1, 0, 1, 2, 3, 4, 5, -1, -1, -1]


@pytest.mark.parametrize(
    "position, slots", [("middle", [-1, 0, -1, 1, 2, -1, -1]), ("front", [-1, -1, 0, 1, 2, -1, -1])]
)
def test_the_position_of_the_class_name(backbone, position, slots):
    sentences = ProGrad(3, position=position).class_prompts(backbone, NAMES, ())
    assert sentences.slots[0, :7].tolist() == slots


def test_words_of_several_tokens_are_reported(backbone):
    with pytest.warns(UserWarning, match="'showing carburettors' is 2 words but . tokens: the last stay fixed"):
        ProGrad(4, "showing carburettors").learner(backbone, NAMES, Generator())


@pytest.mark.parametrize(
    "options, sentence",
    [
        (
            {"n_ctx": 2, "words": "a photo of"},
            "n_ctx must be at least 3, got 2; the context includes 'a photo of'",
        ),
        ({"n_ctx": 0}, "n_ctx must be at least 1, got 0"),
        ({"temperature": 0.0}, "temperature must be positive, got 0.0"),
        ({"lam": -0.1}, "lam must be at least 0, got -0.1"),
        ({"template": "a {} {}"}, "template 'a {} {}' needs exactly one {} where the class name goes"),
    ],
)
def test_meaningless_values_are_refused(options, sentence):
    with pytest.raises(UserError, match=sentence):
        ProGrad(**options)
