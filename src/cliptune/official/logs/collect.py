"""A tree of logs as records: base and novel paired, tests on other data with their source, what is left out named."""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cliptune.errors import UserError
from cliptune.files import read_bytes
from cliptune.official.logs.folder_layout import ALL_SHOTS, LogLocation, parse_folder
from cliptune.official.logs.names import (
    backbone_config,
    dataset_name,
    folder_name,
    is_training_free,
    method_name,
    nested_method,
)
from cliptune.official.logs.parse import Log, LoggedAccuracy, final_accuracy, parse_log
from cliptune.protocols.common.benchmarks import TRANSFER_TARGETS
from cliptune.results import store
from cliptune.types import Result

#: Sets of the classes of ImageNet seen otherwise.
IMAGENET_VARIANTS = ("imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r")
#: Protocols that test on other data than they train on.
TRANSFER_PROTOCOLS = ("cross_dataset", "domain_generalization")
#: Metrics that are of the data that was trained on.
SOURCE_METRICS = ("test", "base", "novel", "source")
#: A log, and what a run that finds one writes instead.
LOG_NAME = re.compile(r"log\.txt(-\d{4}(-\d\d){5})?")
#: The section of a configuration that `export` adds, with what the research code has no words for.
EXPORTED_SECTION = "CLIPTUNE"


@dataclass(frozen=True)
class FinishedLog:
    """One finished log: which record it belongs to (`key`), and its accuracy there."""

    path: Path
    log: Log
    test: LoggedAccuracy
    place: LogLocation
    protocol: str
    method: str
    metric: str
    seed: int

    @property
    def key(self) -> tuple:
        """The logs of one record agree in this."""
        place = self.place
        settings = (place.settings, place.selector or "", str(place.fraction))
        return place.before, self.protocol, place.data, self.method, *settings, str(place.shots), self.seed


def collect_records(root: Path, *, exact: bool = False) -> tuple[list[tuple[Path, Result]], list[str]]:
    """Records of the logs under `root`, each with the folder it is for, and a sentence for each log that is left out or
    was not understood in full.

    exact: accuracies from the printed counts where there are any, else as printed. Raises `UserError` if there are no
    logs.
    """
    folders = sorted({path.parent for path in root.rglob("log.txt*") if LOG_NAME.fullmatch(path.name)})
    if not folders:
        raise UserError(f"no log.txt under {root}: name the folder that --output-dir named")
    notes: list[str] = []
    logs = [found for folder in folders if (found := _latest_finished(folder, root, notes)) is not None]
    groups: dict[tuple, dict[str, FinishedLog]] = defaultdict(dict)
    for found in [*logs, *_source_tests(logs)]:
        held = groups[found.key].setdefault(found.metric, found)
        if held is not found:
            notes.append(f"{found.path}: left out, as {held.path} says the same of {found.metric}")
    made = []
    for parts in groups.values():
        folder, result = _make_record(parts, exact)
        if fault := store.validation_error(result):
            notes.append(f"{next(iter(parts.values())).path}: left out, as {fault}")
            continue
        made.append((folder, result))
        if result.config["protocol"] == "base_to_novel" and len(result.metrics) < 2:
            there, lacks = ("base", "novel") if "base" in result.metrics else ("novel", "base")
            notes.append(
                f"{next(iter(parts.values())).path}: {there} alone, there is no finished test on {lacks} classes"
            )
    return sorted(made, key=lambda pair: pair[0]), notes


def _latest_finished(folder: Path, root: Path, notes: list[str]) -> FinishedLog | None:
    """The log that counts in a folder, the last of its reruns that finished; None, with a note, where none did."""
    paths = sorted(path for path in folder.glob("log.txt*") if LOG_NAME.fullmatch(path.name))  # as they were written
    whys, ended = [], []
    for path in paths:
        try:
            log = parse_log(read_bytes(path).decode("utf-8", "replace"))
        except UserError as error:
            whys.append(f"left out: {error}")
            continue
        test, why = final_accuracy(log)
        if test is None:
            whys.append(f"{path}: {why}")
        else:
            ended.append((path, log, test))
    if not ended:
        notes += whys
        return None
    path, log, test = ended[-1]
    others = [f"{p.name} ({t.printed})" for p, _, t in ended[:-1] if t.printed != test.printed]
    if others:
        notes.append(
            f"{path}: taken ({test.printed}), as the last; earlier runs there say otherwise: {', '.join(others)}"
        )
    return _interpret(path, log, test, root, notes)


def _interpret(path: Path, log: Log, test: LoggedAccuracy, root: Path, notes: list[str]) -> FinishedLog | None:
    """What a log is of, from its configuration first and then from its folder."""
    place = parse_folder(path.parent, root) or LogLocation()
    data = log.says("DATASET", "NAME", kind=str) or place.data
    trainer = log.says("TRAINER", "NAME", kind=str) or place.trainer
    for what, known in (("data set", data), ("trainer", trainer)):
        if known is None:
            notes.append(f"{path}: not understood, neither its folder nor its configuration says the {what}")
            return None
    shots = log.says("DATASET", "NUM_SHOTS", kind=int)
    if place.shots is not None and shots is not None and max(shots, ALL_SHOTS) != place.shots and not log.evaluates:
        notes.append(f"{path}: its folder says {place.shots} shots, its configuration {shots}, which is taken")
        place = replace(place, shots=max(shots, ALL_SHOTS))
    elif place.shots is None and shots is not None and not log.evaluates:
        place = replace(place, shots=max(shots, ALL_SHOTS))
    seed = place.seed if place.seed is not None else log.says("SEED", kind=int)
    if seed is None or seed < 0:
        if method_name(str(trainer)) != "zeroshot":
            notes.append(f"{path}: not understood, neither its folder nor its configuration says the seed")
            return None
        seed = 0
    dapt = place.selector is not None or log.says("TRAINER", "DAPT_MODE", kind=object) or "dapt_mode" in log.arguments
    method = log.says(EXPORTED_SECTION, "METHOD", kind=str) or method_name(
        str(trainer), place.settings, "dapt" if dapt else ""
    )
    if method is None:
        notes.append(f"{path}: the trainer {trainer} is none of ours, its name stands for the method")
        method = str(trainer)
    half = {"base": "base", "new": "new"}.get(log.says("DATASET", "SUBSAMPLE_CLASSES", kind=str) or "", place.part)
    target = place.part == "target"
    if target and dataset_name(str(data)) == _source_data(log) and EXPORTED_SECTION not in log.config:
        protocol, metric, target = "few_shot", "test", False
    elif target:
        protocol = "domain_generalization" if dataset_name(str(data)) in IMAGENET_VARIANTS else "cross_dataset"
        metric, place = dataset_name(str(data)), replace(place, data=_source_data(log))
    elif half in ("base", "new"):
        protocol, metric = "base_to_novel", {"base": "base", "new": "novel"}[half]
    else:
        protocol = "few_shot" if (place.fraction or 1) == 1 else "data_efficient"
        metric = "test"
    protocol = log.says(EXPORTED_SECTION, "PROTOCOL", kind=str) or protocol
    if protocol in TRANSFER_PROTOCOLS:
        metric = log.says(EXPORTED_SECTION, "TARGET", kind=str) or metric if target else "source"
    elif protocol == "few_shot":
        place = replace(place, selector=None, fraction=None)
    place = replace(
        place, data=log.says(EXPORTED_SECTION, "DATA", kind=str) or (place.data if target else dataset_name(str(data)))
    )
    if place.shots is None:
        notes.append(f"{path}: neither its folder nor its configuration says the shots, which the record leaves open")
    return FinishedLog(path, log, test, place, protocol, method, metric, seed)


def _source_data(log: Log) -> str:
    """What a model tested on other data was trained on: its folder says, or the protocol."""
    trained = parse_folder(Path(log.arguments.get("model_dir") or "."), Path("/"))
    return dataset_name(trained.data) if trained is not None and trained.data else "imagenet"


def _source_tests(logs: list[FinishedLog]) -> list[FinishedLog]:
    """For tests on other data, the training run's own test as "source"."""
    wanted: dict[tuple, set[str]] = defaultdict(set)
    for found in logs:
        if found.protocol in TRANSFER_PROTOCOLS:
            wanted[found.key[0], *found.key[2:]].add(found.protocol)
    return [
        replace(found, protocol=protocol, metric="source")
        for found in logs
        if found.protocol == "few_shot"
        for protocol in sorted(wanted[found.key[0], *found.key[2:]])
    ]


def _make_record(parts: Mapping[str, FinishedLog], exact: bool) -> tuple[Path, Result]:
    """One record of the logs of its parts, and its folder below that of all."""
    first = parts[min(parts, key=lambda name: (name not in SOURCE_METRICS, name))]
    place, log = first.place, first.log
    values = {
        name: found.test.exact if exact and found.test.exact is not None else float(found.test.printed)
        for name, found in sorted(parts.items())
    }
    usual = {"cross_dataset": TRANSFER_TARGETS, "domain_generalization": IMAGENET_VARIANTS}.get(first.protocol, ())
    targets = log.says(EXPORTED_SECTION, "TARGETS", kind=list) or usual
    if targets and all(isinstance(name, str) and name in values for name in targets):
        values["average"] = statistics.fmean(values[name] for name in targets)
    known = {key: log.says(EXPORTED_SECTION, "BACKBONE", key, kind=str) for key in ("backbone", "pretrained")}
    backbone = {key: value for key, value in known.items() if value}
    backbone = backbone or backbone_config(log.says("MODEL", "BACKBONE", "NAME", kind=str), place.settings)
    epochs = None if log.evaluates else log.says("OPTIM", "MAX_EPOCH", kind=int)
    selected = first.protocol == "data_efficient"
    released = {"settings": place.settings, "folder": place.before}
    config = {
        "method": nested_method(first.method.split(" (")[0]),
        "data": place.data,
        "protocol": first.protocol,
        "seed": first.seed,
        **({} if place.shots is None else {"shots": place.shots}),
        **({"fraction": place.fraction, "selector": (place.selector or "").lower()} if selected else {}),
        **({"training": {"epochs": epochs}} if epochs is not None else {}),
        **backbone,
        "released": {key: value for key, value in released.items() if value},
    }
    provenance = {
        "imported_from": {name: str(found.path) for name, found in sorted(parts.items())},
        "printed": {name: found.test.printed for name, found in sorted(parts.items())},
        "rounding": {name: _rounding(found.test, exact) for name, found in sorted(parts.items())},
        **({"backbone": "/".join(backbone.values())} if backbone else {}),
        "test_images": {name: found.test.total for name, found in sorted(parts.items()) if found.test.total},
    }
    shots = "unknown" if place.shots is None else place.shots
    task = f"{first.protocol}/{place.data}/{shots}/{first.seed}"
    result = Result(
        task=task,
        method=first.method,
        data=str(place.data),
        seed=first.seed,
        metrics=values,
        config=config,
        cost={"parameters": 0.0} if is_training_free(first.method) else {},
        history=log.history,
        provenance=provenance,
    )
    more = [folder_name(part) for part in (*place.before.split("/"), *place.settings.split("/")) if part]
    more += [f"{folder_name(str(place.selector))}_{place.fraction}"] if selected else []
    names = (
        folder_name(first.protocol),
        folder_name(str(place.data)),
        folder_name(first.method),
        *more,
        f"{shots}shots",
        f"seed{first.seed}",
    )
    return Path(*names), result


def _rounding(test: LoggedAccuracy, exact: bool) -> str:
    """How far a number can be trusted."""
    if exact and test.exact is not None:
        return "none: from the counts of pictures"
    return f"as printed, to {test.decimals} decimal{'' if test.decimals == 1 else 's'}"
