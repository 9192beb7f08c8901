"""The files of a comparison in the folder of its run: what was compared, and the predictions of finished folds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cliptune import inputs, plain_values, run_dir
from cliptune.config import RunConfig, to_yaml
from cliptune.errors import UserError
from cliptune.files import read_text, write_json, write_text
from cliptune.selection.split import Split
from cliptune.types import Task

#: Subfolder of all files but those of the final run and the leaderboard.
CANDIDATES = "candidates"
#: The file there that says what is compared.
COMPARISON = "comparison.json"
FOLD = "fold{}.json"
MAX_BYTES = 1 << 28


@dataclass(frozen=True)
class FoldResult:
    """A candidate on a fold.

    Args:
        predicted: Key of each scored image -> label.
        seconds: Time of training and prediction.
        parameters: Number of trainable parameters.
    """

    predicted: Mapping[str, int]
    seconds: float
    parameters: int


def describe_comparison(run: RunConfig, task: Task, split: Split) -> dict[str, Any]:
    """What all candidates share, as plain values. run: Any of their configurations."""
    places = [[e.key for e in fold.scored] for fold in split.folds]
    labels = {e.key: e.label for e in split.images}
    content = json.dumps([places, labels, list(task.classnames)])
    digests = {**inputs.file_digests(run, ("data", "backbone", "pretrained")), **inputs.example_digests(run, task)}
    return {
        "data": run.data,
        "shots": run.shots,
        "seed": run.seed,
        "backbone": run.backbone,
        "pretrained": run.pretrained,
        "split": split.words,
        "images": hashlib.sha256(content.encode()).hexdigest()[:16],
        "files": digests,
    }


def claim_comparison(out: Path, about: Mapping[str, Any]) -> None:
    """Write what is compared to its file, or check that it is the same as there.

    Raises:
        UserError: The folder contains another comparison or another run.
    """
    file = out / CANDIDATES / COMPARISON
    way_out = "choose another folder with --out, or remove it"
    begun = next((out / CANDIDATES).glob("*/fold*"), None) is not None
    if not begun:
        names = (run_dir.CONFIG, run_dir.RESUME, run_dir.CHECKPOINT)
        if not file.is_file() and any((out / name).exists() for name in names):
            raise UserError(f"{out} contains a run of another command; {way_out}")
        write_json(file, {**about})
        return
    before = _read(file)
    changed = next((key for key in about if before.get(key) != about[key]), None)
    if changed in ("images", "files"):
        raise UserError(f"the images or files of the comparison in {out} have changed; {way_out}")
    if changed is not None:
        raise UserError(
            f"{out} contains a comparison with {changed}={before.get(changed)}, not {about[changed]}; {way_out}"
        )


def candidate_folder(out: Path, name: str) -> Path:
    """The folder of a candidate."""
    return out / CANDIDATES / name.replace("/", "_")


def claim_candidate(out: Path, name: str, run: RunConfig) -> None:
    """Write the configuration of a candidate to its folder, or check that it is the one there if a training was begun.
    Raises `UserError`."""
    folder = candidate_folder(out, name)
    if run_dir.has_config(folder, run):
        return
    if next(folder.glob("fold*"), None) is None:
        write_text(folder / run_dir.CONFIG, to_yaml(run))
    else:
        raise UserError(
            f"{folder} contains results of {name} with other settings; choose another folder with --out, or remove it"
        )


def read_fold(folder: Path, fold: int, keys: Sequence[str]) -> FoldResult | None:
    """The result of a fold, counted from 0, in the folder of a candidate; None if it is missing.

    keys: Those of its images. Raises `UserError` for a damaged file.
    """
    file = folder / FOLD.format(fold + 1)
    if not file.is_file():
        return None
    content = _read(file)
    try:
        predicted = {str(key): int(label) for key, label in content["predicted"].items()}
        result = FoldResult(predicted, float(content["seconds"]), int(content["parameters"]))
    except (KeyError, AttributeError, TypeError, ValueError):
        raise UserError(f"{file} is damaged; remove it") from None
    if sorted(predicted) != sorted(keys):
        raise UserError(f"{file} has predictions of other images; remove it")
    return result


def write_fold(folder: Path, fold: int, result: FoldResult) -> None:
    """Write the result of a fold, counted from 0, to the folder of a candidate."""
    write_json(folder / FOLD.format(fold + 1), asdict(result))


def _read(file: Path) -> dict[str, Any]:
    try:
        content = plain_values.from_json(read_text(file, MAX_BYTES))
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{file} is damaged; remove it")
    return content
