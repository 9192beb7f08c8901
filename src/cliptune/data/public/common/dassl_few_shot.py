"""Shots that the field's own code drew earlier, from its pickled lists, of which no code runs."""

from __future__ import annotations

import io
import pickle
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cliptune.data import splits
from cliptune.errors import UserError
from cliptune.files import read_bytes
from cliptune.types import Example

#: Where the pickled lists say their entries' class is.
DATUM_MODULES = re.compile(r"dassl\.data\.datasets(\.base_dataset)?")


#: Bytes up to which Python's own unpickler reads a file. C's is ten times as quick, which the lists of a whole dataset
#: need, but makes as much room as ten bytes of a pickle ask for.
PURE_PYTHON_BYTES = 8 << 20


def _reader(content: bytes) -> Any:
    """An unpickler that knows no class but one for the entries, its own for each file, which may set anything on it."""
    datum = type("Datum", (), {})

    def find_class(module: str, name: str) -> type:
        if name == "Datum" and DATUM_MODULES.fullmatch(module):
            return datum
        raise UserError(
            f"it asks for {module[:80]}.{name[:80]}, which a list of pictures does not need; nothing of it was run"
        )

    kind = pickle._Unpickler if len(content) <= PURE_PYTHON_BYTES else pickle.Unpickler  # type: ignore[attr-defined]
    reader: Any = type("Reader", (kind,), {"find_class": staticmethod(find_class)})
    return reader(io.BytesIO(content))


def load_lists(file: Path) -> dict[str, list[tuple[str, int]]]:
    """Path and label of each entry of each list ("train", "val" or "test") in a pickled draw.

    Raises `UserError` for a file that is anything else, before anything in it runs.
    """
    content = read_bytes(file)
    try:
        held: Any = _reader(content).load()
        if not isinstance(held, dict):
            raise TypeError(f"it holds a {type(held).__name__}")
        parts = {part: [(d._impath, d._label) for d in held[part]] for part in held}
        kinds = {(type(path), type(label)) for entries in parts.values() for path, label in entries}
        if kinds - {(str, int)} or not all(isinstance(part, str) for part in parts):
            raise TypeError("its lists are not of paths with labels")
        return parts
    except UserError as error:
        raise UserError(f"{file} is refused: {error}") from None
    except Exception as error:  # a broken pickle may raise anything
        raise UserError(f"{file} is not a pickled draw: {type(error).__name__}: {error}") from None


def match_examples(
    entries: Sequence[tuple[str, int]], examples: Sequence[Example], part: str, file: Path | str = "a draw"
) -> list[Example]:
    """The examples that `entries` mean: those whose key is the longest possible end of an entry's path.

    Raises `UserError` for a picture that is not among `examples`, or has another label there.
    """
    keys = {e.key: e for e in examples}
    found = []
    for path, label in entries:
        parts = path.replace("\\", "/").split("/")
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        example = next((keys[end] for end in ends if end in keys), None)
        if example is None:
            raise UserError(
                f"{file} has {path} for {part}, which is not a {part} picture of this dataset: it was drawn from "
                f"another split; leave out --draws to draw anew"
            )
        if example.label != label:
            raise UserError(f"{file} gives {path} label {label}, but in this dataset it is {example.label}")
        found.append(example)
    return found


def find_few_shot_file(where: str | Path, shots: int, seed: int) -> Path:
    """The file of a seed's shots: `where` itself, or in that folder or its `split_fewshot`; ImageNet's
    `preprocessed.pkl` where there is none. Raises `UserError`."""
    place, name = Path(where).expanduser(), f"shot_{shots}-seed_{seed}.pkl"
    if place.is_file():
        told = re.fullmatch(r"shot_(-?\d+)-seed_(-?\d+)\.pkl", place.name)
        if told and (int(told[1]), int(told[2])) != (shots, seed):
            raise UserError(f"{place} holds another draw than shots={shots}, seed={seed}; give its folder as --draws")
        return place
    candidates = (place / name, place / "split_fewshot" / name, place / "preprocessed.pkl")
    file = next((c for c in candidates if c.is_file()), None)
    if file is None:
        raise UserError(f"no {name} in {place}; check --draws, or leave it out to draw the shots anew")
    return file


def draw_from_file(
    where: str | Path, train: Sequence[Example], val: Sequence[Example], shots: int, seed: int
) -> tuple[list[Example], list[Example]]:
    """What `splits.draw` gives, from a pickled draw: its shots, or, where the file lists the whole dataset in the order
    of another disk (it has "test"), shots drawn anew in that order. Validation shots that the file lacks are drawn.

    Raises `UserError` for a draw of other pictures, labels or numbers of shots.
    """
    file = find_few_shot_file(where, shots, seed)
    held = load_lists(file)
    if "train" not in held:
        raise UserError(f"{file} has no list of training pictures")
    chosen = match_examples(held["train"], train, "training", file)
    if "test" in held:
        return splits.draw_few_shot(chosen, val, shots, seed)
    _count(chosen, train, shots, file)
    if "val" in held:
        return chosen, match_examples(held["val"], val, "validation", file)
    return chosen, splits.draw_few_shot(train, val, shots, seed)[1]


def _count(chosen: Sequence[Example], train: Sequence[Example], shots: int, file: Path) -> None:
    """Raise `UserError` unless each class has its shots, and no picture comes twice."""
    wanted: Mapping[int, int] = {label: min(shots, len(group)) for label, group in splits.group_by_label(train).items()}
    has = Counter(e.label for e in chosen)
    wrong = [label for label, count in wanted.items() if has[label] != count]
    if wrong or len({e.key for e in chosen}) < len(chosen):
        told = f"{has[wrong[0]]} pictures of class {wrong[0]}" if wrong else "a picture twice"
        raise UserError(f"{file} has {told}, so it is not a draw of {shots} shots; check --draws and --shots")
