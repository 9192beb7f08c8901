"""Whose checkpoint it is, and with which sizes: from the tensors' names and shapes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cliptune import methods
from cliptune.backbones.backbone import Backbone
from cliptune.errors import UserError
from cliptune.official.checkpoint_file import OfficialCheckpoint

CTX = "prompt_learner.ctx"
#: The sentence of VPT's release, whatever the dataset.
VPT_TEMPLATE = "a photo of a {}."


@dataclass(frozen=True)
class TensorLayout:
    """One way in which learned tensors are kept.

    told: whether a file keeps them so, from its names. methods: whose way it is; several where their files are alike.
    also: methods that learn the same tensors, taken when asked for.
    """

    told: Callable[[OfficialCheckpoint], bool]
    methods: tuple[str, ...]
    also: tuple[str, ...] = ()


def _has(*parts: str) -> Callable[[OfficialCheckpoint], bool]:
    """Whether for each part some name, of what is learned or unused, holds it."""
    return lambda held: all(any(part in name for name in (*held.learned, *held.unused)) for part in parts)


#: The first that a file fits is its kind.
LAYOUTS = (
    TensorLayout(_has("ctx_img_lst."), ("dpl",)),
    TensorLayout(_has("ctx_txt_lst."), ("dpl",)),
    TensorLayout(_has("_adapter."), ("restore",)),
    TensorLayout(_has("prompt_learner.proj.", "image_encoder_ori."), ("maple+dapt",), ("maple",)),
    TensorLayout(_has("prompt_learner.proj."), ("maple", "maple+dapt")),
    TensorLayout(_has(CTX, "ZS_image"), ("promptsrc",), ("ivlp",)),
    TensorLayout(_has(CTX, "image_encoder.VPT"), ("ivlp",), ("promptsrc",)),
    TensorLayout(_has("image_encoder.VPT"), ("vpt",)),
    TensorLayout(_has(CTX, "VPT_shallow"), ("language",), ("ivlp", "promptsrc")),
    TensorLayout(_has(CTX, "bias_vectors"), ("kgcoop",), ("coop", "prograd")),
    TensorLayout(_has(CTX, "meta_net."), ("cocoop",)),
    TensorLayout(lambda held: CTX in held.learned and held.learned[CTX].ndim == 3, ("coop",)),
    # A whole model without deep tokens is language prompting of the first layer alone.
    TensorLayout(
        lambda held: CTX in held.learned and bool(held.towers), ("language",), ("coop", "kgcoop", "prograd", "ivlp")
    ),
    TensorLayout(_has(CTX), ("coop", "kgcoop", "prograd")),
)


def detect_method(held: OfficialCheckpoint, method: str = "") -> str:
    """The name of the method whose checkpoint it is.

    method: what the user says it is. Raises `UserError` if that cannot be, or if nothing is said and several can.
    """
    if any(re.search(r"ctx_(img|txt)_lst\.\d+\.\d", name) for name in held.learned):
        raise UserError(
            f"{held.path} is DPL's search, which keeps its scores in files beside it; give alpha_e<epoch>_img.npy for "
            f"the lengths it found, or the checkpoint of the training that followed"
        )
    kind = next((kind for kind in LAYOUTS if kind.told(held)), None)
    if kind is None:
        raise UserError(f"{held.path} holds nothing that a known method learns; known: {', '.join(_known_methods())}")
    if method:
        name = methods.name_of(methods.build(method))  # "dapt" alone is "maple+dapt"
        if name not in (*kind.methods, *kind.also):
            raise UserError(f"{held.path} holds the tensors of {' or '.join(kind.methods)}, not those of {name}")
        return name
    first, *others = kind.methods
    if others:
        raise UserError(
            f"{held.path} may be of {', '.join((first, *others[:-1]))} or {others[-1]}, which keep the same tensors; "
            f"say which with --method {first}"
        )
    return first


def infer_sizes(held: OfficialCheckpoint, backbone: Backbone) -> dict[str, Any]:
    """Hyper-parameters that the tensors tell, by the names that methods give them; a method takes those it has."""
    learned = held.learned

    def count(pattern: str) -> int:
        return sum(re.fullmatch(pattern, name) is not None for name in learned)

    found: dict[str, Any] = {}
    deep_text = count(r"prompt_learner\.compound_prompts_text\.\d+") + count(r"text_encoder\..+VPT_shallow")
    if CTX in learned:
        found |= dict.fromkeys(("n_ctx", "n_ctx_text"), learned[CTX].shape[-2])
        found |= dict.fromkeys(("depth", "depth_text"), 1 + deep_text) | {"class_specific": learned[CTX].ndim == 3}
    first = learned.get("image_encoder.VPT")
    found["n_ctx_image"] = 0 if first is None else first.shape[0]
    found["depth_image"] = 0 if first is None else 1 + count(r"image_encoder\..+VPT_shallow")
    if CTX not in learned:
        found |= {"n_ctx": found["n_ctx_image"], "depth": found["depth_image"], "template": VPT_TEMPLATE}
    for field, tower in (("lengths_text", "txt"), ("lengths_image", "img")):
        rows = {int(name.rpartition(".")[2]): len(t) for name, t in learned.items() if f"ctx_{tower}_lst." in name}
        if rows:
            depth = backbone.text_depth if tower == "txt" else backbone.image_depth
            found[field] = tuple(rows.get(i, 0) for i in range(depth))
    return found


def _known_methods() -> list[str]:
    return sorted({name for kind in LAYOUTS for name in kind.methods})
