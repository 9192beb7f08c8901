"""`ct.auto`: choose a method for data within a time limit, and train it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cliptune import api, files
from cliptune.backbones.bundled import AUTO, choose_backbone
from cliptune.data import sources
from cliptune.engine.watchers import Watcher
from cliptune.selection import candidates
from cliptune.selection.select import Selection, select
from cliptune.selection.split import ScoredOn
from cliptune.selection.time_limit import Budget, parse_time


def auto(
    data: Any = "emoji",
    *,
    time_limit: str | float | None = "10m",
    out: str | Path | None = None,
    methods: Sequence[str] = (),
    shots: int = 0,
    backbone: str = AUTO,
    pretrained: str = "",
    seed: int = 1,
    preset: str = "auto",
    scored_on: ScoredOn = "auto",
    folds: int = 5,
    watchers: Sequence[Watcher] = (),
    **options: Any,
) -> Selection:
    """Choose a method for data and train it.

    Methods are compared on images that they were not trained on: validation images if the data has a validation split,
    otherwise folds of the training images. Test images are used once, after the choice. The most accurate method wins
    if it is clearly more accurate than all cheaper ones; otherwise the cheapest that is not clearly worse.

    Args:
        data: As for `train`.
        time_limit: Such as "90s", "10m", "1h", or seconds; None or 0 for no limit. It includes the final training. A
            method that does not fit is left out.
        out: Folder for the run, the leaderboard and the results of finished folds. If the call is interrupted, the same
            call continues it; with a longer limit, it adds the methods that were left out.
        methods: Names of methods, cheapest first; by default, one or two of each kind. "zeroshot" is always compared,
            before all others.
        shots: Training images per class; 0 takes all.
        backbone: As for `train`.
        pretrained: As for `train`.
        seed: Seed of the folds, and as for `train`.
        preset: As for `train`; methods without it use "auto".
        scored_on: "validation", "folds", or "auto" for the former if the data has a validation split of its own.
        folds: Number of folds.
        watchers: Observers of all trainings; see `Watcher`.
        **options: As for `train`, for every method that has the option.

    Returns:
        The trained method with the leaderboard.

    Raises:
        UserError: If a name, an option or the data cannot be used, or `out` contains something else.
    """
    budget = Budget(parse_time(time_limit))
    if out is not None:
        files.check_folder(Path(out))
    spec, opened = api.open_data(data)
    if opened is not None:
        backbone = choose_backbone(backbone, opened.image_kind)
    base = {"data": spec, "shots": shots, "backbone": backbone, "pretrained": pretrained, "seed": seed}
    names = candidates.candidate_names(methods or candidates.DEFAULT_METHODS)
    runs = candidates.with_options(candidates.preset_runs(names, preset, base), options)
    dataset = None if opened is None else sources.apply_config(opened, runs[0][1].reading)
    return select(
        runs,
        None if out is None else Path(out),
        budget,
        dataset=dataset,
        scored_on=scored_on,
        folds=folds,
        watchers_of=lambda title: watchers,
    )
