"""What is trained and tested on, the progress of training, and the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cliptune.html_repr import html_repr
from cliptune.types.examples import Example


@dataclass(frozen=True)
class TestSet:
    """Examples relabelled to index `classnames`.

    dataset: Reads the examples if they are not from the task's own dataset; `templates` are then its prompts, () for
        the task's.
    parts: Further metrics by name, over the examples of some labels, classified among all `classnames`.
    """

    __test__ = False  # not a pytest class

    examples: tuple[Example, ...]
    classnames: tuple[str, ...]
    dataset: Any = None
    templates: tuple[str, ...] = ()
    parts: Mapping[str, frozenset[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """A task to train and test on: examples relabelled to index `classnames`, and named test sets.

    averaged: The test sets over which the papers' "average" is taken, () for no such metric.
    image_store: Decoded training images (`data.image_store.ImageStore`) if validation has read them.
    pool: Whether `train` is a pool of unlabelled images, whose labels are `NO_LABEL`.
    transductive: Whether `train` shows classes or data of which the test sets measure the transfer.
    chosen_on: Name of the test set whose accuracy chooses the epoch that is kept, as some released code does; "" for
        validation images, if any.
    """

    name: str
    dataset: Any
    train: tuple[Example, ...]
    val: tuple[Example, ...]
    tests: Mapping[str, TestSet]
    classnames: tuple[str, ...]
    seed: int
    averaged: tuple[str, ...] = ()
    image_store: Any = field(default=None, compare=False, repr=False)
    pool: bool = False
    transductive: bool = False
    chosen_on: str = ""


@dataclass
class State:
    """Progress of training: `epoch` of `epochs` and, within the epoch, `step` of `steps` are completed. `memory` is
    what the method's `prepare` returned."""

    epoch: int
    epochs: int
    memory: Any = None
    step: int = 0
    steps: int = 1


@dataclass(frozen=True, repr=False)
class Result:
    """Result of one task: metrics at full precision, and the configuration and circumstances they come from."""

    task: str
    method: str
    data: str
    seed: int
    metrics: Mapping[str, float]
    config: Mapping[str, Any]
    cost: Mapping[str, float] = field(default_factory=dict)
    history: tuple[Mapping[str, float], ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        metrics = ", ".join(f"{name} {value:.1f}" for name, value in self.metrics.items())
        return f"<Result of {self.method} on {self.data}, seed {self.seed}: {metrics or 'no metrics'}>"

    def _repr_html_(self) -> str:
        return html_repr(self, "runs:result_html")
