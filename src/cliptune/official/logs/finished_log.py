"""A finished log: the run it belongs to, and the metric that it adds to the run's record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from cliptune.official.logs.folder_layout import ALL_SHOTS, LogLocation, parse_folder
from cliptune.official.logs.names import dataset_name, method_name
from cliptune.official.logs.parse import Log, LoggedAccuracy

#: Datasets with classes of ImageNet and shifted images.
IMAGENET_VARIANTS = ("imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r")
#: Protocols that test on other data than they train on.
TRANSFER_PROTOCOLS = ("cross_dataset", "domain_generalization")
#: A section of the configuration in logs exported by earlier versions of this package, for what Dassl has no keys for.
EXPORTED_SECTION = "CLIPTUNE"


@dataclass(frozen=True)
class FinishedLog:
    """A finished log, interpreted.

    test: the accuracy that counts, for `metric` of the run's record. location: dataset, shots and so on.
    """

    path: Path
    log: Log
    test: LoggedAccuracy
    location: LogLocation
    protocol: str
    method: str
    metric: str
    seed: int

    @property
    def key(self) -> tuple:
        """Equal for the logs of one record."""
        place = self.location
        settings = (place.settings, place.selector or "", str(place.fraction))
        return place.prefix, self.protocol, place.data, self.method, *settings, str(place.shots), self.seed


def interpret(path: Path, log: Log, test: LoggedAccuracy, root: Path, notes: list[str]) -> FinishedLog | None:
    """Interpret a log by its configuration, and by its folder where the configuration has no value.

    Appends a sentence to `notes` for each doubt. Returns None, also with a note, if dataset, trainer or seed are
    unknown. root: the folder that is imported.
    """
    location = parse_folder(path.parent, root) or LogLocation()
    data = log.get("DATASET", "NAME", kind=str) or location.data
    trainer = log.get("TRAINER", "NAME", kind=str) or location.trainer
    if data is None or trainer is None:
        missing = "dataset" if data is None else "trainer"
        notes.append(f"{path}: skipped, neither its folder nor its configuration names the {missing}")
        return None
    location = _with_shots(location, log, path, notes)
    seed = location.seed if location.seed is not None else log.get("SEED", kind=int)
    if seed is None or seed < 0:
        if method_name(trainer) != "zeroshot":
            notes.append(f"{path}: skipped, neither its folder nor its configuration names the seed")
            return None
        seed = 0
    uses_dapt = location.selector is not None or "dapt_mode" in log.arguments
    uses_dapt = uses_dapt or bool(log.get("TRAINER", "DAPT_MODE", kind=object))
    method = log.get(EXPORTED_SECTION, "METHOD", kind=str) or method_name(trainer, location.settings, uses_dapt)
    if method is None:
        notes.append(f"{path}: the trainer {trainer} is unknown; its name is used for the method")
        method = trainer
    protocol, metric, location = _protocol_and_metric(log, location, dataset_name(data))
    if location.shots is None:
        notes.append(f"{path}: neither its folder nor its configuration gives the number of shots; the record omits it")
    return FinishedLog(path, log, test, location, protocol, method, metric, seed)


def _with_shots(location: LogLocation, log: Log, path: Path, notes: list[str]) -> LogLocation:
    """The location with the shots of the log's configuration, unless the log is of an evaluation."""
    shots = log.get("DATASET", "NUM_SHOTS", kind=int)
    if shots is None or log.evaluates:
        return location
    if location.shots is not None and max(shots, ALL_SHOTS) != location.shots:
        notes.append(f"{path}: its folder gives {location.shots} shots, its configuration {shots}; the latter is used")
    return replace(location, shots=max(shots, ALL_SHOTS))


def _protocol_and_metric(log: Log, location: LogLocation, data: str) -> tuple[str, str, LogLocation]:
    """The protocol, the metric, and the location with the dataset that the run was trained on.

    data: the dataset that the log names.
    """
    part = {"base": "base", "new": "new"}.get(log.get("DATASET", "SUBSAMPLE_CLASSES", kind=str) or "", location.part)
    is_target = location.part == "target"
    if is_target and data == source_data(log) and EXPORTED_SECTION not in log.config:
        protocol, metric, is_target = "few_shot", "test", False
    elif is_target:
        protocol = "domain_generalization" if data in IMAGENET_VARIANTS else "cross_dataset"
        metric, data = data, source_data(log)
    elif part in ("base", "new"):
        protocol, metric = "base_to_novel", {"base": "base", "new": "novel"}[part]
    else:
        protocol = "few_shot" if (location.fraction or 1) == 1 else "data_efficient"
        metric = "test"
    protocol = log.get(EXPORTED_SECTION, "PROTOCOL", kind=str) or protocol
    if protocol in TRANSFER_PROTOCOLS:
        metric = log.get(EXPORTED_SECTION, "TARGET", kind=str) or metric if is_target else "source"
    elif protocol == "few_shot":
        location = replace(location, selector=None, fraction=None)
    return protocol, metric, replace(location, data=log.get(EXPORTED_SECTION, "DATA", kind=str) or data)


def source_data(log: Log) -> str:
    """The training dataset of a model tested on other data: from the folder of the model, else ImageNet."""
    trained = parse_folder(Path(log.arguments.get("model_dir") or "."), Path("/"))
    return dataset_name(trained.data) if trained is not None and trained.data else "imagenet"
