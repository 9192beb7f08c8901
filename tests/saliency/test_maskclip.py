"""MaskCLIP maps from the last block's values: against the equations, and against exact masks of drawings."""

import pytest
import torch
import torch.nn.functional as F

import tiny_clips
from cliptune import config, experiment, masks, presets, tasks
from cliptune.engine.fit import training_set
from cliptune.methods.maple import Maple
from cliptune.model.tuned_model import TunedModel
from cliptune.saliency.gradcam import threshold_maps
from cliptune.saliency.maskclip import maskclip


@pytest.mark.parametrize("shape", tiny_clips.VITS)
def test_a_map_is_the_cosine_of_values_with_the_class_minus_the_mean(shape):
    backbone = tiny_clips.backbone(shape)
    model = TunedModel(backbone, Maple(depth=2, n_ctx=2), tiny_clips.NAMES).eval()
    images, labels = tiny_clips.random_images(backbone), torch.tensor([0, 2, 1])
    got = maskclip(model, images, labels)

    vit, prompts = backbone.vit, model.prompts()
    with torch.no_grad():
        x = backbone.image_tower.before_last(images, prompts)
        block = vit.transformer.resblocks[-1]
        width = x.shape[-1]
        weight, bias = block.attn.in_proj_weight[2 * width :], block.attn.in_proj_bias[2 * width :]
        tokens = block.attn.out_proj(F.linear(block.ln_1(x), weight, bias))
        patches = F.normalize((vit.ln_post(tokens) @ vit.proj)[:, 1 : 1 + vit.grid_size[0] * vit.grid_size[1]], dim=-1)
        scores = patches @ model.encode_classes()[0].T
        for i, label in enumerate(labels):
            own = scores[i, :, label] - scores[i].mean(-1)
            own = (own - own.min()) / (own.max() - own.min())
            torch.testing.assert_close(got[i, 0].flatten(), own, atol=1e-4, rtol=0)


def test_maps_of_drawings_find_the_object():
    """The untuned bundled backbone: the IoU with exact masks is more than twice that of guesses."""
    run = config.with_options(presets.get("maple+dapt"), {"masks_from": "data", "shots": 1})
    task = tasks.build_task(run)
    model = experiment.untrained_model(run, task).eval()
    examples, source = training_set(model, task, run.training)
    keys, images, labels = next(examples.squashed_batches(64))
    cut = threshold_maps(maskclip(model, images, labels), images.shape[-2:])
    exact = torch.stack([examples.mask(i, source) for i in range(len(keys))]).float() / 255
    exact = F.interpolate(exact, cut.shape[-2:])
    overlap = (cut * exact).sum((1, 2, 3)) / (cut + exact).clamp(max=1).sum((1, 2, 3))
    area = cut.mean((1, 2, 3))
    guess = area * exact.mean((1, 2, 3)) / (area + exact.mean((1, 2, 3)) - area * exact.mean((1, 2, 3)))
    assert overlap.mean() > 2 * guess.mean()


def test_maskclip_is_a_mask_source():
    source = masks.get("maskclip")
    assert source.changes
