"""A task's picture files looked at before it starts: those that cannot be read are named at once, or left out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from cliptune.data import duplicates, image_io
from cliptune.data.image_store import ImageStore
from cliptune.data.range_warnings import warn_assumed_ranges
from cliptune.errors import UserError
from cliptune.types import Example, Task

#: Bad pictures named in a sentence.
MAX_NAMED = 5
#: Share of a user's own images that may be unreadable: they are left out with a note. Of public datasets none may, as
#: their numbers are compared.
MAX_UNREADABLE_SHARE = 0.01
#: Threads that look at files: disks answer several at once, those across a network above all.
READ_THREADS = 8


def drop_unreadable(task: Task, tick: Callable[[int, int], None] | None = None) -> tuple[Task, dict[str, str]]:
    """The task without pictures that cannot be read, and what is wrong with each of those, by key.

    Files of all its examples are looked at from outside (`pictures.look`). Of data that may lack some, those for
    training and validation are read as a whole as well (with `Reading.skip_bad`, those of test sets too); otherwise
    training does that itself. Bad ones are left out with `Reading.skip_bad`, and of a user's own data where they are at
    most `SPARED` of all.
    tick: told how many of how many files are done. Raises `UserError` where bad ones are not to be left out, naming
    them, and where none are left to train on. Warns of what is left out.
    """
    if any(test.dataset is not None for test in task.tests.values()):
        return _each(task, tick)
    every = {e.key: e for part in (task.train, task.val, *(t.examples for t in task.tests.values())) for e in part}
    bad = find_unreadable(every.values(), tick)
    most = (
        len(every)
        if task.dataset.reading.skip_bad
        else 0
        if hasattr(task.dataset, "card")
        else MAX_UNREADABLE_SHARE * len(every)
    )
    if len(bad) <= most and most >= 1:
        reader = ImageStore(task.dataset, keep=False)
        whole = every.values() if task.dataset.reading.skip_bad else (*task.train, *task.val)
        left_to_read = [example for example in whole if example.key not in bad]
        with ThreadPoolExecutor(READ_THREADS) as pool:
            read = pool.map(lambda example: _read(reader, example), left_to_read)
            bad |= {e.key: why for e, why in zip(left_to_read, read, strict=True) if not isinstance(why, bool)}
    if len(bad) > most:
        raise_if_unreadable(bad, every)
    if not bad:
        return task, {}

    def left(examples: Iterable[Example]) -> tuple[Example, ...]:
        return tuple(e for e in examples if e.key not in bad)

    tests = {name: replace(test, examples=left(test.examples)) for name, test in task.tests.items()}
    rest = replace(task, train=left(task.train), val=left(task.val), tests=tests)
    if task.train and not rest.train:
        raise UserError(
            f"not one of the {len(task.train)} training pictures can be read: {list_unreadable(bad, every)}"
        )
    warnings.warn(
        f"{len(bad)} of {len(every)} pictures cannot be read and are left out "
        f"({list_unreadable(bad, every)}): numbers do not "
        f"compare with those of all pictures",
        stacklevel=3,
    )
    return rest, bad


def _each(task: Task, tick: Callable[[int, int], None] | None) -> tuple[Task, dict[str, str]]:
    """`sound` of a task with test sets of other datasets, one by one, as their keys may be those of other pictures."""
    own = {name: test for name, test in task.tests.items() if test.dataset is None}
    rest, bad = drop_unreadable(replace(task, tests=own), tick)
    tests = dict(rest.tests)
    for name, test in task.tests.items():
        if test.dataset is not None:
            its = {name: replace(test, dataset=None)}
            looked, worse = drop_unreadable(
                Task(task.name, test.dataset, (), (), its, test.classnames, task.seed), tick
            )
            tests[name] = replace(looked.tests[name], dataset=test.dataset)
            bad |= {f"{name}/{key}": why for key, why in worse.items()}
    return replace(rest, tests={name: tests[name] for name in task.tests}), bad


def find_unreadable(examples: Iterable[Example], tick: Callable[[int, int], None] | None = None) -> dict[str, str]:
    """What is wrong with examples whose files are bad, by key. Warns of what is assumed of the others' range."""
    files = [e for e in examples if e.path is not None]
    found: dict[str, str] = {}
    assumed: list[tuple[str, str]] = []
    with image_io.lenient_pillow(), ThreadPoolExecutor(READ_THREADS) as pool:
        looked = pool.map(_look, [e.path for e in files], chunksize=64)
        for done, (example, (why, said)) in enumerate(zip(files, looked, strict=True), 1):
            if why:
                found[example.key] = why
            if said:
                assumed.append((str(example.path), said))
            if tick is not None and (done % 256 == 0 or done == len(files)):
                tick(done, len(files))
    warn_assumed_ranges(assumed, len(files))
    return found


def raise_if_unreadable(bad: Mapping[str, str], examples: Mapping[str, Example]) -> None:
    """Raise `UserError` if there are bad pictures, counting and naming them."""
    if bad:
        them = "it" if len(bad) == 1 else "them"
        raise UserError(
            f"{len(bad)} of {len(examples)} pictures cannot be read: "
            f"{list_unreadable(bad, examples)}; remove or replace "
            f"{them}, or leave {them} out with --skip-bad"
        )


def list_unreadable(bad: Mapping[str, str], examples: Mapping[str, Example]) -> str:
    """The first bad images with what is wrong with them, and how many more there are."""
    named = [f"{examples[key].path or key} {why}" for key, why in list(bad.items())[:MAX_NAMED]]
    return ", ".join(named) + (f", and {len(bad) - MAX_NAMED} more" if len(bad) > MAX_NAMED else "")


def _read(reader: ImageStore, example: Example) -> bool | str:
    try:
        reader.image(example)
    except UserError as error:
        return getattr(error, "why", str(error))
    return True


def _look(path: Path) -> tuple[str, str]:
    try:
        stat = os.stat(path)
    except OSError:
        return image_io.inspect_file(path)
    return _looked(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1 << 18)
def _looked(path: Path, modified: int, size: int) -> tuple[str, str]:
    """Runs of a sweep look at the same files."""
    why, said = image_io.inspect_file(path)
    if not why:
        duplicates.tail_digest(path)  # while the file is at hand: `doubles.check` asks for it
    return why, said
