"""Every mask is read once before training: missing ones stop it, as do masks that all say nothing; others are named."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from torch import Tensor

from cliptune.errors import UserError
from cliptune.masks.source import MaskSource
from cliptune.types import Task

if TYPE_CHECKING:
    from cliptune.data.loader import ExampleSet

#: Pictures named in a note.
MAX_NAMED = 3


def is_empty(mask: Tensor) -> bool:
    """Whether no pixel is mostly foreground."""
    return int(mask.max()) < 128


def is_full(mask: Tensor) -> bool:
    """Whether no pixel is mostly background."""
    return int(mask.min()) >= 128


def validate_masks(examples: ExampleSet, source: MaskSource) -> None:
    """Read the masks of all examples; warn of empty and full ones. Raises `UserError` that counts those without one, or
    where all of them are empty or full."""
    failed, empty, full = list[str](), list[str](), list[str]()
    for i, example in enumerate(examples.examples):
        try:
            mask = examples.mask(i, source)
        except UserError as error:
            failed.append(str(error))
            continue
        if is_empty(mask):
            empty.append(example.key)
        elif is_full(mask):
            full.append(example.key)
    if failed:
        count = f"{len(failed)} of {len(examples)} pictures have no usable mask; the first: " if len(failed) > 1 else ""
        raise UserError(count + failed[0])
    if not source.whole and (said := uninformative_message(len(empty), len(full), len(examples))):
        raise UserError(said)
    warn_of_uninformative(empty, full, len(examples), whole=source.whole)


def drop_unusable(task: Task, source: MaskSource) -> tuple[Task, dict[str, str]]:
    """The task without training images whose masks have faults, and what is wrong with each, by key.

    Warns of what is left out. Raises `UserError` where nothing is left.
    """
    bad = {fault.key: fault.text for fault in source.faults(task.train)}
    rest = tuple(example for example in task.train if example.key not in bad)
    if bad:
        first = next(iter(bad.values()))
        said = f"masks of {len(bad)} of {len(task.train)} pictures cannot be used"
        if not rest:
            raise UserError(f"{said}: {first}")
        warnings.warn(f"{said} and these are left out, such as: {first}", stacklevel=3)
    return replace(task, train=rest), bad


def uninformative_message(empty: int, full: int, total: int) -> str:
    """What is wrong with masks that are all empty or all full, or "" where some are neither."""
    for count, lack, other in ((empty, "foreground", "background"), (full, "background", "foreground")):
        if total and count == total:
            return (
                f"not one of {total} masks has any {lack}, so that {other} is all there is: say what their numbers "
                f"mean (folder:PATH,values=labels,foreground=1 or values=trimap), or choose another source (gradcam; "
                f"full is the control)"
            )
    return ""


def warn_of_uninformative(empty: Sequence[str], full: Sequence[str], total: int, *, whole: bool = False) -> None:
    """Warn of masks without any foreground, and (unless `whole` is wanted) of those without any background."""
    for keys, lack in ((empty, "foreground"), ((), "") if whole else (full, "background")):
        if keys:
            shown = ", ".join(keys[:MAX_NAMED]) + (", ..." if len(keys) > MAX_NAMED else "")
            warnings.warn(
                f"{len(keys)} of {total} masks have no {lack}: {shown}; cliptune masks check shows them", stacklevel=3
            )
