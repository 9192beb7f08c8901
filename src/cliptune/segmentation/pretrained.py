"""Load segmentation models of transformers from the Hugging Face hub or a folder."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cliptune.errors import UserError
from cliptune.user_warnings import warn_user


@dataclass(frozen=True)
class ModelFamily:
    """A family of models that one value of `--with` selects.

    Args:
        name: Name of the family.
        model: Default model on the hub.
        model_class: Class of the model in transformers.
        processor_class: Class of the processor in transformers.
        types: Compatible `model_type` values.
    """

    name: str
    model: str
    model_class: str
    processor_class: str
    types: tuple[str, ...]


@dataclass(frozen=True)
class PretrainedModel:
    """A model in evaluation mode with its processor. family, name: What it was loaded as."""

    family: ModelFamily
    name: str
    model: Any
    processor: Any

    @property
    def device(self) -> torch.device:
        return self.model.device

    def to_inputs(self, prepared: Mapping[str, Any]) -> dict[str, Tensor]:
        """Move tensors to the model's device, and floating-point ones to its precision."""
        return {
            name: value.to(self.device, self.model.dtype if value.is_floating_point() else value.dtype)
            for name, value in prepared.items()
            if isinstance(value, Tensor)
        }


def load_pretrained(family: ModelFamily, name: str = "", device: torch.device | str = "cpu") -> PretrainedModel:
    """Load the model `name` from the hub or a folder; by default the family's default model.

    Raises `UserError` if transformers is missing or too old, or if there is no such model of this family.
    """
    name = name or family.model
    try:
        transformers = importlib.import_module("transformers")
    except ImportError:
        raise UserError('this needs transformers, which is not installed: pip install "cliptune[masks]"') from None
    missing = [c for c in (family.model_class, family.processor_class) if not hasattr(transformers, c)]
    if missing:
        raise UserError(
            f"transformers {transformers.__version__} has no {missing[0]}, which --with {family.name} needs; "
            f'update it: pip install --upgrade "cliptune[masks]"'
        )
    place: Any = Path(name).expanduser() if Path(name).expanduser().is_dir() else name
    if place is name and not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        raise UserError(f"no model folder at {name}; check --model")
    with _quiet_libraries(transformers):
        found = _explain_errors(family, name, lambda: transformers.PretrainedConfig.get_config_dict(place)[0]).get(
            "model_type"
        )
        if found not in family.types:
            actual = f"is a {found} model" if found else "has no model_type"
            raise UserError(f"--model {name} {actual}; --with {family.name} takes {', '.join(family.types)}")
        processor = _explain_errors(
            family, name, lambda: getattr(transformers, family.processor_class).from_pretrained(place)
        )
        model_class = getattr(transformers, family.model_class)
        model, info = _explain_errors(
            family, name, lambda: model_class.from_pretrained(place, output_loading_info=True)
        )
    missing = sorted(info["missing_keys"])
    if missing:
        warn_user(
            f"{name} does not contain {len(missing)} of the model's tensors, such as {missing[0]}; they are random"
        )
    return PretrainedModel(family, name, model.eval().requires_grad_(False).to(device), processor)


@contextmanager
def _quiet_libraries(transformers: Any) -> Iterator[None]:
    """Silence messages and progress bars of the libraries, except those of downloads, inside the block."""
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


def _explain_errors(family: ModelFamily, name: str, load: Callable[[], Any]) -> Any:
    """Call `load` and turn its errors, which are many lines long, into a `UserError`."""
    try:
        return load()
    except Exception as error:  # loaders raise errors of many types for a wrong or damaged folder
        if Path(name).expanduser().is_dir():
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise UserError(
                f"the folder {name} contains no model for --with {family.name} that can be loaded ({reason}); it needs "
                f"a copy of {family.model}, or the files that save_pretrained of model and processor writes"
            ) from None
        raise UserError(
            f"the model {name} is neither a folder here nor available from the Hugging Face hub; check its name and "
            f"the connection, or download it elsewhere (hf download {name} --local-dir FOLDER) and use --model FOLDER"
        ) from None
