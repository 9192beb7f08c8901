"""Where in a checkpoint the CLIP is: keys it is kept under, prefixes of its names, and what it is if it is none."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor

from cliptune.errors import UserError
from cliptune.text import listed

#: What OpenAI's state dicts hold beside weights.
OPENAI_METADATA = ("input_resolution", "context_length", "vocab_size")
#: Segments that wrappers of modules put into names.
WRAPPER_SEGMENTS = re.compile(r"(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
#: A name up to where the CLIP begins.
CLIP_PREFIX = re.compile(
    r"((?:[^.]+\.)*?)(logit_scale$|visual\.|text\.|text_model\.|vision_model\.|token_embedding\.weight$|ln_final\.)"
)
#: Keys of checkpoints in the order in which they are believed to be the model meant.
PREFERRED_KEYS = ("state_dict", "model_state_dict", "model", "module", "net")
#: Nesting of a checkpoint that is looked through.
MAX_NESTING = 4


def extract_clip(loaded: Any, path: str) -> dict[str, Tensor]:
    """The tensors of the CLIP in a checkpoint, as they are named there. Raises `UserError` if there is none."""
    if not isinstance(loaded, Mapping):
        raise UserError(f"{path} holds a {type(loaded).__name__}, not a state dict of tensors; save model.state_dict()")
    found = dict(_states(loaded))
    if not found:
        raise UserError(f"{path} holds no CLIP: {_what(loaded)}; give the state_dict() of a whole CLIP")
    order = sorted(found, key=lambda place: (len(place), _rank(place)))
    chosen = order[0]
    rivals = [".".join(place) for place in order[1:]]
    if chosen and rivals:
        warnings.warn(f"{path} holds several models; taken: {'.'.join(chosen)}, not {', '.join(rivals)}", stacklevel=4)
    return found[chosen]


def strip_prefixes(state: Mapping[str, Tensor], path: str) -> dict[str, Tensor]:
    """`state` under the names that a bare CLIP has. Other tensors are left out, with a warning. Raises `UserError` for
    several CLIPs, half of one, or changes to one."""
    state = {WRAPPER_SEGMENTS.sub("", name): tensor for name, tensor in state.items()}
    lora = next((name for name in state if "lora_" in name), "")
    if lora:
        raise UserError(f"{path} holds LoRA matrices ({lora}); merge them into the model and save its state_dict()")
    if any(name.startswith("prompt_learner.") for name in state):
        raise UserError(f"{path} holds learned prompts of the authors' code, not a backbone: cliptune import {path}")
    roots = _roots(state)
    whole = [root for root in roots if f"{root}logit_scale" in state]
    if len(whole or roots) > 1:
        named = ", ".join(repr(root) for root in whole or roots)
        raise UserError(f"{path} holds several models (names begin with {named}); save one of them alone")
    root = (whole or roots or [""])[0]
    kept = {name[len(root) :]: tensor for name, tensor in state.items() if name.startswith(root)}
    left = [name for name in state if not name.startswith(root)]
    if left:
        warnings.warn(f"{path} holds tensors beside the CLIP, left out: {listed(left, 3)}", stacklevel=4)
    _check_towers(kept, path)
    return kept


def _check_towers(state: Mapping[str, Tensor], path: str) -> None:
    """Raise `UserError` where only one of the towers is there."""
    image = any(name.startswith(("visual.", "vision_model.")) for name in state)
    text = any(name.endswith("token_embedding.weight") or name.startswith(("text.", "text_model.")) for name in state)
    bare = "class_embedding" in state or "conv1.weight" in state
    if image and text:
        return
    if image or (bare and not text):
        have, lack = "an image tower", "model.visual.load_state_dict"
    elif text:
        have, lack = "a text tower", "model.load_state_dict"
    else:
        raise UserError(
            f"{path} holds no CLIP in open_clip's, OpenAI's or transformers' naming: it begins with {listed(state, 3)}"
        )
    raise UserError(
        f"{path} holds {have} alone, but a backbone has two towers; put it into a whole CLIP ({lack}) and save "
        f"model.state_dict()"
    )


def _states(content: Mapping[Any, Any], place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict]]:
    """Mappings in a checkpoint that look like the tensors of a CLIP, each with the keys that lead there."""
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if _like_clip(tensors):
        yield place, tensors
    elif len(place) < MAX_NESTING:
        for key, value in content.items():
            if isinstance(value, Mapping):
                yield from _states(value, (*place, str(key)))


def _like_clip(names: Iterable[str]) -> bool:
    names = [WRAPPER_SEGMENTS.sub("", name) for name in names]
    parts = ("visual.", "text_model.", "vision_model.", "token_embedding.weight", "prompt_learner.", "lora_")
    return any(part in name for name in names for part in parts) or any(
        name.endswith(("class_embedding", "logit_scale")) for name in names
    )


def _roots(state: Iterable[str]) -> list[str]:
    found = (CLIP_PREFIX.match(name) for name in state)
    return list(dict.fromkeys(match[1] for match in found if match))


def _rank(place: tuple[str, ...]) -> int:
    return next((i for i, key in enumerate(PREFERRED_KEYS) if place and place[0] == key), len(PREFERRED_KEYS))


def _what(content: Mapping[Any, Any]) -> str:
    """The first keys, with what lies under them."""
    if not content:
        return "it is empty"
    kinds = {key: "tensor" if isinstance(value, Tensor) else type(value).__name__ for key, value in content.items()}
    return f"it holds {listed((f'{key} ({kind})' for key, kind in kinds.items()), 4)}"
