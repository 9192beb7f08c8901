"""`cliptune demo`: methods, DAPT and its control on the bundled drawings, or on a folder of photographs."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cliptune import checks, config, files, presets, sweep
from cliptune.backbones.bundled import AUTO
from cliptune.backbones.resolve import resolve_backbone
from cliptune.commands import demo_photos
from cliptune.commands.parse import parse
from cliptune.commands.report import write_page
from cliptune.commands.run import print_tables
from cliptune.config import RunConfig
from cliptune.errors import UserError
from cliptune.methods.dapt import Dapt

METHODS = ("zeroshot", "coop", "maple", "coop+dapt", "maple+dapt")
NOTES = (
    "The bundled drawings and the tiny backbone show how methods behave; they do not reproduce published numbers.",
    "In training, every class has its own background; same, swapped and plain are tests with that background, with "
    "another class's, and with an even gray.",
    "DAPT's weight of aligning foregrounds was chosen on other classes; a row has the published weights. "
    "maple+copypaste, an augmentation with the same masks, is the control of methods that need masks.",
)
#: An augmentation with the masks that DAPT uses.
CONTROL = "maple+copypaste"
#: Training drawings per class.
SHOTS = 8
#: Maximum number of parallel runs on the drawings: one model of their size leaves a second core idle.
WORKERS = 4


@dataclass(frozen=True)
class Demo:
    """Tune a small CLIP on bundled drawings whose backgrounds mislead, with several methods; offline, in three
    to five minutes on two cores. With --photos, the same on your own images."""

    photos: Path | None = None
    """Your own images instead of the drawings: a folder with a subfolder per class, or a table (.csv, .json). A few
    images per class are enough; without test images, some are set aside for testing."""
    out: Path | None = None
    """Folder for checkpoints, results and report.html; by default demo, or demo-NAME for photos."""
    seeds: tuple[int, ...] = (1,)
    """One run per seed and method. Three seeds take three times as long."""
    shots: int | None = None
    """Training images per class; by default 8, and for photos up to 16, as the classes and the time permit; 0 takes
    all."""
    masks_from: str = AUTO
    """photos: foreground masks, as for train; auto takes those that come with the images (transparency, a folder masks
    next to them), else Grad-CAM. Masks of test images also show how far each method relies on backgrounds."""
    backbone: str = AUTO
    """photos: as for train."""
    pretrained: str = ""
    """photos: as for train."""

    def __post_init__(self):
        checks.seeds(self, "seeds")
        if self.shots is not None:
            checks.at_least(self, 0, "shots")
        checks.not_empty(self, "seeds")
        checks.no_duplicates(self, "seeds")
        for name in ("masks_from", "backbone", "pretrained"):
            if self.photos is None and getattr(self, name) != getattr(Demo, name):
                raise UserError(f"--{name.replace('_', '-')} is for --photos; the drawings have their own")


def drawing_runs(shots: int) -> list[tuple[str, RunConfig]]:
    """Label and configuration of each row on the drawings; after two short ones, the longest come first, so that
    parallel runs end together."""
    base: dict[str, Any] = {"data": "emoji", "protocol": "base_to_novel", "shots": shots}
    published = "maple+dapt, published weights"
    names = ("zeroshot", "coop", published, "maple+dapt", CONTROL, "maple", "coop+dapt")
    rows = {name: presets.get(name.partition(",")[0], **base) for name in names}
    rows[published] = config.with_options(rows[published], {"foreground": Dapt.foreground})
    return list(rows.items())


def demo(arguments: list[str]) -> None:
    """Train, print the table and write the report page."""
    options = parse(Demo, "demo", arguments)

    from cliptune.runners.local import Local, available_cores

    out = options.out or Path("demo" if options.photos is None else f"demo-{options.photos.resolve().name}")
    files.check_folder(out)
    start, title, notes = time.perf_counter(), "cliptune demo", NOTES
    workers = 1
    if options.photos is None:
        shots = SHOTS if options.shots is None else options.shots
        runs, photos = drawing_runs(shots), None
        workers = min(WORKERS, available_cores())
    else:
        resolve_backbone("tiny" if options.backbone == AUTO else options.backbone, options.pretrained)
        photos = demo_photos.open_photos(options.photos, options.shots, options.masks_from)
        runs = [(name, photos.run(name, options.backbone, options.pretrained)) for name in METHODS]
        title, notes = f"cliptune demo: {photos.dataset.name}", photos.notes(runs[0][1].backbone)
    jobs = sweep.plan_jobs(runs, options.seeds, out)
    if photos is not None:
        demo_photos.check_same_images(jobs)
    results = sweep.run_jobs(jobs, runner=Local(workers))
    print_tables(results)
    if photos is not None and (source := photos.test_masks()):
        demo_photos.print_reliance([job.folder for job in jobs], source)
    page = write_page(results, out, out / "report.html", 8, images=320, title=title, notes=notes)
    sys.stdout.write(f"report page: {page} ({time.perf_counter() - start:.0f} s in all)\n")
