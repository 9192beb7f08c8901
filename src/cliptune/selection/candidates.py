"""The methods that are compared, and which methods can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cliptune import config, presets
from cliptune.config import RunConfig
from cliptune.errors import UserError
from cliptune.text import listed
from cliptune.user_warnings import warn_user

#: The method that is always compared, first, as it costs nothing.
BASELINE = "zeroshot"
#: One or two methods of each kind, cheapest first: nothing learned; a cache of training images; a classifier on frozen
#: features, on its own or as a correction of the cache or of the class features; learned prompts of the text tower;
#: learned prompts of both towers; changed weights; prompts with foreground masks.
DEFAULT_METHODS = (
    *(BASELINE, "tip_adapter", "linear_probe", "tip_adapter_f", "taskres"),
    *("coop", "kgcoop", "maple", "promptsrc", "clip_lora", "maple+dapt"),
)


def candidate_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names of all candidates: `names`, with `BASELINE` first. Raises `UserError` if one occurs twice."""
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise UserError(f"methods contains {twice!r} twice; leave one out")
    return (BASELINE, *(name for name in names if name != BASELINE))


def preset_runs(names: Sequence[str], preset: str, base: Mapping[str, Any]) -> list[tuple[str, RunConfig]]:
    """Name and configuration of each candidate, with its preset. base: Fields of `RunConfig`.

    Presets that keep the epoch with the best validation accuracy keep the last one here, which a warning says.
    """
    chosen = presets.choose_each(names, preset)
    runs = [(name, presets.get(name, chosen[name], **base)) for name in names]
    changed = [name for name, run in runs if run.training.keep == "best"]
    if changed:
        warn_user(
            f"the preset of {listed(changed)} keeps the best epoch by validation images, which are used to compare "
            f"methods: the last epoch is kept instead"
        )
    return [(name, replace(run, training=replace(run.training, keep="last"))) for name, run in runs]


def with_options(runs: Sequence[tuple[str, RunConfig]], options: Mapping[str, Any]) -> list[tuple[str, RunConfig]]:
    """The runs with each option set in those that have it. Raises `UserError` for an option that no run has."""
    for key, value in options.items():
        having = [key in config.option_names(run) for _, run in runs]
        if not any(having):
            config.with_options(runs[-1][1], {key: value})  # raises an error with the nearest names
        runs = [
            (name, config.with_options(run, {key: value}) if has else run)
            for (name, run), has in zip(runs, having, strict=True)
        ]
    return list(runs)


def check_candidates(runs: Sequence[tuple[str, RunConfig]]) -> None:
    """Raise `UserError` for a run that cannot be compared by images that it was not trained on."""
    from cliptune import tasks  # imports PyTorch

    for name, run in runs:
        if run.protocol != "few_shot":
            raise UserError(f"protocol={run.protocol} cannot be used here; methods are compared by few_shot")
        if run.devices > 1:
            raise UserError(
                f"devices={run.devices} cannot be used here; leave it at 1, and train the method afterwards"
            )
        if run.fraction < 1:
            raise UserError(f"fraction={run.fraction} cannot be used here; leave it at 1, and set shots instead")
        use = "a pool of unlabelled images" * run.method.pool or "its test images" * run.method.chooses_on_test
        use = use or (f"validation images ({tasks.validation_use(run)})" if tasks.validation_use(run) else "")
        if use:
            raise UserError(
                f"{name} trains or chooses with {use}, so it cannot be compared on images that it has not seen; leave "
                f"it out of methods, or that option"
            )
