"""`cliptune masks make`."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from rich.console import Console

from cliptune import checks
from cliptune.commands.masks_check import model_of
from cliptune.commands.parse import parse
from cliptune.config import Activation
from cliptune.data import sources
from cliptune.data.config import DataConfig
from cliptune.data.custom.folder import Folder
from cliptune.data.dataset import Dataset
from cliptune.data.emoji.dataset import Emoji
from cliptune.data.range_warnings import collect_assumed_ranges, warn_assumed_ranges
from cliptune.engine.watchers import ProgressBar, progress_display
from cliptune.errors import UserError
from cliptune.types import Example

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from cliptune.segmentation import make as making

#: `--out` that means a folder beside the pictures'.
BESIDE = "beside"


@dataclass(frozen=True)
class Make:
    """Make a foreground mask for each picture, as PNG files that --masks-from folder:OUT reads. After a stop the same
    command goes on."""

    data: str
    """folder:PATH, or any other dataset that cliptune train takes."""
    out: str
    """Folder for the masks; "beside" is one beside the pictures' own, with -masks added to its name."""
    with_: Annotated[str, tyro.conf.arg(name="with")] = "clipseg"
    """clipseg: told the class name in words. sam: the one mask of many that agrees best with where a CLIP sees the
    class. sam3: told the class name. command:"PROGRAM ...": your own, which is given a list of pictures, a JSON line
    each, and writes PNGs."""
    split: Literal["train", "val", "test", "all"] = "train"
    """Which pictures; training needs masks of its own only."""
    model: str = ""
    """Model on the Hugging Face hub, or a folder; by default CIDAS/clipseg-rd64-refined, facebook/sam-vit-base (which
    may also be a SAM 2) or facebook/sam3."""
    batch_size: int | None = None
    """Pictures at once; by default 8, and for a command 0, which is all."""
    device: str = "auto"
    """auto, cpu, cuda, mps."""
    threshold: float | None = None
    """From where on a map is foreground; by default 0.4 of clipseg, otherwise 0.5."""
    soft: bool = False
    """Keep maps as greys instead of cutting them."""
    prompt: str = ""
    """clipseg and sam3: sentence with one {} for the class name; by default the dataset's template for clipseg, the
    name alone for sam3."""
    points: int = 16
    """sam: points of the grid along each side; their square decides how long it takes. A CPU is slow at it."""
    saliency: Literal["gradcam", "maskclip"] = "gradcam"
    """sam: what shows where a CLIP sees the class."""
    run: str = ""
    """sam: folder of a trained run whose model shows it; by default an untuned one does."""
    allow_code: bool = False
    """Import a method outside of cliptune (package.module:Class) that the run names; only for files you trust."""
    backbone: str = "tiny"
    """sam: the untuned one, as for train; tiny has seen drawings only."""
    pretrained: str = ""
    """sam: as for train."""
    activation: Activation = "auto"
    """sam: as for train."""
    overwrite: bool = False
    """Make all of them anew, also those that are there."""
    reading: Annotated[DataConfig, tyro.conf.arg(name="")] = field(default_factory=DataConfig)

    def __post_init__(self):
        checks.between(self, 1, 1000, "points")
        if self.batch_size is not None:
            checks.at_least(self, 0, "batch_size")
        if self.threshold is not None:
            checks.between(self, 0, 1, "threshold")


def make(arguments: list[str]) -> None:
    """Make masks, say how many, and what to type next."""
    options = parse(Make, "masks make", arguments)
    dataset = sources.get(options.data, options.reading)
    examples = examples_of(dataset, options.split)
    from cliptune.segmentation import make as making

    out = place(dataset, examples, options.out)
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
            tick=lambda done, total: watcher.other(options.with_.partition(":")[0], done, total),
        )
    warn_assumed_ranges(assumed, len(examples))
    sys.stdout.write(f"made {done.made}, kept {done.kept}, empty {len(done.empty)}, missing {len(done.missing)}\n")
    if done.empty:
        console.print(f"no foreground at all in {named(done.empty)}")
    if done.missing:
        first = next(iter(done.missing.items()))
        raise UserError(
            f"no mask of {named(tuple(done.missing))} ({first[0]}: {first[1]}); the others are in {out}, and the same "
            f"command makes only what is missing"
        )
    # Dark greys alone would be taken for the numbers of labels.
    source = f"folder:{out},values=grey" if options.soft else BESIDE if options.out == BESIDE else f"folder:{out}"
    console.print(f"next: cliptune train maple+dapt --data {options.data} --masks-from {source}")


def examples_of(dataset: Dataset, split: str) -> list[Example]:
    """Those of one split or of all, each once. Raises `UserError` where there are none."""
    parts = ("train", "val", "test") if split == "all" else (split,)
    found = list({e.key: e for part in parts for e in dataset.examples(part)}.values())
    if not found:
        raise UserError(f"{dataset.name} has no pictures in its split {split!r}; choose another --split")
    return found


def place(dataset: Dataset, examples: Sequence[Example], out: str) -> Path:
    """The folder of the masks. Raises `UserError` where it would be taken for a class of pictures."""
    first = examples[0]
    pictures = None
    if first.path is not None and first.path.as_posix().endswith("/" + first.key):
        pictures = Path(first.path.as_posix().removesuffix("/" + first.key))
    if out == BESIDE:
        if pictures is None:
            raise UserError(f"there is no folder of {dataset.name} for masks to stand beside; say --out FOLDER")
        home = pictures.absolute()
        return home.with_name(home.name + "-masks")
    chosen = Path(out).expanduser()
    if isinstance(dataset, Folder) and pictures and pictures.resolve() in (chosen.resolve(), *chosen.resolve().parents):
        raise UserError(
            f"{chosen} lies among the pictures, where every folder counts as a class; choose another, or --out {BESIDE}"
        )
    return chosen


def segmenter_of(options: Make, dataset: Dataset, console: Console) -> making.Segmenter:
    """What `--with` names, loaded. Raises `UserError` for anything else."""
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
    about = {"saliency": options.saliency}
    about |= {"run": options.run} if options.run else {"backbone": options.backbone, "pretrained": options.pretrained}
    return SamSegmenter(loaded, saliency_of(options, dataset, device), points=options.points, about=about)


def saliency_of(options: Make, dataset: Dataset, device: torch.device) -> Callable[..., Tensor]:
    """Maps of where a CLIP sees the classes of pictures, uint8 `(3, H, W)` each."""
    import torch

    from cliptune.data.transforms import normalise, squash
    from cliptune.saliency import gradcam, maskclip

    if not options.run and options.backbone == "tiny" and not isinstance(dataset, Emoji):
        warnings.warn(
            "the tiny backbone has seen drawings only, so it hardly knows where a class is in photographs: say "
            "--backbone ViT-B-16 --pretrained openai, or --run RUN",
            stacklevel=2,
        )
    model = model_of(options, dataset).to(device)
    saliencies = {"gradcam": gradcam.gradcam, "maskclip": maskclip.maskclip}
    preprocess = model.backbone.preprocess

    def saliency(images: Sequence[Tensor], labels: Sequence[int]) -> Tensor:
        whole = torch.stack([squash(image, preprocess) for image in images]).to(device)
        seen = normalise(whole, preprocess.mean, preprocess.std)
        return saliencies[options.saliency](model, seen, torch.tensor(labels, device=device))

    return saliency


def named(keys: Sequence[str], most: int = 5) -> str:
    """Some of them, and how many more."""
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return f"{len(keys)} picture{'s' * (len(keys) > 1)}: {', '.join(keys[:most])}{more}"
