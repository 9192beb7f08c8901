"""A second, independently augmented view of each image."""

import torch

import tiny_clips
from cliptune.data.items import workers_for
from cliptune.data.loader import ExampleSet
from cliptune.data.transforms import PRESETS
from tiny_tasks import task

CPU = torch.device("cpu")


def batches(second=True, workers=0, epoch=0, augment="crop", seed=1):
    toy, preprocess = task(), tiny_clips.backbone("deep_image").preprocess
    view = PRESETS[augment](preprocess.size)
    examples = ExampleSet(toy.dataset, toy.train, preprocess, augment=view, seed=seed, second_view=second)
    return list(examples.epoch_batches(epoch, 4, CPU, workers=workers_for(workers, CPU)))


def test_the_second_view_is_another_one_and_the_first_is_unchanged():
    with_second, alone = batches(), batches(second=False)
    for one, other in zip(with_second, alone, strict=True):
        assert torch.equal(one.images, other.images) and other.second_view is None
        assert one.second_view.shape == one.images.shape and not torch.equal(one.second_view, one.images)
    whole = batches(augment="none")
    assert all(torch.equal(batch.images, batch.second_view) for batch in whole)


def test_it_depends_on_seed_epoch_and_example_alone():
    first = batches()
    for one, other in zip(first, batches(workers=1), strict=True):
        assert torch.equal(one.second_view, other.second_view)
    rows = {int(i): view for batch in first for i, view in zip(batch.index, batch.second_view, strict=True)}
    for batch in batches(epoch=1):
        assert not any(torch.equal(rows[int(i)], v) for i, v in zip(batch.index, batch.second_view, strict=True))
