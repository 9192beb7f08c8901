"""Grad-CAM against a full backward pass through open_clip's tower; refreshed masks reach training."""

from dataclasses import dataclass, field

import pytest
import torch
import torch.nn.functional as F

import tiny_clips
from cliptune.data.transforms import squash, standardise
from cliptune.engine.fit import fit, training_set
from cliptune.masks.saliency_masks import GradCamMasks
from cliptune.methods.coop import CoOp
from cliptune.methods.dapt import Dapt
from cliptune.methods.maple import Maple
from cliptune.saliency.gradcam import (
    activation_and_gradient,
    gradcam,
    resize_and_normalize,
    threshold_maps,
)
from tiny_tasks import QUICK, fabric, model, task

COOP = CoOp(n_ctx=2)


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_image")


def whole_backward(tuned, images, labels, score):
    """Activation and gradient by hooks on open_clip's modules."""
    backbone = tuned.backbone
    captured = []
    hook = backbone.visual.transformer.resblocks[-1].ln_1.register_forward_hook(
        lambda module, inputs, output: captured.append(output.requires_grad_())
    )
    image = F.normalize(backbone.model.encode_image(images), dim=-1)
    hook.remove()
    with torch.no_grad():
        text = backbone.class_features(tuned.method.class_prompts(backbone, tuned.classnames, ()), tuned.learner())
    logits = backbone.logit_scale * image @ text.T
    values = logits if score == "logit" else logits.softmax(-1)
    true = sum(values[i, label] for i, label in enumerate(labels)) / values.numel()
    return captured[0].detach(), torch.autograd.grad(true, captured[0])[0]


@pytest.mark.parametrize("score", ["logit", "probability"])
def test_the_backward_pass_of_one_block_equals_the_full_one(backbone, score):
    tuned = model(COOP, backbone, task()).eval()
    images, labels = tiny_clips.random_images(backbone, 4), torch.tensor([2, 0, 1, 1])
    activation, gradient = activation_and_gradient(tuned, images, labels, score)
    expected, expected_gradient = whole_backward(tuned, images, labels, score)
    assert torch.allclose(activation, expected, atol=1e-4)
    scale = expected_gradient.abs().max()
    assert scale > 0 and (gradient - expected_gradient).abs().max() < 1e-3 * scale
    assert all(p.grad is None for p in tuned.parameters())

    maps = torch.zeros(4, 1, *backbone.patch_grid)
    for i in range(4):
        weights = expected_gradient[i, 1:].mean(0)
        for p in range(16):
            maps[i, 0, p // 4, p % 4] = max(0.0, float(expected[i, 1 + p] @ weights))
    assert torch.allclose(gradcam(tuned, images, labels, score), maps, rtol=1e-3, atol=1e-3 * float(maps.max()))


def test_the_map_is_that_of_the_tuned_model(backbone):
    images, labels = tiny_clips.random_images(backbone, 3), torch.tensor([0, 1, 2])
    tuned = model(Maple(depth=3), backbone, task()).eval()
    before = gradcam(tuned, images, labels)
    for parameter in tuned.learner.parameters():
        parameter.data += tiny_clips.normal(*parameter.shape, std=0.3)
    tuned.eval()
    assert before.shape == (3, 1, 4, 4) and (before >= 0).all()
    assert not torch.allclose(before, gradcam(tuned, images, labels), rtol=0.05)


def test_maps_are_scaled_by_the_maximum_of_each_image():
    cam = torch.rand(3, 1, 4, 4) * torch.tensor([1e-8, 1.0, 50.0]).view(3, 1, 1, 1)
    unit = resize_and_normalize(cam, (8, 8))
    assert torch.allclose(unit.amax((1, 2, 3)), torch.ones(3)) and (unit >= 0).all()
    together = resize_and_normalize(cam, (8, 8), batch_maximum=True).amax((1, 2, 3))
    assert together[2] == pytest.approx(1) and together[1] < 0.1


def test_masks_are_thresholded_maps():
    cam = torch.tensor([[0.0, 1.0], [2.0, 4.0]])[None, None]
    assert threshold_maps(cam, (2, 2), 0.5).flatten().tolist() == [0, 0, 1, 1]
    assert threshold_maps(cam, (2, 2), 0.25).flatten().tolist() == [0, 1, 1, 1]
    assert not threshold_maps(torch.zeros(1, 1, 2, 2), (2, 2)).any(), "nothing salient, no foreground"


@pytest.mark.parametrize("batch_size", [2, 64])
def test_refreshed_masks_are_maps_of_whole_images(backbone, batch_size):
    toy = task()
    tuned = model(Dapt(COOP, masks_from="gradcam"), backbone, toy)
    examples, _ = training_set(tuned, toy, QUICK)
    source = GradCamMasks(threshold=0.4, batch_size=batch_size)
    source = source.refreshed(tuned, examples.squashed_batches(batch_size))
    assert tuned.training, "left as it was"
    for example in toy.train:
        image = toy.dataset.read(example)
        pixels = standardise(
            squash(image.image, backbone.preprocess), backbone.preprocess.mean, backbone.preprocess.std
        )
        cam = gradcam(tuned.eval(), pixels[None], torch.tensor([example.label]))
        expected = threshold_maps(cam, tuple(image.image.shape[-2:]), 0.4)[0]
        assert (source.mask(example, image) / 255 != expected).float().mean() < 0.01


@dataclass(frozen=True)
class Watched(Dapt):
    """Records the masks that training used."""

    seen: list = field(default_factory=list)

    def views(self, batch):
        self.seen.append({int(i): m for i, m in zip(batch.index, batch.masks, strict=True)})
        return super().views(batch)


def test_training_uses_masks_refreshed_every_epoch(backbone):
    toy = task()
    runs = [Watched(Maple(depth=3), masks_from="gradcam") for _ in range(2)]
    for method in runs:
        fit(model(method, backbone, toy), toy, QUICK, fabric=fabric())
    steps = len(toy.train) // QUICK.batch_size
    epochs = [
        {k: v for step in runs[0].seen[e * steps :][:steps] for k, v in step.items()} for e in range(QUICK.epochs)
    ]
    assert all(len(epoch) == len(toy.train) for epoch in epochs)

    start = model(runs[0], backbone, toy)
    examples, masks = training_set(start, toy, QUICK)
    masks = masks.refreshed(start, examples.squashed_batches(masks.batch_size))
    for batch in examples.epoch_batches(0, 4, torch.device("cpu"), masks=masks):
        for i, mask in zip(batch.index.tolist(), batch.masks, strict=True):
            assert torch.equal(mask, epochs[0][i]), "the first epoch's masks are the untrained model's"

    changed = [i for i in epochs[0] if not torch.equal(epochs[0][i], epochs[-1][i])]
    assert changed, "training moved the model, but not its masks"
    for one, other in zip(runs[0].seen, runs[1].seen, strict=True):
        assert one.keys() == other.keys() and all(torch.equal(one[i], other[i]) for i in one)
