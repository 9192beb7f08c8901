"""Features of test images on disk: the same numbers, computed once, keyed by settings and images."""

import os

import pytest
import torch

from cliptune.data import sources
from cliptune.data.config import DataConfig
from cliptune.data.custom.folder import Folder
from cliptune.engine import evaluate, feature_store
from cliptune.methods.maple import Maple
from cliptune.methods.zeroshot import ZeroShot
from cliptune.model.tuned_model import TunedModel
from cliptune.types import TestSet
from tiny_tasks import drawings, write_images


@pytest.fixture
def asked(tmp_path, tiny_backbone, monkeypatch):
    """A function that evaluates again and returns the logits and the number of images that the tower encoded."""
    write_images(tmp_path / "p", each=4)
    seen = []
    encode = type(tiny_backbone).encode_image
    monkeypatch.setattr(
        type(tiny_backbone), "encode_image", lambda self, x, *a, **k: (seen.append(len(x)), encode(self, x, *a, **k))[1]
    )

    def ask(method=None, dataset=None, folder=tmp_path / "shared", **more):
        tiny_backbone.feature_cache.clear()
        seen.clear()
        dataset = dataset or Folder(tmp_path / "p")
        examples = tuple(dataset.examples("train")[:6])
        model = TunedModel(tiny_backbone, method or ZeroShot(), dataset.classnames)
        with feature_store.share_features(folder):
            logits = evaluate.predict_logits(
                model, dataset, TestSet(examples, dataset.classnames), batch_size=4, **more
            )
        return logits, sum(seen)

    return ask


def test_computed_once_with_the_same_numbers(asked):
    plain, _ = asked(folder=None)
    first, looked = asked()
    again, none = asked()
    assert (looked, none) == (6, 0)
    assert torch.equal(plain, first) and torch.equal(first, again)


def test_settings_that_decide_the_images_have_their_own_features(asked, tmp_path):
    asked()
    assert asked(preset="coop-2021")[1] == 6
    assert asked(dataset=sources.get(f"folder:{tmp_path / 'p'}", DataConfig(shrink=40)))[1] == 6
    assert asked()[1] == 0
    some = next((tmp_path / "p").rglob("*.png"))
    os.utime(some, (1, 1))
    assert asked()[1] == 6


def test_a_tuned_image_tower_is_not_shared(asked, tmp_path):
    asked(Maple(depth=2))
    assert not (tmp_path / "shared").exists()


def test_generated_images_have_a_content_id(asked):
    assert asked(dataset=drawings())[1] == 6 and asked(dataset=drawings())[1] == 0


def test_damaged_features_are_computed_again(asked, tmp_path):
    first, _ = asked()
    (file,) = (tmp_path / "shared" / "features").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:100])
    assert asked()[1] == 6 and asked()[1] == 0
    assert torch.equal(asked()[0], first)


def test_an_unwritable_disk_does_not_stop_evaluation(asked, tmp_path):
    (tmp_path / "file").touch()
    assert asked(folder=tmp_path / "file")[1] == 6
