"""What the tests of a task leave out, said before anything is trained."""

from __future__ import annotations

import warnings

from cliptune.data.targets import labels_in
from cliptune.errors import UserError
from cliptune.text import listed
from cliptune.types import Task


def check_test_images(task: Task, data: str) -> None:
    """Warn of classes with a single image, which trains, and of test sets without images.

    data: what the run calls its data. Raises `UserError` where there is no test image at all.
    """
    empty = [name for name, test in task.tests.items() if not test.examples]
    if len(empty) == len(task.tests):
        raise UserError(
            f"{data} has no test images, so that nothing would be measured: a class with a single image keeps it for "
            f"training; add images, or a test part"
        )
    if empty:
        warnings.warn(f"no test images for {', '.join(empty)} in {data}: not measured", stacklevel=3)
    dataset = task.dataset
    if len(dataset.evaluation_examples()) == len(dataset.examples("test")):
        return  # the data marks its test images, and says itself which classes lack some
    own = [test for test in task.tests.values() if test.classnames == task.classnames]
    tested = {label for test in own for e in test.examples for label in labels_in(e)}
    lost = [label for label in sorted({label for e in task.train for label in labels_in(e)} - tested) if own]
    if lost:
        classes = f"{len(lost)} classes with one image each are" if len(lost) > 1 else "a class with a single image is"
        names = listed(sorted(task.classnames[label] for label in lost))
        warnings.warn(f"{classes} never tested, as it trains: {names} (of {data})", stacklevel=3)
