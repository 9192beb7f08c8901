"""The demo on the user's images: shots, steps, masks and notes that suit a folder of any size."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.console import Console

from cliptune import config, masks, presets
from cliptune.backbones.bundled import BUNDLED, PRETRAINED_FLAGS
from cliptune.commands import background
from cliptune.data import sources
from cliptune.data.dataset import Dataset
from cliptune.errors import UserError
from cliptune.results.store import RESULT_FILE, load_result
from cliptune.runners.job import Job

#: Largest default number of shots, and of training images of all classes together.
MAX_SHOTS, MAX_IMAGES = 16, 480
#: Smallest number of training steps. The presets of small backbones count epochs over many classes, of which a folder
#: with a few images would give a few steps.
MIN_STEPS = 60
#: Number of test images that are opened to see whether they have masks.
PROBED = 8


@dataclass(frozen=True)
class Photos:
    """The images of a demo.

    Args:
        spec: Their name as for `--data`.
        dataset: The opened dataset.
        shots: Training images per class; 0 takes all.
        masks_from: The mask source of training images.
    """

    spec: str
    dataset: Dataset
    shots: int
    masks_from: str

    def run(self, name: str, backbone: str, pretrained: str) -> config.RunConfig:
        """The run of a method: its preset, with at least `MIN_STEPS` steps."""
        run = presets.get(name, data=self.spec, backbone=backbone, pretrained=pretrained, shots=self.shots)
        training = run.training
        if not (training.steps or training.steps_per_shot or training.min_steps):
            run = replace(run, training=replace(training, min_steps=MIN_STEPS))
        if self.masks_from == "auto" or run.method.mask_source() is None:
            return run
        return config.with_options(run, {"masks_from": self.masks_from})

    def test_masks(self) -> str:
        """The source of masks that come with the test images; "" if they have none."""
        spec = "data" if self.masks_from == "auto" else self.masks_from
        if masks.uses_model(spec):
            return ""
        source = masks.get(spec)
        for example in self.dataset.examples("test")[:PROBED]:
            with suppress(UserError):
                source.mask(example, self.dataset.read(example))
                return spec
        return ""

    def notes(self, backbone: str) -> tuple[str, ...]:
        """Notes for the page."""
        train, val, test = (len(self.dataset.examples(part)) for part in ("train", "val", "test"))
        used = f"up to {self.shots} per class" if self.shots else "all"
        lines = [
            f"{self.dataset.name} has {len(self.dataset.classnames)} classes: {train} training images, of which {used} "
            f"are used, {test} test images, and {val} validation images, which the demo does not use."
        ]
        if backbone in BUNDLED:
            lines.append(
                f"The bundled {backbone} backbone is small, for trying things out; a pretrained CLIP is far more "
                f"accurate: cliptune demo --photos FOLDER {PRETRAINED_FLAGS}"
            )
        return tuple(lines)


def open_photos(path: Path, shots: int | None, masks_from: str) -> Photos:
    """Open the images at a path.

    shots: None for as many as the largest class has, up to `MAX_SHOTS`, and fewer for many classes. masks_from: "auto"
    for mask files next to the images if all training images have one. Raises `UserError` if the images cannot be used.
    """
    spec = sources.guess_spec(str(path)) or f"folder:{path}"
    masks.check_spec(masks_from)
    dataset = sources.get(spec)
    sizes = dataset.sizes()
    if shots is None:
        shots = max(1, min(MAX_SHOTS, MAX_IMAGES // len(sizes), max(sizes.values())))
    if masks_from == "auto" and not any(e.mask or e.boxes for e in dataset.examples("train")):
        beside = masks.get("beside").find_problems(dataset.training_examples())
        masks_from = masks_from if beside else "beside"
    return Photos(spec, dataset, shots, masks_from)


def check_same_images(jobs: Sequence[Job]) -> None:
    """Raise `UserError` if finished jobs are about other images than those that are there now."""
    from cliptune import provenance, tasks

    for job in jobs:
        if (job.folder / RESULT_FILE).is_file():
            recorded = load_result(job.folder / RESULT_FILE).provenance.get("data_fingerprint")
            with warnings.catch_warnings(action="ignore"):
                found = provenance.data_fingerprint(tasks.build_task(job.run))
            if recorded not in (None, found):
                raise UserError(
                    f"{job.folder} has the results of other images than {job.run.data} contains now; choose another "
                    f"folder with --out, or remove it"
                )


def print_reliance(folders: Sequence[Path], source: str) -> None:
    """Measure how far the runs rely on backgrounds, next to their records, and print the table."""
    from cliptune.report.collect.reliance import RelianceOptions, measure_reliance

    measure = partial(measure_reliance, options=RelianceOptions(masks=source))
    background.print_reliance(background.measure_runs(folders, measure, Console(stderr=True)))
