"""Comparison of an export with the model that it was made from, on test images of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cliptune.config import RunConfig
from cliptune.data.loader import ExampleSet
from cliptune.data.transforms import standardise
from cliptune.data.validate import drop_unreadable
from cliptune.engine.metrics import accuracy
from cliptune.errors import UserError
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Task, TestSet

#: Logits `(n, C)` of uint8 images `(n, 3, H, W)`.
Classify = Callable[[np.ndarray], np.ndarray]
BATCH_SIZE = 16
#: Number of images with random pixels if there are no test images.
RANDOM_IMAGES = 8


@dataclass(frozen=True)
class Sample:
    """Images to compare on: those of `test`, or random pixels if there is none, for the reason `why`."""

    images: ExampleSet | None
    test: TestSet | None
    why: str = ""

    def batches(self, model: TunedModel) -> Iterator[Tensor]:
        """uint8 images `(n, 3, H, W)` at the size of the model's backbone."""
        if self.images is None:
            generator = torch.Generator().manual_seed(0)
            shape = RANDOM_IMAGES, 3, *model.backbone.preprocess.size
            yield torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
            return
        for start in range(0, len(self.images), BATCH_SIZE):
            chosen = range(start, min(start + BATCH_SIZE, len(self.images)))
            yield torch.stack([self.images.view(i) for i in chosen])


def sample_tests(model: TunedModel, run: RunConfig, task_of: Callable[[], Task], most: int) -> Sample:
    """At most `most` test images of a run, evenly spaced, of the classes of its model.

    task_of: Builds the task of the run.
    """
    try:
        task = task_of()
        fitting = [t for t in task.tests.values() if t.dataset is None and t.classnames == model.classnames]
        test = next((t for t in fitting if t.examples), None)
        if test is None:
            return Sample(None, None, "the run has no test images of these classes")
        step = -(-len(test.examples) // most)
        test = replace(test, examples=test.examples[::step])
        task, _ = drop_unreadable(replace(task, train=(), val=(), tests={"test": test}))
    except UserError as error:
        return Sample(None, None, str(error))
    test, preset = task.tests["test"], run.training.augment
    return Sample(ExampleSet(task.dataset, test.examples, model.backbone.preprocess, preset=preset, keep=False), test)


@torch.no_grad()
def compare(model: TunedModel, classify: Classify, sample: Sample) -> dict[str, Any]:
    """Largest difference of logits and, on test images, the accuracy in percent of the run and of the export."""
    preprocess, device = model.backbone.preprocess, model.backbone.logit_scale.device
    expected, found = [], []
    for pixels in sample.batches(model):
        view = standardise(pixels.to(device), preprocess.mean, preprocess.std)
        expected.append(model({"image": view}).logits[:, : len(model.classnames)].float().cpu())
        found.append(torch.from_numpy(classify(pixels.numpy())).float())
    own, exported = torch.cat(expected), torch.cat(found)
    predicted, other = own.argmax(1), exported.argmax(1)
    measured: dict[str, Any] = {
        "images": len(own),
        "test_images": sample.test is not None,
        "largest_logit": float(own.abs().max()),
        "largest_difference": float((own - exported).abs().max()),
        "other_predictions": int((predicted != other).sum()),
    }
    if sample.test is not None:
        accuracies = accuracy(predicted, sample.test), accuracy(other, sample.test)
        measured |= dict(zip(("accuracy_of_the_run", "accuracy"), accuracies, strict=True))
    return measured if sample.test is not None else measured | {"why_no_test_images": sample.why}


def in_words(measured: dict[str, Any]) -> str:
    """A sentence about a comparison."""
    count, difference = measured["images"], f"logits differ by at most {measured['largest_difference']:.1g}"
    if not measured["test_images"]:
        return f"{difference} on {count} images of random pixels ({measured['why_no_test_images']})"
    own, exported = measured["accuracy_of_the_run"], measured["accuracy"]
    others = f"{measured['other_predictions']} of {count} predictions differ"
    return f"on {count} test images: accuracy {exported:.1f} %, of the run {own:.1f} %; {others}; {difference}"
