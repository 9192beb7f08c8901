"""Measure the background reliance of a run and store it next to its record."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image

from cliptune import experiment, masks, methods, model_io
from cliptune.analysis.reliance import Reliance, compute_reliance
from cliptune.config import RunConfig, non_default_fields, with_options
from cliptune.data import sources
from cliptune.data.config import DataConfig
from cliptune.data.dataset import Dataset
from cliptune.data.loader import ExampleSet
from cliptune.data.transforms import evaluation_view, standardise
from cliptune.data.validate import drop_unreadable, find_unreadable
from cliptune.engine.nan_checks import check_logits
from cliptune.errors import UserError
from cliptune.files import write_json
from cliptune.masks.saliency_masks import MixedMasks
from cliptune.masks.source import MaskSource, ModelMaskSource
from cliptune.masks.validate import is_empty, is_full
from cliptune.model.tuned_model import TunedModel
from cliptune.report.collect.models import sample_examples
from cliptune.report.collect.panels import gradcam_maps
from cliptune.report.reliance_records import FILE_PREFIX, RelianceRecord
from cliptune.run_dir import CHECKPOINT
from cliptune.types import DecodedImage, Example, TestSet
from cliptune.user_warnings import warn_user

#: Test sets to measure by default, in order of preference: the emoji on the backgrounds of training come first, because
#: test sets of other datasets have backgrounds like those of training.
PREFERRED_TEST_SETS = ("base/same", "test/same", "base", "test")


@dataclass(frozen=True)
class RelianceOptions:
    """Settings of a measurement.

    Args:
        data: the dataset; "" for that of the run.
        test: the test set; "" for the first of `PREFERRED_TEST_SETS`.
        masks: the mask source; "auto" for the masks of the dataset, and Grad-CAM for images without one.
        images: maximum number of images.
        seed: selects the swapped backgrounds.
        true: whether Grad-CAM explains the true class instead of the predicted one.
    """

    data: str = ""
    test: str = ""
    masks: str = "auto"
    images: int = 500
    seed: int = 1
    true: bool = False


def reliance_file(folder: Path, options: RelianceOptions) -> Path:
    """File of a measurement: the plain name for default settings, else with a hash of the settings."""
    plain = json.dumps(asdict(options), sort_keys=True)
    rest = "" if options == RelianceOptions() else "-" + hashlib.sha256(plain.encode()).hexdigest()[:8]
    return folder / f"{FILE_PREFIX}{rest}.json"


def measure_reliance(
    folder: Path,
    options: RelianceOptions,
    config: DataConfig | None = None,
    tick: Callable[[str, int, int], None] = lambda what, done, total: None,
    allow_code: bool = False,
) -> tuple[RelianceRecord, Path]:
    """Measure the background reliance of a run directory or checkpoint file, and write it next to the checkpoint.

    Images larger than the model's input are shrunk first.

    Args:
        folder: the run directory or the checkpoint file.
        options: the settings of the measurement.
        config: data options that replace those of the run where they differ from the defaults.
        tick: receives the current step, the number of images done and their total.
        allow_code: as in `ct.load`.

    Raises:
        UserError: if the run cannot be restored or has no suitable images.
    """
    model, run = model_io.load_model(folder, allow_code=allow_code)
    checkpoint = folder / CHECKPOINT if folder.is_dir() else folder
    run = with_options(run, non_default_fields(config)) if config is not None else run
    dataset, test, name = _choose_test_set(folder, run, model, options)
    test = dataclasses.replace(test, examples=sample_examples(test.examples, options.images))
    model = model.with_classes(test.classnames).to(experiment.launch_fabric(run.device, 1, run.precision).device).eval()
    read_image, examples, left_out, mask_source = _images_with_masks(
        model, dataset, test, options, partial(tick, "masks")
    )
    try:
        reliance = _reliance_of_model(
            model, read_image, examples, options, run.training.augment, partial(tick, "backgrounds")
        )
    except ValueError as error:
        raise UserError(f"{name} of {options.data or run.data}: {error}") from None
    record = RelianceRecord(
        data=options.data or run.data,
        test=name,
        masks=mask_source,
        seed=options.seed,
        saliency="true" if options.true else "predicted",
        checkpoint=hashlib.sha256(checkpoint.read_bytes()).hexdigest()[:12],
        reliance=dataclasses.replace(reliance, left_out=left_out),
    )
    path = reliance_file(checkpoint.parent, options)
    write_json(path, record.to_dict())
    return record, path


def _reliance_of_model(
    model: TunedModel,
    read_image: Callable[[int], DecodedImage],
    examples: Sequence[Example],
    options: RelianceOptions,
    augment: str,
    tick: Callable[[int, int], None],
) -> Reliance:
    """Reliance of a model on the backgrounds of `examples`, with Grad-CAM as saliency if its backbone has a ViT.

    augment: the name of the evaluation view.
    """
    saliency = (lambda images, labels: gradcam_maps(model, images, labels)) if model.backbone.has_vit else None
    return compute_reliance(
        read_image,
        [frozenset(e.labels or (e.label,)) for e in examples],
        lambda images: _logits(model, images, augment),
        saliency,  # type: ignore[arg-type]
        mean=model.backbone.preprocess.mean,
        seed=options.seed,
        true=options.true,
        tick=_cumulative(tick, len(examples)),
    )


def _choose_test_set(
    folder: Path, run: RunConfig, model: TunedModel, options: RelianceOptions
) -> tuple[Dataset, TestSet, str]:
    if options.data and options.data != run.data:
        dataset = sources.get(options.data, dataclasses.replace(run.reading, draws=""))
        examples = tuple(sample_examples(dataset.evaluation_examples(), options.images))
        # This warns about assumed ranges of deep images; unreadable images are left out when masks are read.
        find_unreadable(examples)
        tests = {"test": TestSet(examples, dataset.classnames)}
    else:
        task, _ = drop_unreadable(model_io.load_task(folder, run, model.classnames))
        dataset, tests = task.dataset, {name: test for name, test in task.tests.items() if test.examples}
    if not tests:
        raise UserError(f"{options.data or run.data} has no test images; name other data with --data")
    if options.test and options.test not in tests:
        raise UserError(f"no test set is called {options.test!r}; there are {', '.join(tests)}")
    name = options.test or next((name for name in PREFERRED_TEST_SETS if name in tests), next(iter(tests)))
    return getattr(tests[name], "dataset", None) or dataset, tests[name], name


def _images_with_masks(
    model: TunedModel, dataset: Dataset, test: TestSet, options: RelianceOptions, tick: Callable[[int, int], None]
) -> tuple[Callable[[int], DecodedImage], list[Example], dict[str, int], str]:
    """Find the examples with usable masks.

    Returns a reader of images with masks, the examples, the number left out by reason, and the source of the masks.
    """
    backbone = model.backbone
    examples = ExampleSet(dataset, test.examples, backbone.preprocess, shrink=True)
    source, name = _mask_source(examples, options, backbone.has_vit)
    if isinstance(source, ModelMaskSource):  # of the untuned model: the same masks for all runs
        zeroshot = TunedModel(backbone, methods.get("zeroshot")(), test.classnames, dataset.templates)
        source = source.refreshed(zeroshot.eval(), examples.squashed_batches(source.batch_size))
    usable, left_out, first_error = list[int](), {"no mask": 0, "no foreground": 0, "no background": 0}, ""
    for i in range(len(examples)):
        tick(i + 1, len(examples))
        try:
            mask = examples.mask(i, source)
        except UserError as error:
            left_out["no mask"] += 1
            first_error = first_error or str(error)
            continue
        empty, full = is_empty(mask), is_full(mask)
        left_out["no foreground"] += empty
        left_out["no background"] += full
        if not (empty or full):
            usable.append(i)
    if not usable:
        raise UserError(
            f"none of {len(examples)} images has a usable mask{f'; the first: {first_error}' if first_error else ''}"
        )

    def read(i: int) -> DecodedImage:
        return DecodedImage(examples.image(usable[i]).image, examples.mask(usable[i], source))

    return read, [test.examples[i] for i in usable], {k: n for k, n in left_out.items() if n}, name


def _mask_source(examples: ExampleSet, options: RelianceOptions, has_vit: bool) -> tuple[MaskSource, str]:
    """The mask source and its name."""
    if options.masks != "auto":
        return masks.get(options.masks, options.seed), options.masks
    with_mask = {
        e.key for i, e in enumerate(examples.examples) if e.mask or e.boxes or examples.image(i).mask is not None
    }
    total = len(examples.examples)
    if len(with_mask) == total or not has_vit:
        return masks.get("data"), "data"
    warn_user(
        f"{len(with_mask)} of {total} images have a mask: the others are masked by Grad-CAM of the untuned model; "
        f"--masks-from data uses only images that have one"
    )
    return (MixedMasks(frozenset(with_mask)), "data, gradcam") if with_mask else (masks.get("gradcam"), "gradcam")


@torch.no_grad()
def _logits(model: TunedModel, images: Sequence[Tensor], augment: str) -> Tensor:
    backbone, preprocess = model.backbone, model.backbone.preprocess
    views = torch.stack([evaluation_view(to_pil_image(image), preprocess, augment) for image in images])
    pixels = standardise(views, preprocess.mean, preprocess.std).to(backbone.logit_scale.device)
    return check_logits(model({"image": pixels}).logits[:, : len(model.classnames)]).float().cpu()


def _cumulative(tick: Callable[[int, int], None], total: int) -> Callable[[int], None]:
    done = 0

    def add(more: int) -> None:
        nonlocal done
        done += more
        tick(done, total)

    return add
