"""Pictures of a few training images: the image, the mask that the method uses, and the Grad-CAM of the tuned model."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image

from cliptune import masks
from cliptune.data.image_store import ImageStore
from cliptune.data.loader import ExampleSet
from cliptune.loggers.common.logger import Picture
from cliptune.masks.source import MaskSource, ModelMaskSource
from cliptune.model.tuned_model import TunedModel
from cliptune.report.collect.panels import gradcam_maps
from cliptune.report.overlay import draw_masks, heatmap_bytes
from cliptune.types import Example, Task

#: Number of images, of different classes as far as possible.
COUNT = 4


def training_pictures(model: TunedModel, task: Task, count: int = COUNT) -> list[Picture]:
    """Draw `count` training images of a task, of different classes, with their masks and the saliency of the model."""
    store = task.image_store or ImageStore(task.dataset)
    chosen = choose_examples(task.train, count)
    examples = ExampleSet(task.dataset, chosen, model.backbone.preprocess, store=store)
    source = _mask_source(model, task, examples, store)
    images = [examples.image(i).image for i in range(len(chosen))]
    labels = [example.label for example in chosen]
    maps = None if task.pool else gradcam_maps(model, images, labels)  # images of a pool have no label
    pictures = []
    for i, (example, image) in enumerate(zip(chosen, images, strict=True)):
        parts = [draw_masks(image)]
        if source is not None:
            parts.append(draw_masks(image, [examples.mask(i, source)], dim=True))
        if maps is not None:
            parts.append(np.asarray(Image.open(io.BytesIO(heatmap_bytes(image, maps[i])))))
        name = "" if task.pool else f"{task.classnames[example.label]}: "
        pictures.append(Picture(np.concatenate(parts, axis=1), f"{name}{example.key}"))
    return pictures


def choose_examples(examples: tuple[Example, ...], count: int) -> list[Example]:
    """The first example of each of `count` classes that are spread evenly over all; more of them if there are fewer."""
    by_class: dict[int, list[Example]] = {}
    for example in {e.key: e for e in examples}.values():
        by_class.setdefault(example.label, []).append(example)
    labels = sorted(by_class)
    spread = [labels[i * len(labels) // count] for i in range(count)] if len(labels) > count else labels
    rounds = max(map(len, by_class.values()), default=0)
    found = [by_class[label][i] for i in range(rounds) for label in spread if i < len(by_class[label])]
    return found[:count]


def _mask_source(model: TunedModel, task: Task, examples: ExampleSet, store: ImageStore) -> MaskSource | None:
    """The source of the method's masks, refreshed with the model as trained; None for a method without masks."""
    spec = model.method.mask_source()
    if spec is None:
        return None
    provided = {e.key for e in task.train if e.mask is not None or e.boxes or store.has_mask(e)}
    with warnings.catch_warnings():  # the training has said where masks come from
        warnings.simplefilter("ignore")
        source = masks.choose_source(spec, provided, len({e.key for e in task.train}), task.seed)
        if isinstance(source, ModelMaskSource):
            return source.refreshed(model, examples.squashed_batches(source.batch_size))
    return source
