import pytest
import torch
import torch.nn.functional as F

import tiny_clips
from cliptune import config, methods, presets
from cliptune.errors import UserError
from cliptune.methods.copypaste import CopyPaste
from cliptune.methods.dapt import Dapt
from cliptune.methods.maple import Maple
from cliptune.types import Batch, State
from tiny_tasks import model, task

BATCH = Batch(
    torch.tensor([1.0, 2.0, 3.0])[:, None, None, None].expand(3, 3, 4, 4),
    torch.tensor([0, 1, 2]),
    torch.zeros(3, 1, 4, 4).index_fill(3, torch.tensor([0]), 1.0).index_fill(3, torch.tensor([1]), 0.5),
)


def test_each_object_is_pasted_onto_the_next_image():
    pasted = CopyPaste().views(BATCH)["pasted"]
    for i, other in enumerate((2, 0, 1)):
        own, theirs = i + 1.0, other + 1.0
        assert (pasted[i, :, :, 0] == own).all()
        assert (pasted[i, :, :, 2:] == theirs).all(), "background of another image"
        assert (pasted[i, :, :, 1] == 0.5 * own + 0.25 * theirs).all(), "soft masks mix; the other's object goes"


def test_the_loss_is_cross_entropy_on_pasted_images():
    backbone, toy = tiny_clips.backbone("deep_image"), task()
    method = CopyPaste(Maple(depth=2), masks_from="data", pasted=0.7)
    tuned = model(method, backbone, toy)
    images = torch.randn(3, 3, backbone.image_size, backbone.image_size, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(3, 1, backbone.image_size, backbone.image_size)
    masks[..., 8:20] = 1
    batch, state = Batch(images, torch.tensor([0, 1, 2]), masks), State(0, 1)
    losses = method.losses(tuned(method.views(batch), state), batch, state)
    alone = tuned({"image": method.views(batch)["pasted"]}, state)
    assert set(losses) == {"ce", "pasted"}
    torch.testing.assert_close(losses["pasted"], 0.7 * F.cross_entropy(alone.logits, batch.labels))


def test_pasted_images_replace_the_originals():
    views = CopyPaste(instead=True).views(BATCH)
    assert views.keys() == {"image"} and torch.equal(views["image"], CopyPaste().views(BATCH)["pasted"])
    wrapped = CopyPaste(Dapt(), instead=True).views(BATCH)
    assert torch.equal(wrapped["foreground"], views["image"] * BATCH.masks)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (CopyPaste(), "auto"),
        (CopyPaste(masks_from="grid"), "grid"),
        (CopyPaste(Dapt(masks_from="gradcam")), "gradcam"),
        (CopyPaste(Dapt(masks_from="gradcam"), masks_from="data"), "data"),
        (Dapt(CopyPaste(masks_from="folder:m"), compat="release"), "seem:m"),
    ],
)
def test_wrappers_share_one_mask_source(method, expected):
    assert method.mask_source() == expected


def test_copypaste_composes_with_dapt_in_either_order():
    for name in ("maple+dapt+copypaste", "coop+copypaste+dapt"):
        method = methods.build(name)
        assert methods.name_of(method) == name
        run = presets.get(name)
        assert config.from_dict(config.to_dict(run)) == run
        assert {"pasted", "foreground", "background"} <= set(method.views(BATCH))


def test_invalid_values_are_refused():
    with pytest.raises(UserError, match="pasted must be at least 0, got -1"):
        CopyPaste(pasted=-1)
    with pytest.raises(UserError, match="copypaste needs a mask for every training image"):
        CopyPaste().views(Batch(BATCH.images, BATCH.labels))
