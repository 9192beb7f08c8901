"""Compare candidates, choose one, and train it on the training images."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cliptune import calibration, experiment, run_dir, tasks
from cliptune.backbones.load import cached_backbone
from cliptune.backbones.resolve import resolve_backbone
from cliptune.config import RunConfig
from cliptune.data.dataset import Dataset
from cliptune.dir_lock import lock_dir
from cliptune.html_repr import html_repr
from cliptune.results import store
from cliptune.results.row_tables import to_table
from cliptune.selection import files, leaderboard
from cliptune.selection.candidates import BASELINE, check_candidates
from cliptune.selection.choice import choose, explain
from cliptune.selection.compare import Comparison, Measured, WatchersOf
from cliptune.selection.split import ScoredOn, Split, split_task
from cliptune.selection.time_limit import Budget
from cliptune.tuned import Tuned, load
from cliptune.types import Task

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Selection:
    """The result of `auto`: the chosen method, trained, and how it was chosen.

    Args:
        run: The chosen method, trained on the training images and tested on the test images.
        winner: Its name.
        best: The method with the highest accuracy in the comparison.
        clear: Whether that is the winner, as all cheaper methods are clearly worse.
        reason: The choice in a sentence.
        notes: What was decided, in sentences: images, folds, backbone, what the time limit left out.
        rows: The leaderboard, a mapping per method.
    """

    run: Tuned = field(repr=False)
    winner: str
    best: str
    clear: bool
    reason: str
    notes: tuple[str, ...] = field(repr=False)
    rows: tuple[Mapping[str, Any], ...] = field(repr=False)

    def _repr_html_(self) -> str:
        return html_repr(self, "runs:selection_html")

    @property
    def leaderboard(self) -> Any:
        """One row per method: a `pandas.DataFrame` if pandas is installed, otherwise a plain table.

        `method`; `accuracy` in percent on the `images` of the comparison, of which `correct` are classified correctly,
        with its 95 % interval (Wilson) from `low` to `high`; `gain` over zero-shot in points; `p`, for methods cheaper
        than the most accurate one: of being as accurate, by the exact McNemar test, Holm-corrected; trainable
        `parameters`; `seconds` of the comparison; finished `folds`; `finished`. Methods that are not finished come
        last, without accuracy.
        """
        return to_table(leaderboard.COLUMNS, self.rows)


def select(
    runs: Sequence[tuple[str, RunConfig]],
    out: Path | None,
    budget: Budget,
    *,
    dataset: Dataset | None = None,
    scored_on: ScoredOn = "auto",
    folds: int = 5,
    watchers_of: WatchersOf = lambda title: (),
    say: Say = lambda sentence: None,
    done: Callable[[Measured], None] = lambda measured: None,
) -> Selection:
    """Compare candidates, choose one and train it.

    Args:
        runs: Name and configuration of each candidate, cheapest first; the first is `BASELINE`.
        out: The run directory, which also gets the leaderboard and the files of the comparison. None writes nothing.
        budget: The time limit.
        dataset: The data, if it is open already.
        scored_on: As for `split_task`.
        folds: As for `split_task`.
        watchers_of: Makes the watchers of a training from its title.
        say: Receives the notes as they arise.
        done: Receives each candidate when it is measured or left out.

    Raises:
        UserError: If a candidate cannot be compared, or `out` contains something else.
    """
    check_candidates(runs)
    _, first = runs[0]
    resolve_backbone(first.backbone, first.pretrained)
    fabric = experiment.launch_fabric(first.device, first.devices, first.precision)
    dataset = dataset or tasks.open_dataset(first)
    task = tasks.build_task(first, dataset)
    task = replace(task, val=calibration.validation_images(task))
    checked = next((run for _, run in runs if run.method.trains), first)
    task, _ = tasks.validate_images(checked, task, watchers_of("images"))
    split = split_task(task, scored_on, folds)
    notes = _describe(first, task, split)
    for note in notes:
        say(note)
    candidates = list(runs) if split.compares else list(runs)[:1]
    backbone = cached_backbone(first.backbone, first.pretrained, first.activation, first.linear_backend)
    tasks.warn_of_small_backbone(backbone, dataset)  # before the user waits
    with _folder(out) as folder, lock_dir(folder / files.CANDIDATES):
        shared = replace(task, train=split.images)
        files.claim_comparison(folder, files.describe_comparison(first, shared, split))
        comparison = Comparison(task, split, folder, budget, fabric, watchers_of)
        measured = comparison.measure(candidates, done)
        labels = {example.key: example.label for example in split.scored}
        choice = choose({one.name: leaderboard.is_correct(one, labels) for one in measured if one.finished})
        notes += [f"{one.name} cannot be used here: {one.problem}" for one in measured if one.problem]
        if left_out := leaderboard.describe_left_out(measured, budget, budget.spent):
            notes.append(left_out)
            say(left_out)
        rows = leaderboard.leaderboard_rows(measured, labels, choice)
        reason = explain(choice, BASELINE) if split.compares else _without_comparison(runs)
        about = {"winner": choice.winner, "best": choice.best, "clear": choice.clear, "reason": reason}
        leaderboard.write_leaderboard(folder, rows, {**about, "notes": notes, "folds": _fold_keys(split)})
        run = dict(runs)[choice.winner]
        watchers = watchers_of(f"{choice.winner} on all training images")
        tuned = train_winner(run, out, dataset, {"chosen": {**about, "split": split.words}}, watchers)
    return Selection(tuned, choice.winner, choice.best, choice.clear, reason, tuple(notes), tuple(rows))


def train_winner(
    run: RunConfig, out: Path | None, dataset: Dataset, about: Mapping[str, Any], watchers: Sequence[Any]
) -> Tuned:
    """Train and test the chosen method as `ct.train` does, or load it if that is done. Another run in the directory,
    chosen in an earlier call with less time, is removed."""
    if out is not None:
        with lock_dir(out):
            if not run_dir.has_config(out, run):
                run_dir.remove_run(out)
                (out / run_dir.CALIBRATION).unlink(missing_ok=True)
        if (out / store.RESULT_FILE).is_file() and not run.data.startswith("python:"):
            return load(out)
    task = tasks.build_task(run, dataset)
    model, result = experiment.run_experiment(run, out, watchers=watchers, task=task, about=about)
    return Tuned(model, replace(run, method=model.method), result, folder=None if out is None else out.absolute())


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """The folder of the comparison: `out`, or a temporary one."""
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _describe(run: RunConfig, task: Task, split: Split) -> list[str]:
    """What is compared on which images, in sentences."""
    shots = f"{run.shots} images per class" if run.shots else "all training images"
    tested = sum(len(test.examples) for test in task.tests.values())
    weights = f" ({run.pretrained})" if run.pretrained else ""
    how = f"methods are compared by {split.words}" if split.compares else split.words
    sentences = [
        f"{how}; {tested} test images are used once, at the end",
        f"backbone {run.backbone}{weights}, {shots}, seed {run.seed}",
    ]
    unused = {e.key for e in split.images} - {e.key for e in task.train}
    if unused:
        sentences.append(
            f"the final training uses {len(task.train)} images; {len(unused)} validation images of the comparison stay "
            f"out of it, as in every run"
        )
    return sentences


def _without_comparison(runs: Sequence[tuple[str, RunConfig]]) -> str:
    others = ", ".join(name for name, _ in runs[1:])
    return (
        f"{BASELINE} is taken, the only method that can be measured without leaving images out of training; to train "
        f"another ({others}), choose it yourself: cliptune train METHOD"
    )


def _fold_keys(split: Split) -> list[list[str]]:
    return [[example.key for example in fold.scored] for fold in split.folds]
