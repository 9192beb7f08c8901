"""Few-shot draws pickled by Dassl, the library of CoOp's code. No code in such a pickle is executed."""

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

#: Modules in which Dassl defines the class of the entries.
DATUM_MODULES = re.compile(r"dassl\.data\.datasets(\.base_dataset)?")
#: Files up to this size are read by Python's own unpickler. The C unpickler is ten times as fast, which the lists of a
#: whole dataset need, but ten bytes of a pickle can make it allocate any amount of memory.
PURE_PYTHON_BYTES = 8 << 20


def _unpickler(content: bytes) -> Any:
    """An unpickler that knows a single class: an empty one for the entries, separate for each file."""
    datum = type("Datum", (), {})

    def find_class(module: str, name: str) -> type:
        if name == "Datum" and DATUM_MODULES.fullmatch(module):
            return datum
        raise UserError(
            f"it asks for {module[:80]}.{name[:80]}, which a list of images does not need; none of its code was run"
        )

    base = pickle._Unpickler if len(content) <= PURE_PYTHON_BYTES else pickle.Unpickler  # type: ignore[attr-defined]
    unpickler: Any = type("Unpickler", (base,), {"find_class": staticmethod(find_class)})
    return unpickler(io.BytesIO(content))


def load_lists(file: Path) -> dict[str, list[tuple[str, int]]]:
    """Load path and label of each entry of each list ("train", "val" or "test") in a pickled draw.

    Raises:
        UserError: If the file contains anything else; none of its code runs.
    """
    content = read_bytes(file)
    try:
        loaded: Any = _unpickler(content).load()
        if not isinstance(loaded, dict):
            raise TypeError(f"it contains a {type(loaded).__name__}")
        lists = {split: [(d._impath, d._label) for d in loaded[split]] for split in loaded}
        kinds = {(type(path), type(label)) for entries in lists.values() for path, label in entries}
        if kinds - {(str, int)} or not all(isinstance(split, str) for split in lists):
            raise TypeError("its lists contain something other than paths with labels")
        return lists
    except UserError as error:
        raise UserError(f"{file} is refused: {error}") from None
    except Exception as error:  # a broken pickle may raise anything
        raise UserError(f"{file} is not a pickled draw: {type(error).__name__}: {error}") from None


def match_examples(
    entries: Sequence[tuple[str, int]], examples: Sequence[Example], split: str, file: Path | str = "a draw"
) -> list[Example]:
    """The examples that `entries` refer to: their key is the longest possible suffix of an entry's path.

    Raises:
        UserError: If an image is not among `examples`, or has another label there.
    """
    by_key = {e.key: e for e in examples}
    found = []
    for path, label in entries:
        parts = path.replace("\\", "/").split("/")
        suffixes = ("/".join(parts[start:]) for start in range(len(parts)))
        example = next((by_key[suffix] for suffix in suffixes if suffix in by_key), None)
        if example is None:
            raise UserError(
                f"{file} has {path} for {split}, which is not a {split} image of this dataset: it was drawn from "
                f"another split; omit --draws to draw the shots"
            )
        if example.label != label:
            raise UserError(f"{file} gives {path} label {label}, but in this dataset it is {example.label}")
        found.append(example)
    return found


def find_few_shot_file(where: str | Path, shots: int, seed: int) -> Path:
    """The file with a seed's shots: `where` itself, or `shot_K-seed_S.pkl` in that folder or its `split_fewshot`, or
    ImageNet's `preprocessed.pkl` if there is none.

    Raises:
        UserError: If there is no such file, or `where` is the file of other shots or another seed.
    """
    place, name = Path(where).expanduser(), f"shot_{shots}-seed_{seed}.pkl"
    if place.is_file():
        match = re.fullmatch(r"shot_(-?\d+)-seed_(-?\d+)\.pkl", place.name)
        if match and (int(match[1]), int(match[2])) != (shots, seed):
            raise UserError(
                f"{place} is not the draw of shots={shots}, seed={seed}; give the folder of the draws as --draws"
            )
        return place
    candidates = (place / name, place / "split_fewshot" / name, place / "preprocessed.pkl")
    file = next((c for c in candidates if c.is_file()), None)
    if file is None:
        raise UserError(f"no {name} in {place}; check --draws, or omit it to draw the shots")
    return file


def draw_from_file(
    where: str | Path, train: Sequence[Example], val: Sequence[Example], shots: int, seed: int
) -> tuple[list[Example], list[Example]]:
    """Training and validation shots like `splits.draw_few_shot`, from a pickled draw.

    A file with a list "test" contains the whole dataset in the order of another disk: shots are drawn in that order.
    Validation shots are drawn if the file has none.

    Raises:
        UserError: If the draw has other images, labels or numbers of shots.
    """
    file = find_few_shot_file(where, shots, seed)
    lists = load_lists(file)
    if "train" not in lists:
        raise UserError(f"{file} has no list of training images")
    chosen = match_examples(lists["train"], train, "training", file)
    if "test" in lists:
        return splits.draw_few_shot(chosen, val, shots, seed)
    _check_shots(chosen, train, shots, file)
    if "val" in lists:
        return chosen, match_examples(lists["val"], val, "validation", file)
    return chosen, splits.draw_few_shot(train, val, shots, seed)[1]


def _check_shots(chosen: Sequence[Example], train: Sequence[Example], shots: int, file: Path) -> None:
    """Raise `UserError` unless each class has its shots and no image occurs twice."""
    wanted: Mapping[int, int] = {label: min(shots, len(group)) for label, group in splits.group_by_label(train).items()}
    counts = Counter(e.label for e in chosen)
    wrong = [label for label, count in wanted.items() if counts[label] != count]
    if wrong or len({e.key for e in chosen}) < len(chosen):
        found = f"{counts[wrong[0]]} images of class {wrong[0]}" if wrong else "an image twice"
        raise UserError(f"{file} has {found}, so it is not a draw of {shots} shots; check --draws and --shots")
