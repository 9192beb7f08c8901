"""Checkpoints, training states and shared features, damaged in many ways: either read correctly or refused."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save

import cliptune as ct
import damaged_files
import tiny_clips
from cliptune import run_dir
from cliptune.engine import checkpoint, feature_store
from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError
from cliptune.methods.coop import CoOp
from damaged_files import count_refusals, write_copies
from tiny_tasks import QUICK, task, trained

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def run(tmp_path_factory, photos):
    folder = tmp_path_factory.mktemp("run")
    ct.train("coop", data=f"folder:{photos}", shots=1, epochs=2, out=folder)
    return folder


def test_checkpoint(run, tmp_path, photos, tiny_backbone):
    whole, file = run / run_dir.CHECKPOINT, tmp_path / run_dir.CHECKPOINT
    tensors, about = checkpoint.read_checkpoint(whole)
    image = photos / "cat" / "0.png"
    right = ct.load(whole, tiny_backbone).logits(image)

    def use(same=True):
        answers = ct.load(file, tiny_backbone).logits(image)
        assert torch.equal(answers, right) if same else answers.isfinite().all()

    # The backbone's settings are only used in the message about another backbone, so damage to them has no effect.
    decisive = {**about, "backbone": {key: about["backbone"][key] for key in ("name", "fingerprint")}}
    headers = (
        (what, save({k: v.contiguous() for k, v in tensors.items()}, metadata={checkpoint.FORMAT: text}))
        for what, text in damaged_files.damage_tree(decisive, 120)
    )
    _, refused = count_refusals(lambda: use(same=False), write_copies(file, headers))
    assert refused > 72
    # Few bytes of the header matter: what is not refused may have other names, but gives the same numbers.
    count_refusals(lambda: use(same=False), write_copies(file, damaged_files.damage_bytes(whole.read_bytes(), 30)))
    start = len(whole.read_bytes()) - sum(t.numel() * t.element_size() for t in tensors.values())
    flipped = ((f"bit {i}", _flipped(whole.read_bytes(), start + 37 * i)) for i in range(20))
    assert count_refusals(use, write_copies(file, flipped)) == (20, 20)


def _flipped(content, at):
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


KINDS = {
    "nan": lambda x: x * float("nan"),
    "infinite": lambda x: x + float("inf"),
    "whole numbers": lambda x: x.long(),
    "complex": lambda x: x.to(torch.complex64),
    "too large for float32": lambda x: x.double() + 1e300,
    "flat": lambda x: x.flatten(),
    "more": lambda x: torch.cat([x, x]),
    "none": lambda x: x[:0],
    "a scalar": lambda x: torch.tensor(1.0),
    "truths": lambda x: x > 0,
}


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_of_a_checkpoint(run, tmp_path, kind, tiny_backbone):
    tensors, about = checkpoint.read_checkpoint(run / run_dir.CHECKPOINT)
    checkpoint.write_checkpoint(tmp_path / "c", {"text": KINDS[kind](tensors["text"])}, about)
    with pytest.raises(UserError, match=f"{tmp_path / 'c'} does not fit .*: "):
        ct.load(tmp_path / "c", tiny_backbone)


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16])
def test_floats_of_another_precision_are_converted(run, tmp_path, kind, photos, tiny_backbone):
    tensors, about = checkpoint.read_checkpoint(run / run_dir.CHECKPOINT)
    checkpoint.write_checkpoint(tmp_path / "c", {"text": tensors["text"].to(kind)}, about)
    loaded = ct.load(tmp_path / "c", tiny_backbone).model.learner.state_dict()["text"]
    assert loaded.dtype == torch.float32 and torch.equal(loaded, tensors["text"].to(kind).float())


def test_training_state(tmp_path):
    class Stop(Watcher):
        def epoch(self, row):
            if row["epoch"] == 0:
                raise KeyboardInterrupt

    toy, backbone, file = task(), tiny_clips.backbone("deep_image"), tmp_path / "resume"
    for training in (QUICK, replace(QUICK, optimizer="adamw", keep="best")):
        file.unlink(missing_ok=True)
        with pytest.raises(KeyboardInterrupt):
            trained(CoOp(n_ctx=2), backbone, training, toy, watchers=[Stop()], resume_file=file)
        whole = file.read_bytes()
        tensors, about = checkpoint.read_checkpoint(file)

        def use(training=training):
            trained(CoOp(n_ctx=2), backbone, training, toy, resume_file=file)

        copies = [*damaged_files.damage_bytes(whole, 30)]
        for what, text in damaged_files.damage_tree(about, 30):
            copies.append((what, save(tensors, metadata={checkpoint.FORMAT: text})))
        for name in tensors:
            for other in ("optimizer.9.step", "optimizer.x.exp_avg", "learner.zz", "zz", "optimizer.", "best.zz"):
                rest = {k: v for k, v in tensors.items() if k != name}
                checkpoint.write_checkpoint(file, {**rest, other: tensors[name]}, about)
                copies.append((f"{name} renamed to {other}", file.read_bytes()))
        tried, refused = count_refusals(use, write_copies(file, copies))
        assert refused > 0.8 * tried


def test_features_that_processes_share(tmp_path):
    file, features = tmp_path / "f.safetensors", torch.randn(7, 3)
    feature_store.write_features(file, [features])
    whole = file.read_bytes()

    def use():
        read = feature_store.read_features(file, 4, torch.device("cpu"))
        assert read is None or torch.equal(torch.cat(read), features)

    use()
    assert count_refusals(use, write_copies(file, damaged_files.damage_bytes(whole, 100)))[1] == 0
