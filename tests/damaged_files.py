"""Damaged copies of a file's content: changed bytes, or changed JSON values. Reproducible for a seed."""

from __future__ import annotations

import copy
import json
import random
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cliptune.errors import UserError

#: Replacements for each value of a tree.
ODD = (
    *(None, True, -1, 2**31, 2**70, 10**400, 1e308, float("nan"), float("inf")),
    *("", "x", "\ud800", "\x1b[31m", "{0.__class__}", "{:>99999999999}", "{}{}", "..", "/etc", "no_such_module:Class"),
    *([], [[]], {}, ["x", "x"], {"": ""}, {"name": "dapt"}, {"name": "coop", "base": {"name": "coop"}}),
)


def damage_tree(value: Any, count: int, seed: int = 0) -> Iterator[tuple[str, str]]:
    """Yield (change, JSON) for `count` copies of a tree: other types, missing or renamed keys, deep nesting."""
    done = [
        (place, how) for place in value_paths(value) for how in (*range(len(ODD)), "gone", "renamed", "deep", "deeper")
    ]
    for place, how in random.Random(seed).sample(done, min(count, len(done))):
        if (changed := _changed(value, place, how)) is not None:
            yield f"{place} {how if isinstance(how, str) else repr(ODD[how])[:30]}", changed


def damage_bytes(content: bytes, count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield (change, bytes) for `count` damaged copies, after content of entirely different kinds."""
    yield from {"empty": b"", "zeros": bytes(len(content)), "brackets": b"[" * 20_000}.items()
    yield from {"braces": b'{"a":' * 20_000, "aliases": b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"}.items()
    rng = random.Random(seed)
    for i in range(count):
        one, other = sorted(rng.randrange(len(content)) for _ in range(2))
        match how := ("cut", "flipped", "noise", "hole", "longer", "twice")[i % 6]:
            case "cut":
                made = content[:one]
            case "flipped":
                made = content[:one] + bytes([content[one] ^ 1 << rng.randrange(8)]) + content[one + 1 :]
            case "noise":
                made = content[:one] + rng.randbytes(8) + content[one + 8 :]
            case "hole":
                made = content[:one] + content[other:]
            case "longer":
                made = content[:one] + rng.randbytes(9) + content[one:]
            case _:
                made = content + content[one:other]
        yield f"{how} {i}", made


def value_paths(value: Any, place: tuple = ()) -> Iterator[tuple]:
    """Paths to all values of a tree; of a list, to its first two."""
    yield place
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, item in items:
        yield from value_paths(item, (*place, key))


def _changed(value: Any, place: tuple, how: int | str) -> str | None:
    """JSON of a changed copy of `value`; None if the change does not apply there."""
    if how == "deeper":  # Python cannot write JSON as deep as this
        text = _changed(value, place, "mark")
        return text and text.replace('"MARK"', "[" * 20_000 + "]" * 20_000)
    whole = {"": copy.deepcopy(value)}
    at, (*before, last) = whole, ("", *place)
    for key in before:
        at = at[key]
    if how == "gone" and place:
        del at[last]
    elif how == "renamed" and isinstance(last, str) and place:
        at["zz"] = at.pop(last)
    elif how == "deep":
        at[last] = json.loads('{"a":' * 60 + "1" + "}" * 60)
    elif how == "mark":
        at[last] = "MARK"
    elif isinstance(how, int):
        at[last] = ODD[how]
    else:
        return None
    return json.dumps(whole[""])


class TookTooLong(BaseException):
    """Raised on timeout; a separate class, so that no handler catches it by accident."""


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise if the block takes longer than `seconds`, on systems that have alarms."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(*_):
        raise TookTooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def count_refusals(use: Callable[[], Any], damaged: Iterable[str]) -> tuple[int, int]:
    """Use each damaged copy and return the numbers of copies and refusals. Any error but `UserError` fails."""
    count = refused = 0
    for what in damaged:
        count += 1
        try:
            with time_limit(20):
                use()
        except UserError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 3000, (what, error)
        except (Exception, TookTooLong) as error:
            pytest.fail(f"{what}: {type(error).__name__}: {error}")
    return count, refused


def write_copies(path: Path, copies: Iterable[tuple[str, str | bytes]]) -> Iterator[str]:
    """Write each copy in turn to `path` and yield the change."""
    for what, content in copies:
        path.write_bytes(content if isinstance(content, bytes) else content.encode(errors="surrogatepass"))
        yield what
