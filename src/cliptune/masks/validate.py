"""Checks of masks before training: missing masks and masks without information stop the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from torch import Tensor

from cliptune.errors import UserError
from cliptune.masks.source import MaskSource
from cliptune.text import listed
from cliptune.types import Task
from cliptune.user_warnings import warn_user

if TYPE_CHECKING:
    from cliptune.data.loader import ExampleSet

#: Number of images that a warning names.
MAX_NAMED = 3


def is_empty(mask: Tensor) -> bool:
    """Whether no pixel is mostly foreground."""
    return int(mask.max()) < 128


def is_full(mask: Tensor) -> bool:
    """Whether no pixel is mostly background."""
    return int(mask.min()) >= 128


def validate_masks(examples: ExampleSet, source: MaskSource) -> None:
    """Read the masks of all examples and warn of empty and full ones.

    Raises `UserError` with the number of images without a usable mask, or if all masks are empty or all are full.
    """
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
        count = f"{len(failed)} of {len(examples)} images have no usable mask; the first: " if len(failed) > 1 else ""
        raise UserError(count + failed[0])
    if not source.whole and (message := uninformative_message(len(empty), len(full), len(examples))):
        raise UserError(message)
    warn_of_uninformative(empty, full, len(examples), whole=source.whole)


def drop_unusable(task: Task, source: MaskSource) -> tuple[Task, dict[str, str]]:
    """Remove training images whose masks have problems.

    Returns the task without them, and the problems by example key. Warns of what is removed. Raises `UserError` if
    nothing is left.
    """
    problems = {problem.key: problem.text for problem in source.find_problems(task.train)}
    rest = tuple(example for example in task.train if example.key not in problems)
    if problems:
        first = next(iter(problems.values()))
        message = f"masks of {len(problems)} of {len(task.train)} images cannot be used"
        if not rest:
            raise UserError(f"{message}: {first}")
        warn_user(f"{message} and these images are skipped; the first: {first}")
    return replace(task, train=rest), problems


def uninformative_message(empty: int, full: int, total: int) -> str:
    """The error message for masks that are all empty or all full, or "" if some are neither."""
    for count, absent, other in ((empty, "foreground", "background"), (full, "background", "foreground")):
        if total and count == total:
            return (
                f"none of the {total} masks has any {absent}, all pixels are {other}: specify what their values mean "
                f"(folder:PATH,values=labels,foreground=1 or values=trimap), or choose another source (gradcam; "
                f"full is the control)"
            )
    return ""


def warn_of_uninformative(empty: Sequence[str], full: Sequence[str], total: int, *, whole: bool = False) -> None:
    """Warn of masks without foreground and, unless `whole`, of masks without background."""
    for keys, absent in ((empty, "foreground"), ((), "") if whole else (full, "background")):
        if keys:
            shown = listed(keys, MAX_NAMED)
            warn_user(f"{len(keys)} of {total} masks have no {absent}: {shown}; cliptune masks check shows them")
