"""Published settings of the papers: one YAML file per method and protocol, each with its source."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from cliptune import methods, plain_values
from cliptune.backbones.bundled import BUNDLED
from cliptune.config import RunConfig, method_from_dict, nested_methods
from cliptune.dataclass_io import build_dataclass, check_mapping
from cliptune.engine.config import TrainConfig
from cliptune.errors import UserError
from cliptune.files import read_text
from cliptune.model.method import Method
from cliptune.user_warnings import warn_user

#: The preset file of a method for bundled backbones that have no file of their own there.
SMALL = "tiny"
#: Largest size of a preset file of the user.
MAX_PRESET_BYTES = 1 << 20


def get(name: str, preset: str = "auto", **base: Any) -> RunConfig:
    """A run of the method `name` ("maple+dapt") with the settings published for its protocol.

    preset: "auto"; "none" for the defaults of the dataclasses; another file of the method, which overrides "auto"; or
        the path of a YAML file with all settings of the method and the training, such as `cliptune tune` writes.
    base: Fields of `RunConfig` (data, backbone, protocol, shots, ...). Each part of the name contributes its file
    `<part>/<protocol>.yaml`, wrappers last; that of a wrapper may have other settings `around` a method. Bundled
    backbones use their own file or `tiny.yaml` instead, as published learning rates are for larger models and longer
    runs.

    Raises `UserError` for a preset that no part of the name has.
    """
    method = methods.build(name)
    first = name.partition("+")[0]
    if methods.is_wrapper(methods.get(first)):
        raise UserError(f"{first} wraps another method; use METHOD+{first}, such as coop+{name}")
    run = RunConfig(method, **base)
    if preset == "none":
        return run
    if _is_path(preset):
        return _from_file(name, Path(preset), run)
    parts = name.split("+")
    if not has(name, preset):
        known = sorted({file for part in parts for file in files(part)})
        raise UserError(f"{name} has no preset {preset!r}; there are {', '.join(['auto', 'none', *known])}")
    files_of = [[_read(part, file, run) for file in (_published_file(part, run), preset)] for part in parts]
    training: dict[str, Any] = {}
    built: Method | None = None
    for i, layer in enumerate(list(nested_methods(method))[::-1]):  # innermost first
        around = [file["around"].get(parts[i], {}) for wrapper in files_of[i + 1 :] for file in wrapper]
        fields: dict[str, Any] = {}
        for content in (*files_of[i], *around):
            fields |= content.get("method", {})
        for content in files_of[i]:
            training |= content.get("training", {})
            for part in parts[:i]:
                training |= content["around"].get(part, {}).get("training", {})
        inner = {} if built is None else {"base": built}
        built = build_dataclass(type(layer), fields, **inner)
    assert built is not None
    if run.backbone in BUNDLED and not {"steps", "steps_per_shot"} & training.keys():
        # Their presets count epochs over many classes, of which a few images would give a few steps.
        training.setdefault("min_steps", BUNDLED[run.backbone].min_steps)
    return dataclasses.replace(run, method=built, training=build_dataclass(TrainConfig, training))


def choose_each(names: Sequence[str], preset: str) -> dict[str, str]:
    """Method -> its preset: the requested one, or "auto" with a warning if only other methods have that."""
    chosen = {name: preset if has(name, preset) else "auto" for name in names}
    without = [name for name, own in chosen.items() if own != preset]
    if len(without) == len(chosen):
        return dict.fromkeys(chosen, preset)  # raises an error for the first method
    if without:
        warn_user(f"no preset {preset!r} of {', '.join(without)}: auto is used instead")
    return chosen


def has(name: str, preset: str) -> bool:
    """Whether the method `name` or a part of it has a preset; all have "auto" and "none". A path is a preset of the
    method that the file names."""
    if _is_path(preset):
        return methods.name_of(_read_file(name, Path(preset))[0]) == methods.name_of(methods.build(name))
    return preset in ("auto", "none") or any(preset in files(part) for part in name.split("+"))


def files(part: str) -> list[str]:
    """Names of the preset files of a method."""
    folder = resources.files(__name__) / part
    return sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".yaml")) if folder.is_dir() else []


def _is_path(preset: str) -> bool:
    return preset.endswith((".yaml", ".yml")) or "/" in preset or os.sep in preset


def _read_file(name: str, file: Path) -> tuple[Method, TrainConfig]:
    """The method and the training settings in a preset file. name: A method that may be outside of cliptune."""
    text = read_text(file, MAX_PRESET_BYTES)
    try:
        content = check_mapping("a preset", plain_values.from_yaml(text))
        if set(content) != {"method", "training"}:
            raise UserError(f"a preset has the keys method and training, got {', '.join(content) or 'none'}")
        method = method_from_dict(check_mapping("method", content["method"]), name.split("+"))
        return method, build_dataclass(TrainConfig, check_mapping("training", content["training"]))
    except ValueError as error:
        raise UserError(f"preset {file} cannot be used: {error} (cliptune tune writes such files)") from None


def _from_file(name: str, file: Path, run: RunConfig) -> RunConfig:
    """The run with the settings of a preset file. Raises `UserError` if the file is of another method."""
    method, training = _read_file(name, file)
    if methods.name_of(method) != methods.name_of(run.method):
        raise UserError(f"preset {file} is of {methods.name_of(method)}, not of {name}; choose another --preset")
    return dataclasses.replace(run, method=method, training=training)


def _published_file(part: str, run: RunConfig) -> str:
    """The preset file of a method for the protocol of a run, or for its backbone if that is bundled."""
    if run.backbone not in BUNDLED:
        return run.protocol.replace("-", "_")
    return run.backbone if run.backbone in files(part) else SMALL


def _read(part: str, which: str, run: RunConfig) -> dict[str, dict[str, Any]]:
    """The content of a file, with the values that apply to the run: fields of the `method`, `training` settings, and
    the same by name of a wrapped method under `around`."""
    file = resources.files(__name__) / part / f"{which}.yaml"
    if not file.is_file():
        return {"around": {}}
    try:
        content = plain_values.from_yaml(file.read_text(encoding="utf-8"))
        around = content.pop("around", {})
        return {**_settings(content, run), "around": {name: _settings(own, run) for name, own in around.items()}}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UserError(f"preset {file} cannot be read ({error}); fix it, or choose another --preset") from None


def _settings(content: dict[str, Any], run: RunConfig) -> dict[str, dict[str, Any]]:
    return {name: {key: _chosen(value, run) for key, value in fields.items()} for name, fields in content.items()}


def _chosen(value: Any, run: RunConfig) -> Any:
    """The value for the run of a mapping from minimum shots to values, or from datasets and `default` to values."""
    if not isinstance(value, dict):
        return value
    if "default" in value:
        dataset = run.data.partition(":")[0]
        return _chosen(value.get(dataset, value["default"]), run)
    reached = [least for least in sorted(value) if run.shots >= least or run.shots < 1]
    return _chosen(value[reached[-1] if reached else min(value)], run)
