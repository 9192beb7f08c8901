"""A resumed run ends at exactly the numbers of an uninterrupted one."""

import shutil
import warnings
from dataclasses import dataclass, replace

import pytest
import torch

import tiny_clips
from cliptune.backbones.backbone import Backbone
from cliptune.engine import checkpoint
from cliptune.engine.resume import TrainingProgress
from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError
from cliptune.methods.clip_lora import ClipLora
from cliptune.methods.coop import CoOp
from cliptune.methods.dapt import Dapt
from cliptune.methods.maple import Maple
from cliptune.methods.tip_adapter_f import TipAdapterF
from tiny_tasks import QUICK, learned, model, same, task, trained

COOP, MAPLE = CoOp(n_ctx=2), Maple(depth=3)


class Killed(BaseException):
    pass


class Killer(Watcher):
    """Stops training after an epoch, or within one, at its second step."""

    def __init__(self, epoch, within=False):
        self.at, self.within, self.steps = epoch, within, 0

    def step(self, epoch, losses):
        self.steps += epoch == self.at
        if self.within and self.steps == 2:
            raise Killed

    def epoch(self, row):
        if not self.within and row["epoch"] == self.at:
            raise Killed


@dataclass(frozen=True)
class Anchored(CoOp):
    """Stays near its initial values and ends at the mean of all epochs."""

    n_ctx: int = 2
    needs_history = True

    def prepare(self, model, task):
        return model.learner().text.detach().clone()

    def losses(self, out, batch, state):
        return {**super().losses(out, batch, state), "near": (out.prompts.text - state.memory).square().sum()}

    def finish(self, model, history):
        mean = torch.stack([tensors["text"] for tensors in history]).mean(0)
        model.learner.load_state_dict({"text": mean})


@dataclass(frozen=True)
class TwoRates(Maple):
    def rates(self):
        return {"to_image": 6.5}


CASES = {
    "text, random crops": (COOP, replace(QUICK, augment="crop")),
    "both towers, best on validation": (MAPLE, replace(QUICK, keep="best", lr=0.05)),
    "masks from Grad-CAM": (Dapt(MAPLE, masks_from="gradcam", switch=0.5), QUICK),
    "masks from a grid": (Dapt(COOP, masks_from="grid"), QUICK),
    "exact masks": (Dapt(MAPLE, masks_from="data"), replace(QUICK, augment="crop")),
    "cached views": (COOP, replace(QUICK, cached_views=2, augment="crop")),
    "no momentum": (COOP, replace(QUICK, momentum=0.0)),
    "AdamW": (COOP, replace(QUICK, optimizer="adamw")),
    "Adam, steps": (COOP, replace(QUICK, optimizer="adam", eps=1e-3, schedule="step", min_lr=1e-4, steps=10)),
    "two rates": (TwoRates(depth=3), replace(QUICK, optimizer="adamw", warmup_epochs=2)),
    "dropout": (ClipLora(rank=1), replace(QUICK, optimizer="adamw")),
    "key-value cache": (TipAdapterF(crops=2, search=True), replace(QUICK, optimizer="adamw", cached_views=2)),
    "start values and history": (Anchored(), QUICK),
}


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_image")


@pytest.mark.parametrize("name", CASES)
def test_a_stopped_run_ends_with_the_same_bits(name, backbone, tmp_path):
    method, training = CASES[name]
    training = replace(training, epochs=4)
    whole, history = trained(method, backbone, training)
    state = tmp_path / "resume"
    for killer in (Killer(0), Killer(2, within=True), Killer(2)):
        with pytest.raises(Killed):
            trained(method, backbone, training, watchers=[killer], resume_file=state)
    resumed, again = trained(method, backbone, training, resume_file=state)
    assert same(learned(whole), learned(resumed))
    assert again == history
    assert state.stat().st_size < 2**19 and [p.name for p in tmp_path.iterdir()] == ["resume"]


def test_a_run_stopped_after_its_last_epoch_is_only_finished(backbone, tmp_path):
    whole, history = trained(COOP, backbone, replace(QUICK, keep="best"))
    with pytest.raises(Killed):
        trained(COOP, backbone, replace(QUICK, keep="best"), watchers=[Killer(2)], resume_file=tmp_path / "r")
    watcher = Killer(99)
    resumed, again = trained(
        COOP, backbone, replace(QUICK, keep="best"), watchers=[watcher], resume_file=tmp_path / "r"
    )
    assert same(learned(whole), learned(resumed)) and again == history and watcher.steps == 0


def test_the_state_is_saved_before_watchers_are_called(backbone, tmp_path):
    with pytest.raises(Killed):
        trained(COOP, backbone, watchers=[Killer(1)], resume_file=tmp_path / "r")
    tensors, about = checkpoint.read_checkpoint(tmp_path / "r")
    assert [row["epoch"] for row in about["history"]] == [0, 1]
    assert set(tensors) == {"learner.text", "optimizer.0.momentum_buffer"}


@pytest.mark.parametrize("old", [False, True], ids=["a current state", "a state with fast_linear"])
def test_another_linear_backend_is_reported_and_never_changes_the_backbone(tmp_path, old):
    shared = tiny_clips.backbone("deep_image")
    first, second = (Backbone("same", shared.model, shared.tokenizer, name) for name in ("torch", "onednn"))
    with pytest.raises(Killed):
        trained(MAPLE, first, watchers=[Killer(0)], resume_file=tmp_path / "r")
    if old:
        tensors, about = checkpoint.read_checkpoint(tmp_path / "r")
        checkpoint.write_checkpoint(tmp_path / "r", tensors, {"history": about["history"], "fast_linear": False})
    shutil.copy(tmp_path / "r", tmp_path / "again")
    if second.linear_backend == "onednn":
        with pytest.warns(UserWarning, match="linear_backend='torch'.*continues with 'onednn'"):
            trained(MAPLE, second, resume_file=tmp_path / "again")
    assert first.linear_backend == "torch" and torch.float32 not in first.onednn_dtypes
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(MAPLE, first, resume_file=tmp_path / "r")


def test_a_damaged_state_is_refused(backbone, tmp_path):
    trained(COOP, backbone, replace(QUICK, epochs=1), resume_file=tmp_path / "r")
    (tmp_path / "r").write_bytes((tmp_path / "r").read_bytes()[:-8])
    with pytest.raises(UserError, match="damaged or truncated"):
        trained(COOP, backbone, resume_file=tmp_path / "r")


def test_the_earlier_of_equal_accuracies_is_best(backbone):
    progress, tuned = TrainingProgress(), model(COOP, backbone, task())
    for epoch, val in enumerate([0.0, 50.0, 50.0, 40.0]):
        tuned.learner.text.data.fill_(epoch)
        progress.add({"epoch": epoch, "val": val}, tuned)
    assert progress.best["text"].unique().tolist() == [1.0]
    assert progress.states == []
