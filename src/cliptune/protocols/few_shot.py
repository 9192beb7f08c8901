"""Few-shot classification: train on a few images of every class, test on every class (introduced with CoOp)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cliptune.data.dataset import Dataset
from cliptune.data.splits import warn_of_small_classes
from cliptune.protocols.common.pool import unlabelled
from cliptune.types import Task, TestSet


def few_shot(
    dataset: Dataset, *, shots: int = 16, seeds: Sequence[int] = (1, 2, 3), pool: bool = False
) -> Iterator[Task]:
    """One task per seed: `shots` training and min(shots, 4) validation examples per class, tested on every class.

    `shots` below 1 uses all training examples; data for testing only has none. Test sets: "test", and "test/<variant>"
    for the dataset's variants.

    pool: Train on all training images without their labels.
    """
    names = dataset.classnames
    if not pool:
        warn_of_small_classes(dataset.sizes(), shots, names)
    for seed in seeds:
        train, val = dataset.draw(shots, seed)
        tests = {"test": TestSet(tuple(dataset.examples("test")), names)}
        tests |= {
            f"test/{variant}": TestSet(tuple(examples), names) for variant, examples in dataset.variants().items()
        }
        images = unlabelled(dataset.training_examples()) if pool else tuple(train)
        yield Task("few_shot", dataset, images, tuple(val), tests, names, seed, pool=pool)
