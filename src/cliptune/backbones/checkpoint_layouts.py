"""Find the CLIP in a checkpoint: the key of its state dict and the prefix of its tensor names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor

from cliptune.errors import UserError
from cliptune.text import listed
from cliptune.user_warnings import warn_user

#: Entries of OpenAI's state dicts that are not weights.
OPENAI_METADATA = ("input_resolution", "context_length", "vocab_size")
#: Segments that module wrappers add to names.
WRAPPER_SEGMENTS = re.compile(r"(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
#: A name up to where the CLIP begins.
CLIP_PREFIX = re.compile(
    r"((?:[^.]+\.)*?)(logit_scale$|visual\.|text\.|text_model\.|vision_model\.|token_embedding\.weight$|ln_final\.)"
)
#: Keys of the model in a checkpoint, in order of preference.
PREFERRED_KEYS = ("state_dict", "model_state_dict", "model", "module", "net")
#: Depth to which nested dicts of a checkpoint are searched.
MAX_NESTING = 4


def extract_clip(loaded: Any, path: str) -> dict[str, Tensor]:
    """The tensors of the CLIP in a checkpoint, under their names there. Raises `UserError` if there is none."""
    if not isinstance(loaded, Mapping):
        raise UserError(
            f"{path} contains a {type(loaded).__name__}, not a state dict of tensors; save model.state_dict()"
        )
    found = dict(_states(loaded))
    if not found:
        raise UserError(f"{path} contains no CLIP: {_describe(loaded)}; save the state_dict() of a whole CLIP")
    order = sorted(found, key=lambda place: (len(place), _rank(place)))
    chosen = order[0]
    others = [".".join(place) for place in order[1:]]
    if chosen and others:
        warn_user(f"{path} contains several models; using {'.'.join(chosen)}, not {', '.join(others)}")
    return found[chosen]


def strip_prefixes(state: Mapping[str, Tensor], path: str) -> dict[str, Tensor]:
    """The tensors of a CLIP under their names without prefixes. Other tensors are dropped with a warning.

    Raises `UserError` for several CLIPs, a single tower, and LoRA or prompt parameters without a CLIP.
    """
    state = {WRAPPER_SEGMENTS.sub("", name): tensor for name, tensor in state.items()}
    lora = next((name for name in state if "lora_" in name), "")
    if lora:
        raise UserError(f"{path} contains LoRA matrices ({lora}); merge them into the model and save its state_dict()")
    if any(name.startswith("prompt_learner.") for name in state):
        raise UserError(f"{path} contains learned prompts of the authors' code, not a backbone: cliptune import {path}")
    roots = _roots(state)
    whole = [root for root in roots if f"{root}logit_scale" in state]
    if len(whole or roots) > 1:
        named = ", ".join(repr(root) for root in whole or roots)
        raise UserError(f"{path} contains several models (names begin with {named}); save one of them alone")
    root = (whole or roots or [""])[0]
    clip = {name[len(root) :]: tensor for name, tensor in state.items() if name.startswith(root)}
    ignored = [name for name in state if not name.startswith(root)]
    if ignored:
        warn_user(f"{path} contains tensors besides the CLIP, which are ignored: {listed(ignored, 3)}")
    _check_towers(clip, path)
    return clip


def _check_towers(state: Mapping[str, Tensor], path: str) -> None:
    """Raise `UserError` unless both towers are there."""
    image = any(name.startswith(("visual.", "vision_model.")) for name in state)
    text = any(name.endswith("token_embedding.weight") or name.startswith(("text.", "text_model.")) for name in state)
    bare = "class_embedding" in state or "conv1.weight" in state
    if image and text:
        return
    if image or (bare and not text):
        tower, loader = "an image tower", "model.visual.load_state_dict"
    elif text:
        tower, loader = "a text tower", "model.load_state_dict"
    else:
        raise UserError(
            f"{path} contains no CLIP in open_clip's, OpenAI's or transformers' naming: it begins with "
            f"{listed(state, 3)}"
        )
    raise UserError(
        f"{path} contains {tower} alone, but a backbone has two towers; load it into a whole CLIP ({loader}) and save "
        f"model.state_dict()"
    )


def _states(content: Mapping[Any, Any], place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict]]:
    """Mappings in a checkpoint that look like the tensors of a CLIP, each with its path of keys."""
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if _resembles_clip(tensors):
        yield place, tensors
    elif len(place) < MAX_NESTING:
        for key, value in content.items():
            if isinstance(value, Mapping):
                yield from _states(value, (*place, str(key)))


def _resembles_clip(names: Iterable[str]) -> bool:
    names = [WRAPPER_SEGMENTS.sub("", name) for name in names]
    parts = ("visual.", "text_model.", "vision_model.", "token_embedding.weight", "prompt_learner.", "lora_")
    return any(part in name for name in names for part in parts) or any(
        name.endswith(("class_embedding", "logit_scale")) for name in names
    )


def _roots(state: Iterable[str]) -> list[str]:
    """The distinct prefixes of CLIP tensor names, in order."""
    found = (CLIP_PREFIX.match(name) for name in state)
    return list(dict.fromkeys(match[1] for match in found if match))


def _rank(place: tuple[str, ...]) -> int:
    """Position of the outermost key in `PREFERRED_KEYS`."""
    return next((i for i, key in enumerate(PREFERRED_KEYS) if place and place[0] == key), len(PREFERRED_KEYS))


def _describe(content: Mapping[Any, Any]) -> str:
    """The first keys with the types of their values."""
    if not content:
        return "it is empty"
    kinds = {key: "tensor" if isinstance(value, Tensor) else type(value).__name__ for key, value in content.items()}
    return f"it contains {listed((f'{key} ({kind})' for key, kind in kinds.items()), 4)}"
