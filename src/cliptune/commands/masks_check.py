"""`cliptune masks check SOURCE`."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from rich.console import Console

from cliptune import checks, masks, methods
from cliptune.backbones.bundled import AUTO, choose_backbone
from cliptune.commands.flags import FLAT
from cliptune.commands.parse import parse, split_first
from cliptune.config import Activation
from cliptune.data import sources
from cliptune.data.config import DataConfig
from cliptune.data.dataset import Dataset
from cliptune.data.splits import sample_few_shot
from cliptune.engine.progress import ProgressBar, progress_display
from cliptune.errors import UserError
from cliptune.files import check_file, write_bytes
from cliptune.types import Example

if TYPE_CHECKING:
    from cliptune.data.loader import ExampleSet
    from cliptune.masks.source import MaskSource, ModelMaskSource
    from cliptune.model.tuned_model import TunedModel


@dataclass(frozen=True)
class MasksCheck:
    """Statistics of a mask source: foreground share, missing and empty masks, outliers. Exits with 0 if every image has
    a usable mask, with 1 if not or if all masks are empty or full."""

    data: str = "emoji"
    """As for train."""
    split: Literal["train", "val", "test"] = "train"
    """The split; training needs masks of the training split only."""
    against: str = ""
    """A second source, to measure the agreement (intersection over union)."""
    out: Path | None = None
    """A contact sheet (PNG): the emptiest, the fullest and random masks, or those that agree least."""
    format: Literal["text", "json"] = "text"
    """json: {"masks", "data", "split", "pictures", "measured", "foreground": {"mean", "quantiles", "histogram"},
    "soft", "empty", "full", "outliers", "faults", "classes", "agreement"}; lists contain every image."""
    shots: int = 0
    """Number of images per class, drawn with the seed; 0 is all."""
    seed: int = 1
    """Seed of the drawn images and of random masks (grid)."""
    run: str = ""
    """A trained run, for masks that use a model (gradcam, maskclip); by default an untuned model."""
    allow_code: bool = False
    """Import a method outside of cliptune (package.module:Class) that the run names; only for files you trust."""
    backbone: str = AUTO
    """The untuned model, as for train."""
    pretrained: str = ""
    """As for train."""
    activation: Activation = "auto"
    """As for train."""
    reading: Annotated[DataConfig, FLAT] = field(default_factory=DataConfig)

    def __post_init__(self):
        checks.at_least(self, 0, "shots")
        checks.seeds(self, "seed")


def masks_check(arguments: list[str]) -> None:
    """Read all masks once and print their statistics."""
    spec, options = _read_arguments(arguments)
    dataset = sources.get(options.data, options.reading)
    options = replace(options, backbone=choose_backbone(options.backbone, dataset.image_kind))
    chosen = sample_few_shot(dataset.examples(options.split), options.shots, random.Random(options.seed))
    if not chosen:
        raise UserError(f"{options.data} has no {options.split} images; choose another --split")
    from cliptune import experiment
    from cliptune.data.loader import ExampleSet
    from cliptune.data.validate import find_unreadable as looked
    from cliptune.masks.source import ModelMaskSource
    from cliptune.masks.statistics import measure_masks
    from cliptune.masks.validate import uninformative_message
    from cliptune.report.mask_sheet import MaskReport, mask_sheet_png, report_dict, report_lines

    backbone = experiment.cached_backbone(options.backbone, options.pretrained, options.activation)
    examples = ExampleSet(dataset, chosen, backbone.preprocess)
    looked(chosen)  # warns of assumptions about images of more than 8 bits
    source = source_of(spec, examples, options.seed)
    against = source_of(options.against, examples, options.seed) if options.against else None
    if isinstance(source, ModelMaskSource):
        source = _refresh(source, options, dataset, chosen)
    if isinstance(against, ModelMaskSource):
        against = _refresh(against, options, dataset, chosen)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with progress_display(console) as progress:
        watcher = ProgressBar(progress, "masks")
        rows, faults = measure_masks(
            examples, source, against, lambda done: watcher.progress("checking", done, len(chosen))
        )
    report = MaskReport(
        spec, options.against, options.data, options.split, dataset.classnames, tuple(rows), tuple(faults)
    )
    if options.out is not None:
        write_bytes(options.out, mask_sheet_png(report, examples, source, against, random.Random(options.seed)))
    if options.format == "json":
        sys.stdout.write(json.dumps(report_dict(report), indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("\n".join(report_lines(report)) + "\n")
    if options.out is not None:
        console.print(f"contact sheet in {options.out}")
    message = uninformative_message(sum(row.empty for row in rows), sum(row.full for row in rows), len(rows))
    if message and not source.whole:
        console.print(message)
    if faults or (message and not source.whole):
        sys.exit(1)


def _read_arguments(arguments: list[str]) -> tuple[str, MasksCheck]:
    """The source of masks and the options. Raises `UserError` if they do not fit together."""
    spec, rest = split_first(
        arguments, "a source of masks", "masks check folder:masks --data folder:photos", help_name="data"
    )
    options = parse(MasksCheck, "masks check", rest)
    if options.out is not None:
        check_file(options.out)
    if options.out is not None and options.out.suffix.lower() != ".png":
        raise UserError(f"the contact sheet is a PNG; use --out {options.out.with_suffix('.png')}")
    for source in (spec, options.against or "auto"):
        masks.check_spec(source)
    if options.run and not any(map(masks.uses_model, (spec, options.against))):
        raise UserError(f"run has no effect: {spec} masks use no model, only gradcam and maskclip do")
    return spec, options


def source_of(spec: str, examples: ExampleSet, seed: int) -> MaskSource:
    """The source of a spec. For "auto", look which images come with a mask."""
    keys = {e.key for e in examples.examples}
    provided = {
        e.key
        for i, e in enumerate(examples.examples if spec == "auto" else ())
        if e.mask is not None or e.boxes or examples.image(i).mask is not None
    }
    return masks.choose_source(spec, provided, len(keys), seed)


def _refresh(
    source: ModelMaskSource, options: MasksCheck, dataset: Dataset, examples: Sequence[Example]
) -> ModelMaskSource:
    """The source with the masks of `examples`, from the model that the options name."""
    from cliptune.data.loader import ExampleSet
    from cliptune.tasks import warn_of_small_backbone

    model = model_of(options, dataset)
    if not options.run:
        warn_of_small_backbone(model.backbone, dataset)
    images = ExampleSet(dataset, examples, model.backbone.preprocess)
    return source.refreshed(model, images.squashed_batches(source.batch_size))


def model_of(options: Any, dataset: Dataset) -> TunedModel:
    """The model of the folder `options.run`, for the dataset's classes, or the untuned one of `options.backbone`."""
    from cliptune import experiment, model_io, run_dir
    from cliptune.model.tuned_model import TunedModel

    if options.run:
        return (
            model_io.load_model(run_dir.find_run(options.run), allow_code=options.allow_code)[0]
            .with_classes(dataset.classnames)
            .eval()
        )
    frozen = experiment.cached_backbone(options.backbone, options.pretrained, options.activation)
    return TunedModel(frozen, methods.get("zeroshot")(), dataset.classnames, dataset.templates).eval()
