"""The settings that papers published, one YAML file a method and protocol, each with its source."""

from __future__ import annotations

import dataclasses
from importlib import resources
from typing import Any

import yaml

from cliptune import methods
from cliptune.config import Run, chain, structure
from cliptune.engine.settings import Training
from cliptune.methods.base import Method


def get(name: str, **base: Any) -> Run:
    """A run of the method `name` ("maple+dapt") with the settings published for its protocol.

    base: fields of `Run` (data, backbone, protocol, shots, ...). Every part of the name adds its file
    `<part>/<protocol>.yaml`, wrappers last; the bundled tiny backbone has `tiny.yaml` of its own, as published learning
    rates suit larger models and longer runs.
    """
    method = methods.build(name)
    run = Run(method, **base)
    which = "tiny" if run.backbone == "tiny" else run.protocol.replace("-", "_")
    training: dict[str, Any] = {}
    built: Method | None = None
    for part, layer in zip(name.split("+"), list(chain(method))[::-1], strict=True):  # innermost first
        content = _read(part, which, run.shots)
        training |= content.get("training", {})
        inner = {} if built is None else {"base": built}
        built = structure(type(layer), content.get("method", {}), **inner)
    assert built is not None
    return dataclasses.replace(run, method=built, training=structure(Training, training))


def _read(part: str, which: str, shots: int) -> dict[str, dict[str, Any]]:
    """A file's content; what depends on the shots is a mapping from the least number of shots to the value."""
    file = resources.files(__name__) / part / f"{which}.yaml"
    if not file.is_file():
        return {}
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    for section in content.values():
        for key, value in section.items():
            if isinstance(value, dict):
                reached = [least for least in sorted(value) if shots >= least or shots < 1]
                section[key] = value[reached[-1] if reached else min(value)]
    return content
