"""Warnings before training about classes and test sets without test images."""

from __future__ import annotations

from cliptune.data.targets import labels_in
from cliptune.errors import UserError
from cliptune.text import listed
from cliptune.types import Task
from cliptune.user_warnings import warn_user


def check_test_images(task: Task, data: str) -> None:
    """Warn about test sets without images, and about classes whose single image is used for training.

    data: Name of the data in messages. Raises `UserError` if there is no test image at all.
    """
    empty = [name for name, test in task.tests.items() if not test.examples]
    if len(empty) == len(task.tests):
        raise UserError(
            f"{data} has no test images: the single image of a class is used for training; add images, or a test split"
        )
    if empty:
        warn_user(f"{data} has no test images for {', '.join(empty)}, which will not be measured")
    dataset = task.dataset
    if task.pool or len(dataset.evaluation_examples()) == len(dataset.examples("test")):
        return  # the data has a test split, and its reader warns about classes without test images
    own = [test for test in task.tests.values() if test.classnames == task.classnames]
    tested = {label for test in own for e in test.examples for label in labels_in(e)}
    trained = {label for e in task.train for label in labels_in(e)}
    untested = sorted(task.classnames[label] for label in trained - tested) if own else []
    if untested:
        classes = f"{len(untested)} classes have a single image" if len(untested) > 1 else "a class has a single image"
        warn_user(f"{classes}, used for training and not tested: {listed(untested)} (in {data})")
