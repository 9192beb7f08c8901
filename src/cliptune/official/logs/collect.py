"""Convert a tree of logs to records."""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cliptune.errors import UserError
from cliptune.files import read_bytes
from cliptune.official.logs.finished_log import (
    EXPORTED_SECTION,
    IMAGENET_VARIANTS,
    TRANSFER_PROTOCOLS,
    FinishedLog,
    interpret,
)
from cliptune.official.logs.names import backbone_config, folder_name, is_training_free, nested_method
from cliptune.official.logs.parse import LoggedAccuracy, final_accuracy, parse_log
from cliptune.protocols.common.benchmarks import TRANSFER_TARGETS
from cliptune.results import store
from cliptune.types import Result

#: Metrics on the dataset that the model was trained on.
SOURCE_METRICS = ("test", "base", "novel", "source")
#: Names of logs; the longer one is used by a run that finds a log.txt of an earlier run.
LOG_NAME = re.compile(r"log\.txt(-\d{4}(-\d\d){5})?")


def collect_records(root: Path, *, exact: bool = False) -> tuple[list[tuple[Path, Result]], list[str]]:
    """Convert the logs under `root` to records.

    Base and novel accuracies of a run become one record, and so do the tests of one model on several datasets. Returns
    (run directory, record) pairs and one sentence for each log that is skipped or in doubt.

    exact: compute accuracies from printed counts, if any, instead of reading the rounded percentages. Raises
    `UserError` if there are no logs.
    """
    folders = sorted({path.parent for path in root.rglob("log.txt*") if LOG_NAME.fullmatch(path.name)})
    if not folders:
        raise UserError(f"no log.txt under {root}: give the folder passed to --output-dir")
    notes: list[str] = []
    logs = [found for folder in folders if (found := _latest_finished(folder, root, notes)) is not None]
    by_record: dict[tuple, dict[str, FinishedLog]] = defaultdict(dict)
    for log in [*logs, *_source_tests(logs)]:
        first = by_record[log.key].setdefault(log.metric, log)
        if first is not log:
            notes.append(f"{log.path}: skipped, {first.path} has the same metric, {log.metric}")
    records = []
    for parts in by_record.values():
        path = next(iter(parts.values())).path
        folder, result = _make_record(parts, exact)
        if error := store.validation_error(result):
            notes.append(f"{path}: skipped, {error}")
            continue
        records.append((folder, result))
        if result.config["protocol"] == "base_to_novel" and len(result.metrics) < 2:
            present, missing = ("base", "novel") if "base" in result.metrics else ("novel", "base")
            notes.append(f"{path}: {present} alone, there is no finished test on {missing} classes")
    return sorted(records, key=lambda pair: pair[0]), notes


def _latest_finished(folder: Path, root: Path, notes: list[str]) -> FinishedLog | None:
    """The last finished log in a folder; None, with a note for each log, if none is finished."""
    paths = sorted(path for path in folder.glob("log.txt*") if LOG_NAME.fullmatch(path.name))  # in the order of time
    unfinished, finished = [], []
    for path in paths:
        try:
            log = parse_log(read_bytes(path).decode("utf-8", "replace"))
        except UserError as error:
            unfinished.append(f"skipped: {error}")
            continue
        test, reason = final_accuracy(log)
        if test is None:
            unfinished.append(f"{path}: {reason}")
        else:
            finished.append((path, log, test))
    if not finished:
        notes += unfinished
        return None
    path, log, test = finished[-1]
    others = [f"{p.name} ({t.printed})" for p, _, t in finished[:-1] if t.printed != test.printed]
    if others:
        notes.append(f"{path}: used ({test.printed}), as the latest; earlier runs differ: {', '.join(others)}")
    return interpret(path, log, test, root, notes)


def _source_tests(logs: Sequence[FinishedLog]) -> list[FinishedLog]:
    """The tests of training runs whose models were also tested on other data, as the metric "source" of that record."""
    protocols: dict[tuple, set[str]] = defaultdict(set)
    for log in logs:
        if log.protocol in TRANSFER_PROTOCOLS:
            protocols[log.key[0], *log.key[2:]].add(log.protocol)
    return [
        replace(log, protocol=protocol, metric="source")
        for log in logs
        if log.protocol == "few_shot"
        for protocol in sorted(protocols[log.key[0], *log.key[2:]])
    ]


def _make_record(parts: Mapping[str, FinishedLog], exact: bool) -> tuple[Path, Result]:
    """The record of a run, from its logs by metric, and the run directory below the output folder."""
    parts = dict(sorted(parts.items()))
    first = parts[min(parts, key=lambda name: (name not in SOURCE_METRICS, name))]
    config, backbone = _config_of(first)
    result = Result(
        task=f"{first.protocol}/{first.location.data}/{config.get('shots', 'unknown')}/{first.seed}",
        method=first.method,
        data=str(first.location.data),
        seed=first.seed,
        metrics=_metrics(parts, first, exact),
        config=config,
        cost={"parameters": 0.0} if is_training_free(first.method) else {},
        history=first.log.history,
        provenance={
            "imported_from": {name: str(log.path) for name, log in parts.items()},
            "printed": {name: log.test.printed for name, log in parts.items()},
            "rounding": {name: _rounding(log.test, exact) for name, log in parts.items()},
            **({"backbone": "/".join(backbone.values())} if backbone else {}),
            "test_images": {name: log.test.total for name, log in parts.items() if log.test.total},
        },
    )
    return _run_folder(first), result


def _metrics(parts: Mapping[str, FinishedLog], first: FinishedLog, exact: bool) -> dict[str, float]:
    """Accuracies by metric, with the average over the target datasets if all of them were tested."""
    values = {
        name: log.test.exact if exact and log.test.exact is not None else float(log.test.printed)
        for name, log in parts.items()
    }
    usual = {"cross_dataset": TRANSFER_TARGETS, "domain_generalization": IMAGENET_VARIANTS}.get(first.protocol, ())
    targets = first.log.get(EXPORTED_SECTION, "TARGETS", kind=list) or usual
    if targets and all(isinstance(name, str) and name in values for name in targets):
        values["average"] = statistics.fmean(values[name] for name in targets)
    return values


def _config_of(first: FinishedLog) -> tuple[dict[str, object], dict[str, str]]:
    """The configuration of a record as far as it is known, and its backbone."""
    location, log = first.location, first.log
    exported = {key: log.get(EXPORTED_SECTION, "BACKBONE", key, kind=str) for key in ("backbone", "pretrained")}
    backbone = {key: value for key, value in exported.items() if value}
    backbone = backbone or backbone_config(log.get("MODEL", "BACKBONE", "NAME", kind=str), location.settings)
    epochs = None if log.evaluates else log.get("OPTIM", "MAX_EPOCH", kind=int)
    released = {"settings": location.settings, "folder": location.prefix}
    config: dict[str, object] = {
        "method": nested_method(first.method.split(" (")[0]),
        "data": location.data,
        "protocol": first.protocol,
        "seed": first.seed,
    }
    if location.shots is not None:
        config["shots"] = location.shots
    if first.protocol == "data_efficient":
        config |= {"fraction": location.fraction, "selector": (location.selector or "").lower()}
    if epochs is not None:
        config["training"] = {"epochs": epochs}
    config |= {**backbone, "released": {key: value for key, value in released.items() if value}}
    return config, backbone


def _run_folder(first: FinishedLog) -> Path:
    location = first.location
    names = [first.protocol, str(location.data), first.method]
    names += [part for part in (*location.prefix.split("/"), *location.settings.split("/")) if part]
    folders = [folder_name(name) for name in names]
    if first.protocol == "data_efficient":
        folders.append(f"{folder_name(str(location.selector))}_{location.fraction}")
    shots = "unknown" if location.shots is None else location.shots
    return Path(*folders, f"{shots}shots", f"seed{first.seed}")


def _rounding(test: LoggedAccuracy, exact: bool) -> str:
    """The precision of an accuracy, for the record."""
    if exact and test.exact is not None:
        return "none: from the counts of images"
    return f"as printed, to {test.decimals} decimal{'' if test.decimals == 1 else 's'}"
