"""`cliptune evaluate RUN`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.console import Console

from cliptune import checks, config
from cliptune.commands.flags import FLAT
from cliptune.commands.output import print_columns
from cliptune.commands.parse import parse, split_first
from cliptune.data.config import DataConfig
from cliptune.engine.progress import ProgressBar, progress_display
from cliptune.errors import UserError
from cliptune.results.aggregate import display_name
from cliptune.results.row_tables import check_row_file, write_rows

if TYPE_CHECKING:
    from cliptune.analysis.calibration import FittedTemperature
    from cliptune.analysis.inspection import Inspection

#: Pairs of classes printed with --details.
MAX_PAIRS = 10


@dataclass(frozen=True)
class Evaluate:
    """Print the accuracy of a trained run in percent; on request, write the prediction for each image, and print where
    the model is wrong."""

    data: str = ""
    """Other images with their own classes (folder:PATH). By default, the test sets of the run."""
    predictions: Path | None = None
    """Write one row per image to this .csv, .jsonl or .parquet file: path, true and predicted class, whether it is
    correct, the probability of both classes, the margin between the two most probable classes, the entropy, the
    split."""
    all_images: bool = False
    """Also evaluate the other images of the run's data: the splits train, val, and unused, which are training images
    that were not drawn."""
    details: bool = False
    """Also print accuracy per class with its 95 % interval, confused classes, the surest mistakes, and calibration."""
    mistakes: int = 10
    """Number of mistakes per test set that --details prints."""
    calibrate: bool = False
    """Fit a temperature on the run's validation images, never on test images, store it with the run, and use it as
    --calibrated does."""
    calibrated: bool = False
    """Divide logits by the stored temperature, which changes probabilities, not accuracy."""
    allow_code: bool = False
    """Import a method outside of cliptune (package.module:Class) that the run names. Only for files that you trust."""
    reading: Annotated[DataConfig, FLAT] = field(default_factory=DataConfig)

    def __post_init__(self):
        checks.at_least(self, 0, "mistakes")


def evaluate(arguments: list[str]) -> None:
    """Evaluate a trained run and print its accuracy."""
    path, rest = split_first(arguments, "a run's folder", "evaluate runs/train")
    options = parse(Evaluate, "evaluate RUN", rest)
    if options.predictions is not None:
        check_row_file(options.predictions, "--predictions")
    if options.all_images and options.data:
        raise UserError("--all-images is for the run's own data; leave it out, as all images of other data are tested")
    from cliptune.analysis.split_predictions import COLUMNS, prediction_rows
    from cliptune.tuned import load

    run = load(path, allow_code=options.allow_code)
    reading = config.non_default_fields(options.reading)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with progress_display(console) as progress:
        watchers, data = [ProgressBar(progress, path)], options.data or None
        calibrated = options.calibrated or options.calibrate
        if options.predictions is None and not options.details and not options.all_images and not calibrated:
            print_metrics(run.evaluate(data, watchers=watchers, **reading))
            return
        if options.calibrate:
            run.calibrate(watchers, **reading)
        inspection = run.inspect(
            data, all_images=options.all_images, calibrated=calibrated, watchers=watchers, **reading
        )
    print_metrics(inspection.metrics)
    if options.details or calibrated:
        print_calibration(inspection, run.temperature)
    if options.details:
        print_details(inspection, options.mistakes)
    if options.predictions is not None:
        rows = prediction_rows(inspection.splits)
        write_rows(options.predictions, COLUMNS, rows)
        console.print(f"predictions for {len(rows)} images in {options.predictions}", markup=False)


def print_metrics(metrics: Mapping[str, float]) -> None:
    """Print metrics on standard output, one per line."""
    named = {display_name(name): value for name, value in metrics.items()}
    width = max(map(len, named))
    for name, value in named.items():
        sys.stdout.write(f"{name:<{width}}  {value:6.2f} %\n")


def print_calibration(inspection: Inspection, fitted: FittedTemperature | None) -> None:
    """Print mean probability, calibration error and log-likelihood per split, and the temperature of the run."""
    from cliptune.analysis.calibration import BINS, measure_calibration
    from cliptune.calibration import describe

    rows = []
    for part in inspection.splits:
        if part.multi_label:
            continue
        temperature = inspection.temperatures.get(part.split, 1.0)
        states = [(1.0, inspection.uncalibrated[part.split])] if temperature != 1 else []
        for value, state in [*states, (temperature, part)]:
            found = measure_calibration(state)
            shares = (_percent(100 * x) for x in (found.accuracy, found.confidence, found.error))
            rows.append((part.split, f"{value:.3g}", found.images, *shares, f"{found.nll:.3f}"))
    if not rows:
        sys.stdout.write("\nno calibration: images have several classes, whose probabilities sum to 1\n")
        return
    title = f"calibration: mean probability and expected calibration error ({BINS} bins) in percent, log loss in nats"
    print_columns(title, ("split", "temperature", "images", "accuracy", "probability", "error", "log loss"), rows)
    known = "none is stored with the run; --calibrate fits one" if fitted is None else describe(fitted)
    sys.stdout.write(f"  temperature: {known}\n")


def print_details(inspection: Inspection, mistakes: int) -> None:
    """Print accuracy per class, confused classes and the surest mistakes of each split, with file names."""
    from cliptune.analysis.class_accuracy import class_accuracies, confusions, surest_mistakes
    from cliptune.analysis.split_predictions import prediction_rows

    for part in inspection.splits:
        if part.multi_label:
            sys.stdout.write(
                f"\n{part.split}: images have several classes; a prediction is correct if the image has that class\n"
            )
        classes = sorted(class_accuracies(part), key=lambda one: (one.percent is None, one.percent or 0.0))
        rows = [(one.name, one.images, _percent(one.percent), _interval(one.interval)) for one in classes]
        print_columns(f"{part.split}: accuracy per class, lowest first", ("class", "images", "%", "95 %"), rows)
        pairs = confusions(part)
        if not pairs:
            sys.stdout.write(f"\n{part.split}: no mistakes in {len(part.paths)} images\n")
            continue
        rows = [(f"{p.true} -> {p.predicted}", f"{p.count} of {p.images}") for p in pairs[:MAX_PAIRS]]
        of = f", {MAX_PAIRS} of {len(pairs)}" if len(pairs) > MAX_PAIRS else ""
        print_columns(f"{part.split}: confused classes{of}", ("class -> prediction", "images"), rows)
        every = prediction_rows([part])
        wrong = [every[i] for i in surest_mistakes(part, mistakes)]
        shown = [
            (row["path"], row["true"], f"{row['predicted']} {_percent(100 * row['predicted_probability'])} %")
            for row in wrong
        ]
        if shown:
            of = f", {len(wrong)} of {len(part.paths) - int(part.correct.sum())}"
            print_columns(f"{part.split}: surest mistakes{of}", ("image", "true", "prediction"), shown)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _interval(ends: Sequence[float] | None) -> str:
    return "-" if ends is None else f"{ends[0]:.0f}-{ends[1]:.0f}"
