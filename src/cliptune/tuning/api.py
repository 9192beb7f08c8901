"""`ct.tune`: search for settings of a method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from cliptune import checks
from cliptune.api import run_of
from cliptune.errors import UserError
from cliptune.model.method import Method
from cliptune.runners.placement import Placement
from cliptune.selection.split import ScoredOn
from cliptune.tuning.result import TuneResult
from cliptune.tuning.search import Search, run_search
from cliptune.tuning.space import default_space, parse_space


def tune(
    method: str | Method | None = None,
    data: Any = None,
    *,
    space: Mapping[str, str] | Sequence[str] = (),
    trials: int = 30,
    out: str | Path = "runs/tune",
    scored_on: ScoredOn = "auto",
    folds: int = 5,
    processes: int = 0,
    runner: Literal["local", "ray"] = "local",
    address: str = "",
    cpus_per_task: float = 0,
    gpus_per_task: float = 0,
    preset: str | None = None,
    config: str | Path | None = None,
    allow_code: bool = False,
    report: Callable[[str], Any] = lambda line: None,
    **options: Any,
) -> TuneResult:
    """Search for settings of a method with Optuna, by accuracy on images left out; test images are not used.

    The first trial has the settings that the search starts from. Trials that are worse than the median of the others
    after an eighth of the epochs, two eighths, ..., or after a fold, are pruned. With one trial at a time, the seed
    determines all trials.

    Args:
        method: As for `train`, also for `data`, `preset`, `config`, `allow_code` and the other options (`shots=4`,
            `epochs=5`), which are the same for all trials.
        space: The settings to search: `{"lr": "log:1e-4:1e-1", "epochs": "int:5:40", "n_ctx": "2,4,8"}`. By default,
            the learning rate and the decimal numbers of the method, around their values.
        trials: Number of trials, the first one included.
        out: Folder for `best.yaml`, `trials.csv`, `report.html` and the state of the search. The same call continues an
            interrupted search.
        scored_on: "validation" takes validation images (a share of the training images if the data marks none), "folds"
            cross-validation; "auto" takes validation images if the data has a validation split of its own, otherwise
            cross-validation.
        folds: Number of folds.
        processes: Number of trials at a time, each in its own process. 0: one after the other in this process; with
            Ray, as many as the cluster has room for.
        runner: "ray" executes the trials on a Ray cluster; see [tuning](tune.md).
        address: With Ray, "auto" or "HOST:PORT" joins a running cluster; by default, one is started on this machine.
        cpus_per_task: With Ray, CPU cores per trial; 0 means one.
        gpus_per_task: With Ray, GPUs per trial; 0.5 lets two share one.
        report: Receives a line of text per finished trial.

    Returns:
        The trials and the best settings.

    Raises:
        UserError: If Optuna is missing, if a setting or the data cannot be used, or if `out` contains another search.
    """
    checks.require(trials >= 2, "trials", trials, "at least 2")
    checks.require(scored_on in get_args(ScoredOn), "scored_on", scored_on, f"one of {', '.join(get_args(ScoredOn))}")
    checks.require(folds >= 2, "folds", folds, "at least 2")
    checks.require(processes >= 0, "processes", processes, "at least 0")
    placement = Placement(runner, address, cpus_per_task, gpus_per_task)
    run, dataset = run_of(method, data, options, preset=preset, config=config, allow_code=allow_code)
    if dataset is not None and (runner != "local" or processes > 1):
        where = f"processes={processes}" if runner == "local" else f"runner={runner!r}"
        raise UserError(
            f"{where}: a dataset object exists in this process only; leave processes at 0 and runner at 'local'"
        )
    dimensions = parse_space(space, run) if space else default_space(run)
    search = Search(run, dimensions, trials, Path(out), scored_on, folds)
    return run_search(search, placement.build(processes), dataset, report)
