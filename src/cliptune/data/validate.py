"""Checks of a task's images before it starts: unreadable files are reported together, or left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from cliptune.data.image_files import ImageFiles
from cliptune.data.image_io import lenient_pillow
from cliptune.data.image_store import ImageStore
from cliptune.data.range_warnings import warn_assumed_ranges
from cliptune.errors import UserError
from cliptune.text import listed
from cliptune.types import Example, Task
from cliptune.user_warnings import warn_user

#: Unreadable images named in a message.
MAX_NAMED = 5
#: Share of a user's own images that may be unreadable; they are left out with a warning. Public datasets must be
#: complete, as their results are compared.
MAX_UNREADABLE_SHARE = 0.01
#: Threads that read files: disks serve several requests at once, network storage above all.
READ_THREADS = 8

Tick = Callable[[int, int], None]


def drop_unreadable(task: Task, tick: Tick | None = None, *, decode_train: bool = False) -> tuple[Task, dict[str, str]]:
    """The task without unreadable images, and the reason for each of those, by key.

    One pass in `READ_THREADS` threads opens each file once. It checks headers and ends of files. It decodes the
    training images if `decode_train`, those for training and validation if some may be left out, and all with
    `DataConfig.skip_bad`. The returned task contains the store of the decoded training images. Unreadable images are
    left out with `DataConfig.skip_bad`; of a user's own data also if they are at most `MAX_UNREADABLE_SHARE` of all.

    Args:
        task: The task.
        tick: Called with the number of checked images and the total.
        decode_train: Decode training images also if none may be left out.

    Raises:
        UserError: There are unreadable images and they must not be left out, or no training image remains.
    """
    if any(test.dataset is not None for test in task.tests.values()):
        return _drop_by_dataset(task, tick, decode_train)
    dataset = task.dataset
    skip_bad = dataset.reading.skip_bad
    by_key = {e.key: e for part in (task.train, task.val, *(t.examples for t in task.tests.values())) for e in part}
    limit = len(by_key) if skip_bad else 0 if dataset.is_public else MAX_UNREADABLE_SHARE * len(by_key)
    stores = dict[str, ImageStore]()
    if limit >= 1:
        passing = ImageStore(dataset, keep=False)
        stores |= {e.key: passing for e in (by_key.values() if skip_bad else task.val)}
    if decode_train or limit >= 1:
        store = ImageStore(dataset)
        stores |= {e.key: store for e in task.train}
        task = replace(task, image_store=store)
    bad = find_unreadable(by_key.values(), tick, files=dataset.image_files, stores=stores)
    if len(bad) > limit:
        raise_if_unreadable(bad, by_key)
    if not bad:
        return task, {}

    def readable(examples: Iterable[Example]) -> tuple[Example, ...]:
        return tuple(e for e in examples if e.key not in bad)

    tests = {name: replace(test, examples=readable(test.examples)) for name, test in task.tests.items()}
    rest = replace(task, train=readable(task.train), val=readable(task.val), tests=tests)
    if task.train and not rest.train:
        raise UserError(f"none of the {len(task.train)} training images can be read: {list_unreadable(bad, by_key)}")
    warn_user(
        f"{len(bad)} of {len(by_key)} images cannot be read and are left out ({list_unreadable(bad, by_key)}): results "
        f"do not compare with those on all images"
    )
    return rest, bad


def _drop_by_dataset(task: Task, tick: Tick | None, decode_train: bool) -> tuple[Task, dict[str, str]]:
    """`drop_unreadable` for a task with test sets of other datasets, one dataset at a time, as keys are unique within a
    dataset only."""
    own = {name: test for name, test in task.tests.items() if test.dataset is None}
    rest, bad = drop_unreadable(replace(task, tests=own), tick, decode_train=decode_train)
    tests = dict(rest.tests)
    for name, test in task.tests.items():
        if test.dataset is not None:
            single = {name: replace(test, dataset=None)}
            checked, unreadable = drop_unreadable(
                Task(task.name, test.dataset, (), (), single, test.classnames, task.seed), tick
            )
            tests[name] = replace(checked.tests[name], dataset=test.dataset)
            bad |= {f"{name}/{key}": reason for key, reason in unreadable.items()}
    return replace(rest, tests={name: tests[name] for name in task.tests}), bad


def find_unreadable(
    examples: Iterable[Example],
    tick: Tick | None = None,
    *,
    files: ImageFiles | None = None,
    stores: Mapping[str, ImageStore] | None = None,
    warn: bool = True,
) -> dict[str, str]:
    """Reasons why examples cannot be read, by key, in the order of the examples.

    Args:
        examples: Those that are neither files nor in `stores` are skipped.
        tick: Called with the number of checked images and the total.
        files: Remembers what is found; by default nothing is remembered.
        stores: Stores that decode examples, by key. Of other examples, only the header and the end are checked.
        warn: Warn about assumed value ranges.
    """
    files, stores = files or ImageFiles(cached=False), stores or {}
    chosen = [e for e in examples if e.path is not None or e.key in stores]

    def check(example: Example) -> tuple[str, str]:
        """The reason and what was assumed about the range."""
        try:
            if example.key in stores:
                stores[example.key].image(example, check=True)
        except UserError as error:
            return getattr(error, "reason", str(error)), ""
        if example.path is None:
            return "", ""
        facts = files.inspect(example.path)
        return facts.error, facts.assumed_range

    found: dict[str, str] = {}
    assumed: list[tuple[str, str]] = []
    # A dataset's own code need not be safe for use from several threads.
    threads = READ_THREADS if all(store.dataset.reads_files for store in stores.values()) else 1
    with lenient_pillow(), ThreadPoolExecutor(threads) as pool:
        for done, (example, (reason, assumption)) in enumerate(zip(chosen, pool.map(check, chosen), strict=True), 1):
            if reason:
                found[example.key] = reason
            if assumption:
                assumed.append((str(example.path), assumption))
            if tick is not None:
                tick(done, len(chosen))
    if warn:
        warn_assumed_ranges(assumed, sum(e.path is not None for e in chosen))
    return found


def raise_if_unreadable(bad: Mapping[str, str], examples: Mapping[str, Example]) -> None:
    """Raise `UserError` that counts and names the unreadable images, if there are any."""
    if bad:
        them = "it" if len(bad) == 1 else "them"
        raise UserError(
            f"{len(bad)} of {len(examples)} images cannot be read: {list_unreadable(bad, examples)}; remove or replace "
            f"{them}, or leave {them} out with --skip-bad"
        )


def list_unreadable(bad: Mapping[str, str], examples: Mapping[str, Example]) -> str:
    """The first unreadable images with their reasons, and the number of the others."""
    return listed((f"{examples[key].path or key} {reason}" for key, reason in bad.items()), MAX_NAMED)
