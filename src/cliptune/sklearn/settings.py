"""Parameters of the estimator to the configuration of a run, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from cliptune import config, presets
from cliptune.backbones.bundled import choose_backbone
from cliptune.config import RunConfig
from cliptune.data.config import DataConfig
from cliptune.data.dataset import Dataset
from cliptune.engine.config import TrainConfig
from cliptune.errors import UserError, shown
from cliptune.model.method import Method

#: Prefix of the names of `options` in searches.
OPTIONS = "options__"
#: Parameters that are options of `ct.train` and may be None.
SETTINGS = ("epochs", "lr", "batch_size", "augment", "n_ctx")
#: Parameters that are fields of `RunConfig`; the first decide about the preset.
PRESET_FIELDS = ("backbone", "pretrained", "shots")
RUN_FIELDS = (*PRESET_FIELDS, "precision", "device")
#: Fields of a run that are decided by what the estimator is for.
FIXED = ("data", "protocol", "targets", "joint", "evaluate_at", "devices")


def run_config(params: Mapping[str, Any]) -> RunConfig:
    """The run of an estimator's parameters, as `ct.train` builds it. Raises `UserError` for what does not fit."""
    method, options = params["method"], params["options"] or {}
    if not isinstance(options, Mapping):
        raise UserError(f"options must be a mapping from name to value, got {shown(options)}")
    for name in options:
        if name in ("random_state", "seed", "cache", *params):
            own = "random_state" if name == "seed" else name
            raise UserError(f"{name} is in options; give it as the parameter {own}")
        if name in FIXED:
            raise UserError(f"{name} is not an option of PromptClassifier; use cliptune.train for it")
    wrong = next((name for name in ("backbone", "pretrained", "preset") if not isinstance(params[name], str)), None)
    if wrong:
        raise UserError(f"{wrong} must be a string, got {shown(params[wrong])}")
    base: dict[str, Any] = {name: _plain(params[name]) for name in PRESET_FIELDS} | {
        "seed": _seed(params["random_state"])
    }
    base["backbone"] = choose_backbone(base["backbone"], Dataset.image_kind)
    if isinstance(method, Method):
        run = RunConfig(method, **base)
    elif isinstance(method, str):
        run = presets.get(method, params["preset"], **base)
    else:
        raise UserError(f"method must be a name or a method object, got {shown(method)}")
    given = {name: params[name] for name in SETTINGS if params[name] is not None}
    given |= {name: params[name] for name in ("precision", "device", "cache")} | dict(options)
    return config.with_options(run, {name: _plain(value) for name, value in given.items()})


def params_of(run: RunConfig) -> dict[str, Any]:
    """Parameters that `run_config` turns into a run with the settings of `run`."""
    default, options = RunConfig(run.method, backbone=run.backbone), {}
    for name in ("activation", "linear_backend", "fraction", "selector", "selector_variant"):
        if getattr(run, name) != getattr(default, name):
            options[name] = getattr(run, name)
    for part, unset in ((run.training, TrainConfig()), (run.reading, DataConfig())):
        for field in dataclasses.fields(part):
            if getattr(part, field.name) != getattr(unset, field.name):
                options[field.name] = getattr(part, field.name)
    found = {name: getattr(run, name) for name in RUN_FIELDS}
    found |= {name: options.pop(name) for name in (*SETTINGS, "cache") if name in options}
    return found | {"method": run.method, "random_state": run.seed, "options": options or None}


def _seed(random_state: Any) -> int:
    """The seed of a run: an integer itself, or drawn from another random state."""
    if isinstance(random_state, (int, np.integer)):
        return int(random_state)
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def _plain(value: Any) -> Any:
    """A scalar of NumPy as Python's."""
    return value.item() if isinstance(value, np.generic) else value
