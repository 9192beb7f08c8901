"""Collect mistakes, likely wrong labels, duplicates and calibration of a user's own images from restored models."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from cliptune import calibration, inspection, mislabelled
from cliptune.analysis.calibration import measure_calibration
from cliptune.analysis.class_accuracy import surest_mistakes
from cliptune.analysis.split_predictions import SplitProbabilities
from cliptune.data.dataset import Dataset
from cliptune.data.range_warnings import collect_assumed_ranges
from cliptune.data.similar_images import DuplicateGroup, find_duplicates, listed_images
from cliptune.data.transforms import shrink
from cliptune.engine.evaluate import predict_logits
from cliptune.errors import UserError
from cliptune.report.collect.models import (
    Predictions,
    RestoredModels,
    first_test_set,
    predict_test_set,
    sample_examples,
)
from cliptune.report.overlay import MAX_SHORT_SIDE, image_bytes
from cliptune.report.own_data import CardGroup, ImageCard, OwnDataFindings
from cliptune.types import Example

#: Test sets of the mistakes, in order of preference.
PREFERRED_TEST_SETS = ("test", "base")
#: Images shown as mistakes and as likely mislabelled, and groups of duplicates with images of each.
MAX_CARDS, MAX_GROUPS, MAX_GROUP_CARDS = 12, 8, 6
#: Larger datasets are not searched for duplicates.
MAX_COMPARED = 20_000


def collect_own_data(restored: RestoredModels, folders: Mapping[str, Path], limit: int = 500) -> OwnDataFindings | None:
    """Collect the findings, from at most `limit` images per split; None for a public or a generated dataset.

    folders: The run directories by label, for stored temperatures.
    """
    dataset = restored.task.dataset
    images = listed_images(dataset)
    if dataset.is_public or not images or any(image.example.path is None for image in images):
        return None
    predictions = predict_test_set(restored, first_test_set(restored, PREFERRED_TEST_SETS), limit)
    probabilities = {label: _split(predictions, label) for label in predictions.probabilities}
    if not probabilities:
        return None
    parts = {label: split.predictions for label, split in probabilities.items()}
    tuned = [label for label in parts if label != restored.untuned] or list(parts)
    best = max(tuned, key=lambda label: int(parts[label].correct.sum()))
    part, examples, notes = parts[best], predictions.test.examples, list[str]()
    mistakes = []
    for i in surest_mistakes(part, MAX_CARDS):
        true = ", ".join(part.classnames[label] for label in part.labels[i])
        share = f"{100 * math.exp(part.predicted_log[i]):.0f} %"
        text = (f"predicted: {part.classnames[int(part.predicted[i])]}, {share}", f"true: {true}")
        mistakes.append(_card(predictions.test.dataset or dataset, examples[i], text))
    scaled, temperatures = _temperatures(probabilities, folders, restored, notes)
    single = not part.multi_label
    if not single:
        notes.append("Calibration and likely wrong labels are for images with one class each, and these have several.")
    suspects, shown, judges = _suspects(restored, limit, notes) if single else (0, (), "")
    groups: list[DuplicateGroup] = []
    if len(images) <= MAX_COMPARED:
        groups = find_duplicates(dataset)
    else:
        notes.append(f"Duplicates were not searched among {len(images):,} images; use cliptune data duplicates.")
    return OwnDataFindings(
        method=best,
        split=predictions.name,
        images=len(examples),
        wrong=len(examples) - int(part.correct.sum()),
        mistakes=mistakes,
        mislabelled=shown,
        suspects=suspects,
        judges=judges,
        duplicates=[_group(dataset, group) for group in groups[:MAX_GROUPS]],
        groups=len(groups),
        calibration={m: (measure_calibration(p), scaled.get(m)) for m, p in parts.items()} if single else {},
        temperatures=temperatures,
        notes=notes,
    )


def _split(predictions: Predictions, label: str) -> SplitProbabilities:
    logits = predictions.probabilities[label].double().clamp_min(1e-300).log()
    return inspection.split_probabilities(predictions.name, predictions.test, logits)


def _temperatures(
    parts: Mapping[str, SplitProbabilities], folders: Mapping[str, Path], restored: RestoredModels, notes: list[str]
):
    """Calibration with the stored temperature, and the temperature, by method."""
    scaled, temperatures = {}, {}
    for label, part in parts.items():
        try:
            fitted = calibration.read_temperature(folders[label]) if label in folders else None
        except UserError as error:
            notes.append(f"The temperature of {label} was not used: {error}.")
            continue
        if (
            fitted is not None
            and not part.predictions.multi_label
            and part.classnames == restored.models[label].classnames
        ):
            temperatures[label] = fitted.temperature
            scaled[label] = measure_calibration(part.scaled(fitted.temperature).predictions)
    return scaled, temperatures


def _suspects(restored: RestoredModels, limit: int, notes: list[str]) -> tuple[int, tuple[ImageCard, ...], str]:
    """Number and cards of likely mislabelled images, and who judged how many."""
    run = next(iter(restored.runs.values()))
    try:
        # Coresets differ by method: none of the images that they were chosen from is judged.
        whole = inspection.with_all_images(replace(run, fraction=1.0), restored.task, None)
    except UserError:
        notes.append("Wrong labels are searched in runs that train on labelled images of all classes, not in these.")
        return 0, (), ""
    task = mislabelled.unseen_task(whole, trains=True)
    tests = {n: replace(t, examples=sample_examples(t.examples, limit)) for n, t in task.tests.items() if t.examples}
    found = [
        inspection.split_probabilities(name, test, predict_logits(model, task.dataset, test, preset=restored.preset))
        for name, test in tests.items()
        for model in restored.models.values()
    ]
    examples = {str(e.path or e.key): e for test in tests.values() for e in test.examples}
    rows = mislabelled.rank(found)
    cards = tuple(
        _card(
            task.dataset,
            examples[str(row["path"])],
            (f"labelled: {row['label']}", f"suggested: {row['suggested']} ({row['agreeing']} of {row['runs']})"),
        )
        for row in rows[:MAX_CARDS]
    )
    return len(rows), cards, f"{len(restored.models)} models judged {len(examples)} images that none was trained on"


def _group(dataset: Dataset, group: DuplicateGroup) -> CardGroup:
    flaws = (("several classes", group.several_classes), ("training and test", group.several_splits))
    title = ", ".join([f"{group.kind} duplicates", *(words for words, holds in flaws if holds)])
    cards = (_card(dataset, i.example, (f"{', '.join(i.classes)}; {i.split}",)) for i in group.images[:MAX_GROUP_CARDS])
    rest = len(group.images) - MAX_GROUP_CARDS
    return CardGroup(f"{title}{f', and {rest} more' if rest > 0 else ''}", tuple(cards))


def _card(dataset: Dataset, example: Example, lines: tuple[str, ...]) -> ImageCard:
    with collect_assumed_ranges():
        image = shrink(dataset.read(example), MAX_SHORT_SIDE).image
    path = str(example.path or example.key).encode(errors="replace").decode()
    return ImageCard(image_bytes(np.asarray(image), kind="jpeg"), path, lines)
