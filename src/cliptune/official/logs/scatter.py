"""Records as a tree of logs, in the layouts and lines that the research code's scripts read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cliptune.errors import UserError
from cliptune.official.logs.collect import EXPORTED_SECTION
from cliptune.official.logs.names import folder_name, released_name, settings_of, title_of, trainer_of
from cliptune.official.logs.parse import compose
from cliptune.results.labels import IMPORTED_SUFFIX, label_methods, num_shots
from cliptune.types import Result

#: Protocol -> what is written of it: metric -> part of the layout.
HALVES = {"base": ("train_base", "base"), "novel": ("test_new", "new")}
#: Metrics that the layouts have no place for.
DERIVED = ("hm", "average")


def scatter(results: Sequence[Result], decimals: int = 1) -> tuple[dict[Path, str], list[str]]:
    """Relative path -> text of each log, and a sentence for what has no place in them.

    decimals: of accuracies; the research code prints one, and older versions of it two. Raises `UserError` when two
    records would be one log.
    """
    logs: dict[Path, str] = {}
    notes: dict[str, None] = {}
    for result, named in zip(results, label_methods(results), strict=True):
        written = _logs(result, named.method.replace(IMPORTED_SUFFIX, ""), decimals)
        for path, text in written.items():
            if path in logs:
                raise UserError(f"two runs would both be {path}; export them from folders of their own")
            logs[path] = text
        if not written:
            notes[
                f"{result.method} on {result.data}, seed {result.seed}: no accuracy that the layouts have a place for"
            ] = None
        left = [name for name in sorted(result.metrics) if _placeless(name)]
        if left:
            notes[f"left out, as the layouts have no place for it: {', '.join(left)}"] = None
    return logs, list(notes)


def _logs(result: Result, label: str, decimals: int) -> dict[Path, str]:
    """Path and text of each log of one record."""
    config = result.config
    protocol = str(config.get("protocol", "few_shot")).replace("-", "_")
    told = result.provenance.get("backbone") or config.get("backbone") or ""
    method, _, rest = label.partition(" (")
    trainer, shots = trainer_of(method), num_shots(result)
    k = -1 if not shots else shots
    # As the folders were called, but none that leads elsewhere.
    own_settings = [part for part in (config.get("released") or {}).get("settings", "").split("/") if part.strip(".")]
    if own_settings:
        settings, more = own_settings[0], "/".join(own_settings[1:])
    else:
        settings, more = (
            "_".join(p for p in (settings_of(str(told)), folder_name(rest.rstrip(")")) if rest else "") if p),
            "",
        )
        settings += f"_{protocol}" if protocol in ("cross_dataset", "domain_generalization") else ""
    data, seed = folder_name(result.data), f"seed{result.seed}"
    run = Path(trainer, f"{settings}_{k}shots", more)
    paths: dict[str, tuple[Path, str, bool]] = {}
    for metric in result.metrics:
        if _placeless(metric) or metric in DERIVED:
            continue
        if protocol == "base_to_novel" and metric in HALVES:
            half, subsample = HALVES[metric]
            paths[metric] = (
                Path("base2new", half, data, f"shots_{k}", trainer, settings, more),
                subsample,
                metric == "base",
            )
        elif protocol == "data_efficient" and metric == "test":
            chosen = f"{str(config.get('selector', 'uniform')).capitalize()}_{config.get('fraction', 1.0)}_{k}"
            paths[metric] = Path(trainer, settings, more, title_of(result.data), chosen), "all", True
        elif metric in ("test", "source"):
            paths[metric] = Path(data) / run, "all", True
        elif protocol in ("cross_dataset", "domain_generalization"):
            paths[metric] = Path("evaluation") / run / folder_name(metric), "all", False
    images = result.provenance.get("test_images") or {}
    logs = {}
    for metric, (path, subsample, trained) in paths.items():
        target = "" if trained or protocol == "base_to_novel" else metric
        about = _config(result, label, protocol, trainer, target, subsample, k)
        text = compose(about, result.metrics[metric], images.get(metric), decimals, trained)
        logs[path / seed / "log.txt"] = text
    return logs


def _placeless(metric: str) -> bool:
    """Whether the layouts have no place for a metric: of a variant of a test set, or on the way."""
    return "/" in metric or "@" in metric


def _config(
    result: Result, label: str, protocol: str, trainer: str, target: str, subsample: str, shots: int
) -> Mapping[str, Any]:
    """The configuration of one log: in the research code's words, and in ours what it has no words for."""
    config = result.config
    backbone = {key: config[key] for key in ("backbone", "pretrained") if config.get(key)}
    epochs = (config.get("training") or {}).get("epochs")
    own = {"METHOD": label, "DATA": result.data, "PROTOCOL": protocol, "BACKBONE": backbone}
    if "average" in result.metrics:
        own["TARGETS"] = [name for name in result.metrics if name not in ("source", *DERIVED) and not _placeless(name)]
    return {
        "DATASET": {"NAME": title_of(target or result.data), "NUM_SHOTS": shots, "SUBSAMPLE_CLASSES": subsample},
        "MODEL": {"BACKBONE": {"NAME": released_name(backbone)}},
        **({"OPTIM": {"MAX_EPOCH": epochs}} if epochs else {}),
        "SEED": result.seed,
        "TRAINER": {"NAME": trainer},
        EXPORTED_SECTION: {**own, **({"TARGET": target} if target else {})},
    }
