"""Segmentation models of transformers: by their name on the hub or from a folder, on the device they are wanted on."""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cliptune.errors import UserError


@dataclass(frozen=True)
class ModelFamily:
    """What is loaded for one name: classes of transformers, the model taken unless another is asked for, and the
    `model_type`s that fit."""

    name: str
    model: str
    model_class: str
    processor_class: str
    types: tuple[str, ...]


@dataclass(frozen=True)
class PretrainedModel:
    """A model that only predicts, with what prepares its inputs. kind, name: how it was asked for."""

    kind: ModelFamily
    name: str
    model: Any
    processor: Any

    @property
    def device(self) -> torch.device:
        return self.model.device

    def to_inputs(self, prepared: Mapping[str, Any]) -> dict[str, Tensor]:
        """Tensors on the model's device, fractions in its precision."""
        return {
            name: value.to(self.device, self.model.dtype if value.is_floating_point() else value.dtype)
            for name, value in prepared.items()
            if isinstance(value, Tensor)
        }


def load_pretrained(kind: ModelFamily, name: str = "", device: torch.device | str = "cpu") -> PretrainedModel:
    """The model `name`, of the hub or a folder; by default the kind's own.

    Raises `UserError` where transformers is not installed or too old, and where there is no such model, or one of
    another kind.
    """
    name = name or kind.model
    try:
        transformers = importlib.import_module("transformers")
    except ImportError:
        raise UserError('this needs transformers, which is not installed: pip install "cliptune[masks]"') from None
    lacking = [c for c in (kind.model_class, kind.processor_class) if not hasattr(transformers, c)]
    if lacking:
        raise UserError(
            f"transformers {transformers.__version__} does not know {lacking[0]}, which --with {kind.name} needs; "
            f'update it: pip install --upgrade "cliptune[masks]"'
        )
    place: Any = Path(name).expanduser() if Path(name).expanduser().is_dir() else name
    if place is name and not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        raise UserError(f"no model folder at {name}; check --model")
    with _quiet_libraries(transformers):
        found = _explain_errors(kind, name, lambda: transformers.PretrainedConfig.get_config_dict(place)[0]).get(
            "model_type"
        )
        if found not in kind.types:
            said = f"is a {found} model" if found else "does not say what model it is"
            raise UserError(f"--model {name} {said}; --with {kind.name} takes {', '.join(kind.types)}")
        processor = _explain_errors(
            kind, name, lambda: getattr(transformers, kind.processor_class).from_pretrained(place)
        )
        model_class = getattr(transformers, kind.model_class)
        model, told = _explain_errors(kind, name, lambda: model_class.from_pretrained(place, output_loading_info=True))
    lacking = sorted(told["missing_keys"])
    if lacking:
        warnings.warn(
            f"{name} lacks {len(lacking)} of the model's tensors, first {lacking[0]}: they are random", stacklevel=2
        )
    return PretrainedModel(kind, name, model.eval().requires_grad_(False).to(device), processor)


@contextmanager
def _quiet_libraries(transformers: Any) -> Iterator[None]:
    """Without the libraries' own remarks and bars, but for those of downloads."""
    hub = importlib.import_module("huggingface_hub").utils
    before = transformers.logging.get_verbosity(), hub.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    hub.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    hub.enable_progress_bars()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(before[0])
        hub.logging.set_verbosity(before[1])
        transformers.logging.enable_progress_bar()


def _explain_errors(kind: ModelFamily, name: str, load: Callable[[], Any]) -> Any:
    """What `load` returns; its errors, many lines long, become a sentence."""
    try:
        return load()
    except Exception as error:  # of a wrong or damaged folder, loaders raise whatever they stumbled over
        if Path(name).expanduser().is_dir():
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise UserError(
                f"the folder {name} holds no model for --with {kind.name} that can be loaded ({reason}); it wants a "
                f"copy of {kind.model}, or what save_pretrained leaves of model and processor"
            ) from None
        raise UserError(
            f"the model {name} is neither a folder here nor available from the Hugging Face hub; check its name and "
            f"the connection, or fetch it elsewhere (hf download {name} --local-dir FOLDER) and say --model FOLDER"
        ) from None
