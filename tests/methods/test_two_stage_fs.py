"""2SFS: its LayerNorms and its classifier equal a changed model; stages, names, saving and bad values."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import tiny_clips
from cliptune import config, experiment, model_io
from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError
from cliptune.methods.dapt import Dapt
from cliptune.methods.two_stage_fs import TwoStageFs
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, State
from tiny_tasks import QUICK, fabric, learned, same, task

NAMES = ("cat", "steam_locomotive", "sled dog")


def moved(backbone, method, names=NAMES):
    return tiny_clips.moved(TunedModel(backbone, method, names))


def changed_norms(tuned, norms):
    """A copy of the CLIP with the learned LayerNorms."""
    model = copy.deepcopy(tuned.backbone.model)
    for tower, root in (("text", model), ("image", model.visual)):
        for block, name, affine in norms.places(tower):
            norm = getattr(root if block is None else root.transformer.resblocks[block], name)
            norm.load_state_dict(affine.state_dict())
    return model


def class_features(model, backbone, names):
    texts = [f"a photo of a {name.replace('_', ' ')}." for name in names]
    return F.normalize(model.encode_text(backbone.tokenizer(texts)), dim=-1)


@torch.no_grad()
@pytest.mark.parametrize("shape", tiny_clips.VITS)
@pytest.mark.parametrize("compat", ["paper", "release"])
def test_the_first_stage_equals_a_clip_with_its_norms(shape, compat):
    backbone = tiny_clips.backbone(shape)
    tuned = moved(backbone, TwoStageFs(compat=compat))
    outside = {name for tower in ("text", "image") for block, name, _ in tuned.learner.places(tower) if block is None}
    assert outside == ({"ln_pre", "ln_post", "ln_final"} if compat == "paper" else set())
    batch, model = (
        Batch(tiny_clips.random_images(backbone), torch.tensor([2, 0, 1])),
        changed_norms(tuned, tuned.learner),
    )
    image = F.normalize(model.encode_image(batch.images), dim=-1)
    logits = backbone.logit_scale * image @ class_features(model, backbone, NAMES).T
    out = tuned({"image": batch.images}, State(0, 1))
    torch.testing.assert_close(out.logits, logits, rtol=0, atol=2e-3)
    (loss,) = tuned.method.losses(out, batch, State(0, 1)).values()
    torch.testing.assert_close(loss, F.cross_entropy(logits, batch.labels), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_known_names_use_the_classifier_and_others_the_text_tower():
    backbone = tiny_clips.backbone("deep_image")
    tuned = moved(backbone, TwoStageFs(stage="classifier"))
    model, images = changed_norms(tuned, tuned.learner.norms), tiny_clips.random_images(backbone)
    image, rows = F.normalize(model.encode_image(images), dim=-1), F.normalize(tuned.learner.weight, dim=-1)
    mixed = ("sled dog", "a piano", "cat")
    text = torch.stack([rows[2], class_features(model, backbone, mixed)[1], rows[0]])
    for names, wanted in ((NAMES, rows), (NAMES[::-1], rows.flip(0)), (mixed, text)):
        out = tuned.with_classes(names).eval()({"image": images})
        torch.testing.assert_close(out.logits, backbone.logit_scale * image @ wanted.T, rtol=0, atol=2e-3)


def stages(training, folder=None, watchers=(), method=None):
    run = config.RunConfig(method or TwoStageFs(), training=training, shots=4)
    return experiment.train_stages(run, task(), fabric(), folder, watchers)


def test_the_classifier_starts_where_the_norms_end():
    model, run, history = stages(replace(QUICK, epochs=5, optimizer="adamw"))
    assert run.method == TwoStageFs(stage="classifier") and len(history) == 5
    frozen = {name for name, p in model.learner.named_parameters() if not p.requires_grad}
    assert frozen == {f"norms.{name}" for name in model.learner.norms.state_dict()}
    first = experiment.untrained_model(run, task())
    assert not same(learned(first), learned(model))
    run.method.continue_from(first, TunedModelOf(model.learner.norms))
    run.method.prepare(first, task())
    start = first.backbone.class_features(first.class_text.text, first.learner())
    assert torch.equal(first.learner.weight, start)
    assert F.cosine_similarity(model.learner.weight, start).min() > 0.5


class TunedModelOf:
    """Stands for the model of the first stage."""

    def __init__(self, learner):
        self.learner = learner


def test_steps_are_shared_between_the_stages():
    _, _, history = stages(replace(QUICK, warmup_epochs=0, schedule="step", steps_per_shot=5))  # 20 steps, 3 an epoch
    assert [row["epoch"] for row in history] == list(range(7)), "12 and 8 steps"


def test_a_run_stopped_in_the_second_stage_ends_with_the_same_bits(tmp_path):
    training = replace(QUICK, epochs=5, optimizer="adamw")
    whole, _, history = stages(training)

    class Killed(BaseException):
        pass

    class Killer(Watcher):
        def __init__(self):
            self.seen = 0

        def epoch(self, row):
            self.seen += 1
            if self.seen == 4:
                raise Killed

    with pytest.raises(Killed):
        stages(training, tmp_path, [Killer()])
    resumed, _, again = stages(training, tmp_path)
    assert same(learned(whole), learned(resumed)) and again == history


def test_a_saved_model_keeps_the_names_of_its_classifier(tmp_path):
    backbone = tiny_clips.backbone("deep_image")
    tuned = moved(backbone, TwoStageFs(stage="classifier")).eval()
    views = {"image": tiny_clips.random_images(backbone)}
    for names in (NAMES, ("sled dog", "a piano")):
        other = tuned.with_classes(names)
        model_io.save_model(tmp_path / "checkpoint.safetensors", config.RunConfig(tuned.method), other)
        loaded, _ = model_io.load_model(tmp_path, backbone)
        assert loaded.classnames == names
        with torch.no_grad():
            assert torch.equal(loaded(views).logits, other(views).logits)


def test_dapt_wraps_both_stages():
    method = Dapt(TwoStageFs(), masks_from="data")
    _, run, history = stages(replace(QUICK, epochs=2), method=method)
    assert run.method == replace(method, base=TwoStageFs(stage="classifier")) and len(history) == 2


@pytest.mark.parametrize("options", [{"norm_share": 0.0}, {"norm_share": 1.0}, {"template": "a photo"}])
def test_values_out_of_range_are_refused(options):
    with pytest.raises(UserError, match=next(iter(options))):
        TwoStageFs(**options)
