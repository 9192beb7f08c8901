"""Learned prompts from checkpoints: shifts of both towers, nearest words, accuracy per class."""

from __future__ import annotations

import pytest
import torch

from cliptune import train
from cliptune.errors import UserError
from cliptune.report.collect.learned_prompts import collect_feature_shifts, collect_prompt_words, token_words
from cliptune.report.collect.models import ZERO_SHOT, collect_confusion, restore_models, sample_examples


@pytest.fixture(scope="module")
def runs(tmp_path_factory, photos):
    root = tmp_path_factory.mktemp("runs")
    for method, own in (("coop", {"words": "a photo of a"}), ("maple", {"depth": 2}), ("linear_probe", {})):
        train(method, f"folder:{photos}", shots=2, epochs=1, lr=1e-9, out=root / method, **own)
    return restore_models({method: root / method for method in ("coop", "maple", "linear_probe")})


def test_zero_shot_is_always_included(runs):
    assert list(runs.models) == [ZERO_SHOT, "coop", "maple", "linear_probe"] and runs.untuned == ZERO_SHOT


def test_only_tokens_in_both_towers_shift_both(runs):
    (one,) = collect_feature_shifts(runs)
    assert one.method == "maple"
    blocks = runs.models["maple"].backbone
    assert len(one.text) == blocks.text_depth and len(one.image) == blocks.image_depth
    assert all(value > 0 for value in one.image)
    # Almost no training, so that the learned context equals its initial value.
    assert one.text == pytest.approx(one.text_start, abs=1e-4)
    assert one.image == pytest.approx(one.image_start, abs=1e-4)


def test_untrained_context_is_nearest_to_its_own_words(runs):
    found = {one.method: one for one in collect_prompt_words(runs)}
    assert list(found) == ["coop", "maple"]
    assert [row[0][0] for row in found["coop"].euclidean] == "a photo of a".split()
    assert all(row[0][1] == pytest.approx(0, abs=1e-4) for row in found["coop"].euclidean)
    assert all(row[0][1] == pytest.approx(1, abs=1e-4) for row in found["coop"].cosine)


def test_only_whole_known_words_are_listed(runs):
    backbone = runs.models["coop"].backbone
    texts, usable = token_words(backbone)
    assert len(texts) == backbone.text.token_embedding.weight.shape[0] == len(usable)
    words = [text for text, use in zip(texts, usable, strict=True) if use]
    assert "photo" in words and all(word.isalpha() for word in words)
    ids = [i for i, use in enumerate(usable) if use]
    assert not backbone.prompt_tokenizer.unknown_ids(ids)


def test_counts_by_class_add_up(runs):
    (one,) = collect_confusion(runs)
    assert one.name == "test" and one.untuned == ZERO_SHOT and set(one.counts) == set(runs.models)
    labels = torch.tensor([e.label for e in runs.task.tests["test"].examples])
    for counts in one.counts.values():
        assert torch.equal(torch.tensor(counts).sum(1), torch.bincount(labels, minlength=3))


def test_an_unusable_checkpoint_is_reported(tmp_path, runs, photos):
    train("coop", f"folder:{photos}", shots=1, epochs=1, n_ctx=2, out=tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "checkpoint.safetensors").write_bytes(b"no")
    found = restore_models({"good": tmp_path / "good", "bad": tmp_path / "bad"})
    assert "good" in found.models and "bad" not in found.models and "bad" in found.notes[0]
    with pytest.raises(UserError, match="no checkpoint can be used"):
        restore_models({"bad": tmp_path / "bad"})


def test_the_sample_does_not_follow_the_order_of_classes():
    whole = list(range(960))
    some = sample_examples(whole, 480)
    assert some == sample_examples(whole, 480) and list(some) == sorted(set(some)) and len(some) == 480
    assert {i % 2 for i in some} == {0, 1}, "not every second alone"
    for turn in (2, 3, 4, 5):
        share = sum(i % turn == 0 for i in some) / len(some)
        assert abs(share - 1 / turn) < 0.07
    assert sample_examples(whole, 960) == sample_examples(whole, 5000) == tuple(whole)
