"""The images that a tuned model is evaluated on: the test sets of its run, or other data."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from cliptune import model_io, tasks
from cliptune.config import RunConfig
from cliptune.data import sources
from cliptune.data.custom.common.torch_dataset import as_test_dataset, python_spec
from cliptune.data.dataset import Dataset
from cliptune.errors import UserError
from cliptune.types import Example, Task, TestSet


def evaluation_task(
    data: Any, run: RunConfig, *, trained: RunConfig, classnames: Sequence[str], path: Path | None
) -> Task:
    """The task with the test sets for a tuned model.

    Args:
        data: A name such as "folder:PATH", a dataset, or a torch dataset. None: the test sets of the run.
        run: The configuration of the run, with the `DataConfig` of this evaluation.
        trained: The configuration that the model was trained with.
        classnames: The class names of the model.
        path: The folder or file that the model was loaded from, or None.

    Raises:
        UserError: If the data cannot be found, or the run's own data has other classes than the model.
    """
    if data is None and not run.data:
        raise UserError("the checkpoint does not name its data; name the data to evaluate on: data='folder:PATH'")
    opened = None if data is None or isinstance(data, str) else as_test_dataset(data, classnames)
    spec = data if opened is None else python_spec(opened)
    dataset = None if opened is None else sources.apply_config(opened, run.reading)
    if spec is None or (opened is not None and spec == run.data):
        return _task_of_run(run, dataset, classnames, path)
    return _task_of_other_data(run, spec, dataset, trained)


def _task_of_run(run: RunConfig, dataset: Dataset | None, classnames: Sequence[str], path: Path | None) -> Task:
    """The task of the run itself. Raises `UserError` if its classes are not `classnames`."""
    if path is None or dataset is not None:
        task = tasks.build_task(run, dataset)
    else:
        task = model_io.load_task(path, run, classnames)
    if task.classnames != tuple(classnames):
        raise UserError(
            "the classes are not those the run was trained on; name the data to evaluate on: data='folder:PATH'"
        )
    return task


def _task_of_other_data(run: RunConfig, data: str, dataset: Dataset | None, trained: RunConfig) -> Task:
    """The task of testing on all images of other data, unless it has a test split or contains images that the run
    `trained` was trained on; then on its test split.

    data: The name of the data. dataset: The same, if it is opened already.
    """
    reading = replace(run.reading, draws="")  # these belong to the training data
    few = RunConfig(run.method, data=data, shots=1, seed=run.seed, training=run.training, reading=reading)
    task = tasks.build_task(few, dataset)
    whole, tested = tuple(task.dataset.evaluation_examples()), task.tests["test"].examples
    tested = whole if whole != tested and not _was_trained_on(trained, whole) else tested
    return replace(task, tests={"test": TestSet(tested, task.classnames, task.dataset)})


def _was_trained_on(run: RunConfig, examples: Sequence[Example]) -> bool:
    """Whether some of these image files are in the training data of a run."""
    with suppress(UserError), warnings.catch_warnings(action="ignore"):
        # A pool may be of another dataset, the target.
        own = tasks.build_task(run).dataset if run.method.pool else tasks.open_dataset(run)
        trained = {e.path.resolve() for e in (*own.examples("train"), *own.examples("val")) if e.path is not None}
        return any(e.path is not None and e.path.resolve() in trained for e in examples)
    return False
