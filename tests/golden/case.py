"""One folder of recorded numbers, read and checked for consistency."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from torch import Tensor

from cliptune.backbones.backbone import Backbone
from cliptune.backbones.load import backbone_from_state_dict
from cliptune.types import LinearBackend

CPU = torch.device("cpu")


def recordings() -> Path:
    """The folder of recorded cases: $CLIPTUNE_GOLDEN, by default `recordings` next to this file."""
    return Path(os.environ.get("CLIPTUNE_GOLDEN") or Path(__file__).resolve().parent / "recordings")


class Unsound(Exception):
    """The folder is inconsistent: a digest, a shape or a file differs from `case.json`."""


@dataclass(frozen=True)
class Case:
    """The content of `case.json` and `tensors.safetensors` of `folder`; `linear_backend` is passed to the backbone.

    The model and its inputs are on `device`; what is recorded stays on the CPU.
    """

    folder: Path
    json: dict[str, Any]
    tensors: dict[str, NDArray]
    linear_backend: LinearBackend = "torch"
    device: torch.device = CPU

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def method(self) -> str:
        return self.json["method"]

    @property
    def hyper(self) -> dict[str, Any]:
        return self.json.get("hyperparameters") or {}

    @property
    def classnames(self) -> list[str]:
        return self.json["class_names"]

    @property
    def notes(self) -> str:
        return "\n".join(self.json.get("notes", []))

    @property
    def labels(self) -> Tensor:
        return torch.tensor(self.json["labels"], device=self.device)

    @cached_property
    def generator(self) -> Generator:
        """The code of `clip_weights.py` next to the folder."""
        places = [parent / "clip_weights.py" for parent in (self.folder.parent, self.folder.resolve().parent)]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise Unsound(f"no clip_weights.py next to {self.folder}")
        return _generator(found.read_text(encoding="utf-8"))

    @cached_property
    def backbone(self) -> Backbone:
        return clip(self, "clip")

    @cached_property
    def images(self) -> Tensor:
        """The batch of normalised images: `image.main`, plus `image.blocks` repeated to full size where recorded."""
        images = self.input("image.main")
        if "image.blocks" not in self.json["inputs"]:
            return images
        blocks = self.input("image.blocks")
        for axis in (-2, -1):
            blocks = blocks.repeat_interleave(images.shape[axis] // blocks.shape[axis], axis)
        return images + blocks

    def input(self, name: str) -> Tensor:
        """A generated input by its name."""
        return torch.from_numpy(self._generate(name, self.json["inputs"][name])).to(self.device)

    @cached_property
    def parameters(self) -> dict[str, Tensor]:
        """Official state-dict name -> value used by the run, stored (if initialised from words) or generated."""
        return self._values("param.")

    @cached_property
    def beginnings(self) -> dict[str, Tensor]:
        """Official state-dict name -> value at the first forward pass, if `parameters` are later ones."""
        return self._values("init_param.")

    def _values(self, prefix: str) -> dict[str, Tensor]:
        values = {}
        for key, recipe in self.json.get("parameters", {}).items():
            if not key.startswith(prefix):
                continue
            if key in self.tensors:
                value = self.tensors[key]
            elif isinstance(recipe, dict):
                value = self._generate(key, recipe)
            else:
                raise Unsound(f"{key} is neither stored nor generated")
            digest = recipe.get("sha256") if isinstance(recipe, dict) else None
            if digest and hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest() != digest:
                raise Unsound(f"{key} does not have the sha256 of case.json")
            values[key.removeprefix(prefix)] = torch.from_numpy(value)
        return values

    def strings(self) -> dict[str, Any]:
        """The content of `prompt_strings.json` next to the folder, or an empty dict."""
        path = self.folder.parent / "prompt_strings.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def note(self, pattern: str, default: str) -> str:
        """The first group of `pattern` in the notes."""
        found = re.search(pattern, self.notes)
        return found[1] if found else default

    def _generate(self, name: str, recipe: dict[str, Any]) -> NDArray:
        return self.generator.tensor(recipe["seed"], name, recipe["shape"], recipe["std"], recipe["mean"])


def read(folder: Path | str, linear_backend: LinearBackend = "torch", device: torch.device = CPU) -> Case:
    """Read a folder. Raises `Unsound` if a file is missing or stored tensors differ from those `case.json` lists."""
    folder = Path(folder).absolute()
    if not (folder / "case.json").is_file():
        raise Unsound(f"no case.json in {folder}")
    content = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    stored = folder / "tensors.safetensors"
    tensors = load_file(stored) if stored.is_file() else {}
    for name, listed in content.get("tensors", {}).items():
        if name not in tensors:
            raise Unsound(f"{name} is listed in case.json but not stored")
        if list(tensors[name].shape) != listed["shape"]:
            raise Unsound(f"{name} is stored as {list(tensors[name].shape)}, but case.json lists {listed['shape']}")
    return Case(folder, content, tensors, linear_backend, device)


def clip(case: Case, key: str) -> Backbone:
    """The CLIP model that `case.json` describes under `key`."""
    recipe = case.json[key]
    backbone, digest = _backbone(case.generator, recipe["config"], recipe["seed"], case.linear_backend, case.device)
    if digest != recipe["sha256"]:
        raise Unsound(f"the CLIP weights have sha256 {digest}, not {recipe['sha256']} as in case.json")
    return backbone


class Generator(SimpleNamespace):
    """The functions of `clip_weights.py`, executed from its text: an import would write byte code next to it."""

    def __hash__(self) -> int:  # a key of the cache below
        return id(self)


@lru_cache
def _generator(code: str) -> Generator:
    """Cached by text, so that copies of the file share their models."""
    names: dict[str, Any] = {"__name__": "clip_weights"}
    exec(compile(code, "clip_weights.py", "exec"), names)
    return Generator(**names)


@lru_cache(maxsize=4)
def _backbone(
    generator: Generator, config: str, seed: int, linear_backend: LinearBackend, device: torch.device
) -> tuple[Backbone, str]:
    """The model of a (configuration, seed), cached per process, and the digest of its weights."""
    weights = generator.clip_state_dict(seed, generator.CONFIGS[config])
    state = {key: torch.from_numpy(value) for key, value in weights.items()}
    digest = generator.digest(weights)
    openai = {**state, "input_resolution": torch.tensor(0)}  # OpenAI's files are recognised by it
    return backbone_from_state_dict(openai, f"{config}/{seed}", linear_backend=linear_backend).to(device), digest
