"""`cliptune masks make`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from rich.console import Console

from cliptune import checks
from cliptune.backbones.bundled import AUTO, choose_backbone
from cliptune.commands.flags import FLAT
from cliptune.commands.masks_check import model_of
from cliptune.commands.parse import parse
from cliptune.config import Activation
from cliptune.data import sources
from cliptune.data.config import DataConfig
from cliptune.data.custom.folder import Folder
from cliptune.data.dataset import Dataset
from cliptune.data.range_warnings import collect_assumed_ranges, warn_assumed_ranges
from cliptune.engine.progress import ProgressBar, progress_display
from cliptune.errors import UserError
from cliptune.text import listed
from cliptune.types import Example

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from cliptune.segmentation import make as making

#: The value of `--out` for a folder next to the images' own.
BESIDE = "beside"


@dataclass(frozen=True)
class MasksMake:
    """Make a foreground mask for each image, as PNG files that --masks-from folder:OUT reads. Repeat the command to
    resume after an interruption."""

    data: str
    """folder:PATH, or any other dataset that cliptune train takes."""
    out: str
    """Folder for the masks; "beside" is the folder next to the images' own, named with the suffix -masks."""
    with_: Annotated[str, tyro.conf.arg(name="with")] = "clipseg"
    """clipseg and sam3: prompted with the class name. sam: of many proposed masks, the one that agrees best with the
    saliency map of a CLIP model. command:"PROGRAM ...": an external program that gets a list of images, one JSON line
    per image, and writes PNG files."""
    split: Literal["train", "val", "test", "all"] = "train"
    """The split; training needs masks of the training split only."""
    model: str = ""
    """A model on the Hugging Face hub, or a folder; by default CIDAS/clipseg-rd64-refined, facebook/sam-vit-base (which
    may also be a SAM 2) or facebook/sam3."""
    batch_size: int | None = None
    """Images per batch; by default 8, and 0 (all at once) for an external program."""
    device: str = "auto"
    """auto, cpu, cuda, mps."""
    threshold: float | None = None
    """Values of a map from this one on are foreground; by default 0.4 for clipseg, otherwise 0.5."""
    soft: bool = False
    """Write soft masks instead of thresholding the maps."""
    prompt: str = ""
    """clipseg and sam3: a prompt with one {} for the class name; by default the dataset's template for clipseg, the
    name alone for sam3."""
    points: int = 16
    """sam: grid points along each side. The time grows with their square; a CPU is slow."""
    saliency: Literal["gradcam", "maskclip"] = "gradcam"
    """sam: the saliency method."""
    run: str = ""
    """sam: a trained run whose model computes the saliency; by default an untuned model."""
    allow_code: bool = False
    """Import a method outside of cliptune (package.module:Class) that the run names; only for files you trust."""
    backbone: str = AUTO
    """sam: the untuned model, as for train. Bundled backbones are small and locate classes badly."""
    pretrained: str = ""
    """sam: as for train."""
    activation: Activation = "auto"
    """sam: as for train."""
    overwrite: bool = False
    """Make all masks again, also existing ones."""
    reading: Annotated[DataConfig, FLAT] = field(default_factory=DataConfig)

    def __post_init__(self):
        checks.between(self, 1, 1000, "points")
        if self.batch_size is not None:
            checks.at_least(self, 0, "batch_size")
        if self.threshold is not None:
            checks.between(self, 0, 1, "threshold")


def masks_make(arguments: list[str]) -> None:
    """Make masks, then print counts and the next command."""
    options = parse(MasksMake, "masks make", arguments)
    dataset = sources.get(options.data, options.reading)
    options = replace(options, backbone=choose_backbone(options.backbone, dataset.image_kind))
    examples = examples_of(dataset, options.split)
    from cliptune.segmentation import make as making

    out = output_folder(dataset, examples, options.out)
    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    segmenter = segmenter_of(options, dataset, console)
    with progress_display(console) as progress, collect_assumed_ranges() as assumed:
        watcher = ProgressBar(progress, "masks")
        done = making.make_masks(
            dataset,
            examples,
            segmenter,
            out,
            threshold=options.threshold,
            soft=options.soft,
            batch_size=options.batch_size,
            overwrite=options.overwrite,
            tick=lambda done, total: watcher.progress(options.with_.partition(":")[0], done, total),
        )
    warn_assumed_ranges(assumed, len(examples))
    sys.stdout.write(f"made {done.made}, kept {done.existing}, empty {len(done.empty)}, missing {len(done.missing)}\n")
    if done.empty:
        console.print(f"no foreground in {named(done.empty)}")
    if done.missing:
        first = next(iter(done.missing.items()))
        raise UserError(
            f"no mask for {named(tuple(done.missing))} ({first[0]}: {first[1]}); the others are in {out}, repeat the "
            f"command to make only the missing ones"
        )
    # Without values=grey, soft masks with dark values alone would be read as labels.
    source = f"folder:{out},values=grey" if options.soft else BESIDE if options.out == BESIDE else f"folder:{out}"
    console.print(f"next: cliptune train maple+dapt --data {options.data} --masks-from {source}")


def examples_of(dataset: Dataset, split: str) -> list[Example]:
    """Examples of one split, or of all, without duplicates. Raises `UserError` if there are none."""
    parts = ("train", "val", "test") if split == "all" else (split,)
    found = list({e.key: e for part in parts for e in dataset.examples(part)}.values())
    if not found:
        raise UserError(f"{dataset.name} has no images in its split {split!r}; choose another --split")
    return found


def output_folder(dataset: Dataset, examples: Sequence[Example], out: str) -> Path:
    """The folder for the masks. Raises `UserError` if the dataset would read it as a class."""
    first = examples[0]
    images = None
    if first.path is not None and first.path.as_posix().endswith("/" + first.key):
        images = Path(first.path.as_posix().removesuffix("/" + first.key))
    if out == BESIDE:
        if images is None:
            raise UserError(f"{dataset.name} has no image folder that --out {BESIDE} could refer to; use --out FOLDER")
        home = images.absolute()
        return home.with_name(home.name + "-masks")
    chosen = Path(out).expanduser()
    if isinstance(dataset, Folder) and images and images.resolve() in (chosen.resolve(), *chosen.resolve().parents):
        raise UserError(
            f"{chosen} lies inside the image folder, where every folder counts as a class; choose another, "
            f"or --out {BESIDE}"
        )
    return chosen


def segmenter_of(options: MasksMake, dataset: Dataset, console: Console) -> making.Segmenter:
    """Load the segmenter that `--with` names. Raises `UserError` for an unknown one."""
    from cliptune import experiment
    from cliptune.segmentation.command import CommandSegmenter
    from cliptune.segmentation.pretrained import load_pretrained
    from cliptune.segmentation.sam import SAM, SamSegmenter
    from cliptune.segmentation.text_segmenter import CLIPSEG, SAM3, TextSegmenter

    name, _, argument = options.with_.partition(":")
    if name == "command":
        return CommandSegmenter(argument)
    kinds = {kind.name: kind for kind in (CLIPSEG, SAM, SAM3)}
    if name not in kinds or argument:
        raise UserError(f'unknown segmenter {options.with_!r}; known: {", ".join(kinds)}, command:"PROGRAM ..."')
    device = experiment.launch_fabric(options.device, 1, "32").device
    console.print(f"loading {options.model or kinds[name].model}")
    loaded = load_pretrained(kinds[name], options.model, device)
    if name != "sam":
        return TextSegmenter(loaded, options.prompt)
    settings = {"saliency": options.saliency}
    settings |= (
        {"run": options.run} if options.run else {"backbone": options.backbone, "pretrained": options.pretrained}
    )
    return SamSegmenter(loaded, saliency_of(options, dataset, device), points=options.points, settings=settings)


def saliency_of(options: MasksMake, dataset: Dataset, device: torch.device) -> Callable[..., Tensor]:
    """The saliency function of the chosen CLIP model, on uint8 images `(3, H, W)`."""
    import torch

    from cliptune.data.transforms import squash, standardise
    from cliptune.saliency import gradcam, maskclip
    from cliptune.tasks import warn_of_small_backbone

    model = model_of(options, dataset).to(device)
    if not options.run:
        warn_of_small_backbone(model.backbone, dataset)
    saliencies = {"gradcam": gradcam.gradcam, "maskclip": maskclip.maskclip}
    preprocess = model.backbone.preprocess

    def saliency(images: Sequence[Tensor], labels: Sequence[int]) -> Tensor:
        squashed = torch.stack([squash(image, preprocess) for image in images]).to(device)
        seen = standardise(squashed, preprocess.mean, preprocess.std)
        return saliencies[options.saliency](model, seen, torch.tensor(labels, device=device))

    return saliency


def named(keys: Sequence[str], most: int = 5) -> str:
    """The number of keys, and the first of them."""
    return f"{len(keys)} image{'s' * (len(keys) > 1)}: {listed(keys, most)}"
