"""The export of models that change weights: scale, warnings and refusals. The contract tests cover every method."""

import math
import warnings

import open_clip
import pytest
import torch
from safetensors.torch import load_file

from cliptune.errors import UserError
from cliptune.methods.clip_lora import ClipLora
from cliptune.methods.coop import CoOp
from cliptune.methods.two_stage_fs import TwoStageFs
from cliptune.methods.zeroshot import ZeroShot
from cliptune.model.export import export_open_clip
from cliptune.types import Prompts
from tiny_clips import SHAPES, backbone, random_images
from tiny_tasks import model, task, trained


def exported(tuned, tmp_path):
    file = export_open_clip(tuned, tmp_path / "weights.safetensors")
    plain = open_clip.model.CLIP(**SHAPES[tuned.backbone.name]).eval()
    open_clip.load_checkpoint(plain, str(file))
    return plain, load_file(file)


def test_the_file_has_the_scale_of_the_method(tmp_path):
    of = backbone("deep_text")
    tuned, _ = trained(ClipLora(logit_scale=37.0), of)
    plain, tensors = exported(tuned, tmp_path)
    assert math.exp(tensors["logit_scale"]) == pytest.approx(37, rel=1e-4)
    images = random_images(of)
    sentences = open_clip.SimpleTokenizer()([f"a photo of a {name}." for name in tuned.classnames])
    with torch.no_grad():
        cosines = plain.encode_image(images, True) @ plain.encode_text(sentences, True).T
        assert torch.allclose(37 * cosines, tuned({"image": images}).logits, atol=1e-3)


def test_what_is_not_changed_stays_as_it_was(tmp_path):
    of = backbone("deep_image")
    tuned, _ = trained(ClipLora(encoder="image", params=("v",), position="top3"), of)
    _, tensors = exported(tuned, tmp_path)
    state = of.model.state_dict()
    changed = {name for name, value in tensors.items() if not torch.equal(value, state[name])}
    assert tensors.keys() == state.keys()
    assert changed == {f"visual.transformer.resblocks.{i}.attn.in_proj_weight" for i in (1, 2, 3)}


def test_a_classifier_that_the_file_cannot_contain_is_named(tmp_path):
    tuned, _ = trained(TwoStageFs(stage="classifier"), backbone("deep_image"))
    with pytest.warns(UserWarning, match="has the towers of TwoStageFs, but not its classifier"):
        exported(tuned, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exported(tuned.with_classes(("a", "b")).eval(), tmp_path)  # whose features are those of the text tower


class Doubled(ClipLora):
    """Logits that are no multiple of the cosines."""

    def logits(self, out, view="image"):
        return super().logits(out, view) ** 3


def test_logits_that_are_no_cosines_are_named(tmp_path):
    with pytest.warns(UserWarning, match="the logits of Doubled are not scaled cosines"):
        exported(model(Doubled(), backbone("deep_image"), task()).eval(), tmp_path)


@pytest.mark.parametrize(
    "method, reason",
    [
        (CoOp(n_ctx=2), r"this model \(CoOp\) cannot be exported: it has learned text tokens, .* use the run itself"),
        (ZeroShot(), r"this model \(ZeroShot\) changes no weights, .* would be the backbone deep_image; use that"),
    ],
)
def test_models_without_changed_weights_are_refused(method, reason, tmp_path):
    with pytest.raises(UserError, match=reason):
        export_open_clip(model(method, backbone("deep_image"), task()).eval(), tmp_path / "w.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_new_part_of_prompts_is_refused_by_its_name(tmp_path, monkeypatch):
    tuned = model(ClipLora(), backbone("deep_image"), task()).eval()
    monkeypatch.setattr("cliptune.model.export.NEUTRAL", ())
    own = tuned.prompts
    monkeypatch.setattr(tuned, "prompts", lambda merge=True: Prompts(**{**vars(own(merge)), "mix": 0.5}))
    with pytest.raises(UserError, match="cannot be exported: it has mix, and"):
        export_open_clip(tuned, tmp_path / "w.safetensors")
