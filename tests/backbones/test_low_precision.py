"""Towers under autocast: frozen weights are cast once, results and gradients stay close to float32."""

import copy

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from backbones.test_changed_block import change
from backbones.test_padded_text_tower import TOWERS, WORDS, encoding, names, tower
from cliptune.backbones.backbone import Backbone
from cliptune.backbones.features import normalise
from cliptune.backbones.padded_text_tower import PaddedTextTower
from cliptune.backbones.tokenized_text import tokenize_with_context
from cliptune.types import Prompts
from tiny_clips import NAMES, SHAPES, VITS, backbone, learned, random_images

LOW = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])


def own_backbone(shape: str) -> Backbone:
    """A backbone that a test may change. Its linear layers use PyTorch, as on a GPU."""
    return Backbone(shape, copy.deepcopy(backbone(shape).model), backbone(shape).tokenizer, linear_backend="torch")


def low(of: Backbone, dtype: torch.dtype = torch.bfloat16):
    return of.autocast_with(lambda: torch.autocast("cpu", dtype))


def prompted(of: Backbone) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Tensors that learn, and the logits of images with deep prompts in both towers."""
    text = [learned(2, of.text_width), *(learned(2, of.text_width, seed=i) for i in (1, 2))]
    image = [learned(2, of.image_width, seed=i) for i in (3, 4)]
    sentences = tokenize_with_context(of.prompt_tokenizer, "a photo", 2, NAMES)
    prompts = Prompts(text=text[0], text_deep=tuple(text[1:]), image=tuple(image))
    features = normalise(of.encode_image(random_images(of), prompts))
    return [*text, *image], 10 * features @ of.class_features(sentences, prompts).T


class Casts(TorchDispatchMode):
    """Collects shapes of frozen tensors of a model, and of scaled copies of its matrices, that are converted to another
    type."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.frozen = {p.untyped_storage().data_ptr() for p in model.parameters()}
        self.shapes = {tuple(p.shape) for p in model.parameters() if p.ndim > 1}
        self.found: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._to_copy.default:
            (tensor,) = args
            if tuple(tensor.shape) in self.shapes or tensor.untyped_storage().data_ptr() in self.frozen:
                self.found.append(tuple(tensor.shape))
        return func(*args, **kwargs or {})


@pytest.mark.parametrize("shape", VITS)
def test_a_second_step_casts_no_frozen_weight(shape):
    of, seen = own_backbone(shape), []
    with low(of):
        for _ in range(2):
            with Casts(of.model) as casts:
                _, logits = prompted(of)
                logits.sum().backward()
            seen.append(casts.found)
    linear = [p for name, p in of.model.named_parameters() if name.endswith(("out_proj.weight", "c_fc.weight"))]
    assert all(tuple(p.shape) in seen[0] for p in linear), "the first step makes the copies"
    assert not seen[1]


def test_evaluation_uses_the_copies_of_training():
    of = own_backbone("deep_text")
    with low(of):
        prompted(of)[1].sum().backward()
        with torch.no_grad(), Casts(of.model) as casts:
            prompted(of)
    assert not casts.found


@LOW
@pytest.mark.parametrize("shape", VITS)
@pytest.mark.parametrize("backend", ["torch", "onednn"])
def test_logits_and_gradients_are_close_to_float32(shape, backend, dtype):
    of = backbone(shape, backend)
    with low(of, dtype):
        leaves, near = prompted(of)
    exact_leaves, exact = prompted(of)
    assert near.dtype == torch.float32 and not torch.equal(near, exact)
    assert (near - exact).abs().max() < 0.2  # of cosines times 10
    ours = torch.autograd.grad(near.softmax(1)[:, 0].sum(), leaves)
    reference = torch.autograd.grad(exact.softmax(1)[:, 0].sum(), exact_leaves)
    for got, expected in zip(ours, reference, strict=True):
        assert got.dtype == torch.float32
        assert torch.cosine_similarity(got.flatten(), expected.flatten(), dim=0) > 0.99


def test_the_copies_are_dropped_after_a_move_and_are_not_part_of_the_state():
    of, images = own_backbone("deep_image"), random_images(backbone("deep_image"))
    state = set(of.state_dict())
    with low(of):
        of.encode_image(images)
        tower_before = of.image_tower
        of.model.visual.proj.data *= 2  # not counted as a change
        before = of.encode_image(images)
        of.to(torch.float64).to(torch.float32)
        assert of.image_tower is not tower_before
        torch.testing.assert_close(of.encode_image(images).float(), 2 * before.float(), rtol=1e-3, atol=1e-3)
    assert set(of.state_dict()) == state


@pytest.mark.parametrize(
    "load",
    [
        lambda of, state: of.load_state_dict(state),
        lambda of, state: of.load_state_dict(state, assign=True),
        lambda of, state: of.model.load_state_dict({k.removeprefix("model."): v for k, v in state.items()}),
    ],
    ids=["backbone", "assigned", "model"],
)
@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_loaded_weights_are_used(load, precision):
    of, other = own_backbone("deep_text"), own_backbone("deep_text")
    with torch.no_grad():
        for parameter in other.model.parameters():
            parameter *= 1.1
    images, text = random_images(of), of.tokenize(NAMES)
    for one in (of, other):
        one.autocast = lambda: torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")
    first = of.encode_image(images), of.encode_text(text)
    load(of, other.state_dict())
    for got, before, expected in zip(
        (of.encode_image(images), of.encode_text(text)),
        first,
        (other.encode_image(images), other.encode_text(text)),
        strict=True,
    ):
        assert torch.equal(got, expected) and not torch.equal(got, before)


@pytest.mark.parametrize("shape", VITS)
def test_changed_weights(shape):
    of = backbone(shape, "torch")
    tower_change, leaves = change(of, of.image_width, of.image_depth, "q v o fc proj")
    prompts, images = Prompts(image_change=tower_change), random_images(of)
    exact = normalise(of.encode_image(images, prompts))
    with low(of):
        near = normalise(of.encode_image(images, prompts))
        with torch.no_grad():
            merged = normalise(of.encode_image(images, of.merged(prompts)))
    for got in (near, merged):
        assert (got - exact).abs().max() < 0.05 and not torch.equal(got, normalise(of.encode_image(images)))
    for gradient in torch.autograd.grad(near[:, :5].sum(), leaves):
        assert gradient.dtype == torch.float32 and gradient.any()


@LOW
@pytest.mark.parametrize("kind", TOWERS)
def test_text_towers_of_other_kinds(kind, dtype):
    module = tower(**TOWERS[kind])
    text, context = tokenize_with_context(encoding(module, True), WORDS, 4, names()), learned(4, 64)
    own = PaddedTextTower(module)
    exact = own(text, Prompts(text=context))
    with torch.autocast("cpu", dtype):
        near = own(text, Prompts(text=context))
        with Casts(module) as casts:
            own(text, Prompts(text=context))
    assert near.dtype == dtype and not casts.found
    assert (near - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize("shape", sorted(set(SHAPES) - set(VITS)))
def test_other_image_towers(shape):
    of = backbone(shape)
    images = random_images(of)
    exact = normalise(of.encode_image(images))
    with low(of):
        assert (normalise(of.encode_image(images)) * exact).sum(-1).min() > 0.99
