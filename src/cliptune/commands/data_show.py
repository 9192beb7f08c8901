"""`cliptune data show DATA`: draw samples of each class, with their masks."""

from __future__ import annotations

import random
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from cliptune import checks, masks
from cliptune.backbones.bundled import AUTO, choose_backbone
from cliptune.commands.flags import FLAT
from cliptune.commands.masks_check import model_of
from cliptune.commands.parse import parse, split_first
from cliptune.config import Activation
from cliptune.data import sources
from cliptune.data.config import DataConfig
from cliptune.data.dataset import Dataset
from cliptune.data.range_warnings import collect_assumed_ranges, warn_assumed_ranges
from cliptune.errors import UserError
from cliptune.files import check_file, write_bytes
from cliptune.types import Example
from cliptune.user_warnings import warn_user

#: Maximum number of images in total and per class.
MAX_IMAGES, MAX_EACH = 1000, 20


@dataclass(frozen=True)
class DataShow:
    """Draw samples of some classes as one PNG image, with the masks' foreground outlined and the background dimmed."""

    split: Literal["train", "val", "test"] = "train"
    """The split to sample from."""
    classes: int = 12
    """Number of classes, sampled with the seed."""
    each: int = 4
    """Number of images per class, sampled with the seed."""
    masks_from: str = "auto"
    """Masks to draw: auto uses the dataset's own masks, if any; none draws none; otherwise as for train
    (data, folder:PATH, box:FILE, gradcam, grid, ...)."""
    out: Path | None = None
    """The PNG file; by default DATA-SPLIT.png or DATA-SPLIT-MASKS.png in the current folder."""
    seed: int = 1
    """Seed of the samples, and of random masks (grid)."""
    run: str = ""
    """Folder of a trained run, for masks that use the model (gradcam, maskclip); by default the untuned model."""
    allow_code: bool = False
    """Import a method outside of cliptune (package.module:Class) that the run names; only for runs you trust."""
    backbone: str = AUTO
    """The untuned model, as for train."""
    pretrained: str = ""
    """As for train."""
    activation: Activation = "auto"
    """As for train."""
    reading: Annotated[DataConfig, FLAT] = field(default_factory=DataConfig)

    def __post_init__(self):
        checks.between(self, 1, MAX_IMAGES, "classes")
        checks.between(self, 1, MAX_EACH, "each")
        checks.seeds(self, "seed")


def data_show(arguments: list[str]) -> None:
    """Draw the samples and print the path."""
    spec, rest = split_first(arguments, "what to show", "data show folder:photos", help_name="emoji")
    options = parse(DataShow, "data show DATA", rest)
    if options.classes * options.each > MAX_IMAGES:
        asked = options.classes * options.each
        raise UserError(f"{options.classes} classes of {options.each} are {asked} images; the maximum is {MAX_IMAGES}")
    if options.out is not None:
        check_file(options.out)
    if options.out is not None and options.out.suffix.lower() != ".png":
        raise UserError(f"the output is a PNG file; use --out {options.out.with_suffix('.png')}")
    masks.check_spec("auto" if options.masks_from == "none" else options.masks_from)
    if options.run and not masks.uses_model(options.masks_from):
        raise UserError("run has no effect: only masks_from gradcam and maskclip use a model")
    dataset = sources.get(spec, options.reading)
    options = replace(options, backbone=choose_backbone(options.backbone, dataset.image_kind))
    from cliptune.report.class_samples import ClassSamples, class_samples_png

    chosen = choose(_of(dataset, spec, options.split), options.classes, options.each, options.seed)
    found = [example for examples in chosen.values() for example in examples]
    counts = _counts(dataset.examples(options.split))
    drawn = dict(zip((e.key for e in found), _images_and_masks(dataset, found, options), strict=True))
    blocks = [
        ClassSamples(dataset.classnames[label], f"{counts[label]:,}", tuple(drawn[e.key] for e in examples))
        for label, examples in chosen.items()
    ]
    lines = [
        f"{options.split}: {len(blocks)} of {len(counts)} classes, each with its number of images",
        _about_masks(options, [mask for _, mask in drawn.values()]),
    ]
    out = options.out or Path(_file_name(dataset.name, options))
    write_bytes(out, class_samples_png(dataset.name, lines, blocks))
    classes = f"{len(blocks)} class{'es' * (len(blocks) > 1)}"
    sys.stdout.write(f"{len(found)} image{'s' * (len(found) > 1)} of {classes} in {out}\n")


def choose(examples: Sequence[Example], classes: int, each: int, seed: int) -> dict[int, list[Example]]:
    """Sample examples by label, in label order; a multi-label example counts for each of its labels."""
    groups: dict[int, list[Example]] = {}
    for example in examples:
        for label in example.labels or (example.label,):
            groups.setdefault(label, []).append(example)
    rng = random.Random(seed)
    labels = sorted(rng.sample(sorted(groups), min(classes, len(groups))))
    return {label: rng.sample(groups[label], min(each, len(groups[label]))) for label in labels}


def _of(dataset: Dataset, spec: str, part: str) -> list[Example]:
    examples = dataset.examples(part)
    if not examples:
        others = [other for other in ("train", "val", "test") if dataset.examples(other)]
        raise UserError(f"{spec} has no {part} images; it has {', '.join(others)}: --split {others[-1]}")
    return examples


def _counts(examples: Sequence[Example]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for example in examples:
        for label in example.labels or (example.label,):
            counts[label] = counts.get(label, 0) + 1
    return counts


def _images_and_masks(dataset: Dataset, examples: Sequence[Example], options: DataShow) -> list[tuple[Any, Any]]:
    """Images and masks, None if an image has no mask. Raises `UserError` if a requested source has no mask at all."""
    from cliptune.data.loader import ExampleSet
    from cliptune.data.transforms import shrink
    from cliptune.masks.source import ModelMaskSource
    from cliptune.report.overlay import MAX_SHORT_SIDE
    from cliptune.tasks import warn_of_small_backbone

    spec = options.masks_from
    with collect_assumed_ranges() as assumed:
        images = [shrink(dataset.read(example), MAX_SHORT_SIDE) for example in examples]
    warn_assumed_ranges(assumed, len(examples))
    if spec == "none":
        return [(image.image, None) for image in images]
    source = masks.get("data" if spec == "auto" else spec, options.seed)
    if isinstance(source, ModelMaskSource):
        with _first_warning_only():
            model = model_of(options, dataset)
            seen = ExampleSet(dataset, examples, model.backbone.preprocess, keep=False)
            source = source.refreshed(model, seen.squashed_batches(source.batch_size))
        if not options.run:
            warn_of_small_backbone(model.backbone, dataset)
    found, failed = [], []
    for example, image in zip(examples, images, strict=True):
        try:
            found.append(source.mask(example, image))
        except UserError as error:
            found.append(None)
            failed.append(error)
    if spec != "auto" and len(failed) == len(examples):
        raise failed[0]
    if spec != "auto" and failed:
        warn_user(f"{len(failed)} of {len(examples)} images have no mask: {failed[0]}")
    return [(image.image, mask) for image, mask in zip(images, found, strict=True)]


@contextmanager
def _first_warning_only() -> Iterator[None]:
    """Replace repeated warnings, such as one per class name that is new to the tiny backbone, by the first one."""
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        yield
    for note in notes[:1]:
        more = f" (and {len(notes) - 1} more warnings of this kind)" if len(notes) > 1 else ""
        warn_user(f"{note.message}{more}")


def _about_masks(options: DataShow, shown: Sequence[Any]) -> str:
    count = sum(mask is not None for mask in shown)
    if not count:
        return "no masks"
    origin = "of the dataset" if options.masks_from in ("auto", "data") else f"from {options.masks_from}"
    if options.masks_from != "auto" and masks.uses_model(options.masks_from):
        origin += f" of {options.run or f'the untuned {options.backbone}'}"
    of = "" if count == len(shown) else f" of {count} of {len(shown)} images"
    return f"masks{of} {origin}: foreground outlined, background dimmed"


def _file_name(name: str, options: DataShow) -> str:
    """A file name with letters, digits, dots and dashes only."""
    kind = "" if options.masks_from == "auto" else f"-{options.masks_from.partition(':')[0]}"
    return re.sub(r"[^\w.-]+", "-", f"{Path(name).name}-{options.split}{kind}").strip("-.") + ".png"
