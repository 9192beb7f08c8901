"""Detect the method of a checkpoint and its sizes from the names and shapes of tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from cliptune import methods
from cliptune.backbones.backbone import Backbone
from cliptune.errors import UserError
from cliptune.official.checkpoint_file import OfficialCheckpoint

CTX = "prompt_learner.ctx"
#: DePT's classifier, and ATPrompt's context before the first attribute.
CLASSIFIER = "linear_probe_proj.weight"
ATTRIBUTE = "prompt_learner.ctx_att1"
TABLE = "representation_learner.compound_rep_tokens"
#: HiCroPL's sentences of a language model, as `TensorLayout.needed`.
SENTENCES = "descriptions", "the JSON file of sentences about the classes"
#: The sentence in VPT's released code for all datasets.
VPT_TEMPLATE = "a photo of a {}."


@dataclass(frozen=True)
class TensorLayout:
    """Names of the tensors that methods save.

    matches: Whether a file has the layout. methods: The methods with this layout; several if their files are the same.
    also: Further methods with the same learned tensors, which the user can choose. unseen: Fields that change
    predictions and that no tensor shows. needed: Fields without which there are no predictions, each
    with its content in words.
    """

    matches: Callable[[OfficialCheckpoint], bool]
    methods: tuple[str, ...]
    also: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    needed: tuple[tuple[str, str], ...] = ()


def _has(*parts: str) -> Callable[[OfficialCheckpoint], bool]:
    """A function that checks whether each part occurs in the name of a learned or unused tensor."""
    return lambda saved: all(any(part in name for name in (*saved.learned, *saved.unused)) for part in parts)


def _tokens_per_class(saved: OfficialCheckpoint) -> bool:
    """Whether the network makes as many tokens as the context has, and not one for all of them."""
    context, outer = saved.learned.get(CTX), saved.learned.get("prompt_learner.meta_net.linear2.weight")
    return context is not None and outer is not None and len(outer) == context.numel() > context.shape[-1]


#: The first layout that matches a file is used.
LAYOUTS = (
    TensorLayout(_has("representation_learner.srra_"), ("mmrlpp",), unseen=("layers", "alpha", "beta")),
    TensorLayout(_has("representation_learner."), ("mmrl",), unseen=("layers", "alpha")),
    TensorLayout(_has("image_encoder.VPT", "VPT_image_trans."), ("promptkd",)),
    TensorLayout(_has("w_lora_A"), ("clip_lora",)),
    TensorLayout(_has("adapter_image.fc.", "prompt_learner.proj."), ("coprompt",)),
    TensorLayout(_has("cross_prompts_visual."), ("hicropl",), unseen=("compat",), needed=(SENTENCES,)),
    TensorLayout(_has("ctx_img_lst."), ("dpl",)),
    TensorLayout(_has("ctx_txt_lst."), ("dpl",)),
    TensorLayout(_has(CLASSIFIER, ATTRIBUTE), ("coop+atprompt+dept",)),
    TensorLayout(_has(CLASSIFIER, "prompt_learner.proj."), ("maple+dept",)),
    TensorLayout(_has(CLASSIFIER, "bias_vectors"), ("kgcoop+dept",), ("coop+dept", "prograd+dept")),
    TensorLayout(_has(CLASSIFIER, "meta_net."), ("cocoop+dept",)),
    TensorLayout(_has(CLASSIFIER, CTX), ("coop+dept",), ("kgcoop+dept", "prograd+dept")),
    TensorLayout(_has(ATTRIBUTE, "prompt_learner.proj."), ("maple+atprompt",)),
    TensorLayout(_has(ATTRIBUTE, "meta_net."), ("cocoop+atprompt",)),
    TensorLayout(_has(ATTRIBUTE), ("coop+atprompt",), ("kgcoop+atprompt", "prograd+atprompt")),
    TensorLayout(_has("_adapter."), ("restore",)),
    TensorLayout(_has("prompt_learner.proj.", "image_encoder_ori."), ("maple+dapt",), ("maple",)),
    TensorLayout(_has("prompt_learner.proj."), ("maple", "maple+dapt")),
    TensorLayout(_has(CTX, "ZS_image"), ("promptsrc",), ("ivlp",)),
    TensorLayout(_has(CTX, "image_encoder.VPT"), ("ivlp",), ("promptsrc",)),
    TensorLayout(_has("image_encoder.VPT"), ("vpt",)),
    TensorLayout(_has(CTX, "VPT_shallow"), ("language",), ("ivlp", "promptsrc")),
    TensorLayout(_has(CTX, "bias_vectors"), ("kgcoop",), ("coop", "prograd")),
    TensorLayout(_has("text_feature_residuals"), ("taskres",)),
    TensorLayout(_tokens_per_class, ("tcp",)),
    TensorLayout(_has(CTX, "meta_net."), ("cocoop",)),
    TensorLayout(lambda saved: CTX in saved.learned and saved.learned[CTX].ndim == 3, ("coop",)),
    # A whole model without deep tokens has language prompts in the first layer only.
    TensorLayout(
        lambda saved: CTX in saved.learned and bool(saved.towers), ("language",), ("coop", "kgcoop", "prograd", "ivlp")
    ),
    TensorLayout(_has(CTX), ("coop", "kgcoop", "prograd")),
)


def detect_method(saved: OfficialCheckpoint, method: str = "") -> str:
    """The name of the method that a checkpoint belongs to.

    method: The user's choice, or "". Raises `UserError` if it does not match, or if there is no choice and several
    methods match.
    """
    if any(re.search(r"ctx_(img|txt)_lst\.\d+\.\d", name) for name in saved.learned):
        raise UserError(
            f"{saved.path} is from DPL's search, whose scores are in other files; use alpha_e<epoch>_img.npy in its "
            f"folder for the lengths it found, or the checkpoint of the training that followed"
        )
    kind = layout_of(saved)
    if kind is None:
        raise UserError(
            f"{saved.path} contains no tensors of a known method; known methods: {', '.join(_known_methods())}"
        )
    if method:
        name = methods.name_of(methods.build(method))  # "dapt" alone is "maple+dapt"
        if name not in (*kind.methods, *kind.also):
            raise UserError(f"{saved.path} contains the tensors of {' or '.join(kind.methods)}, not those of {name}")
        return name
    first, *others = kind.methods
    if others:
        raise UserError(
            f"{saved.path} may be of {', '.join((first, *others[:-1]))} or {others[-1]}, which save the same tensors; "
            f"choose one, such as --method {first}"
        )
    return first


def layout_of(saved: OfficialCheckpoint) -> TensorLayout | None:
    """The layout of a file, None for a file of no known method."""
    return next((kind for kind in LAYOUTS if kind.matches(saved)), None)


def infer_sizes(saved: OfficialCheckpoint, backbone: Backbone) -> dict[str, Any]:
    """Hyper-parameters that the tensors determine, by the field names of all methods."""
    learned = saved.learned

    def count(pattern: str) -> int:
        return sum(re.fullmatch(pattern, name) is not None for name in learned)

    found: dict[str, Any] = {}
    deep_text = count(r"prompt_learner\.compound_prompts_text\.\d+") + count(r"text_encoder\..+VPT_shallow")
    if CTX in learned:
        found |= dict.fromkeys(("n_ctx", "n_ctx_text"), learned[CTX].shape[-2])
        found |= dict.fromkeys(("depth", "depth_text"), 1 + deep_text) | {"class_specific": learned[CTX].ndim == 3}
    if CTX in learned and ATTRIBUTE in learned:
        before, own = len(learned[ATTRIBUTE]), learned[CTX].shape[-2]
        found["n_ctx_attribute"] = 0 if before == own else before
    if layers := count(r"prompt_learner\.cross_prompts_visual\.\d+"):
        pools = count(r"prompt_learner\.text_proxy_token\.\d+")
        found |= {"depth": layers, "cross_layer": pools}
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
    if TABLE in learned:
        found |= _sizes_of_representations(learned, backbone)
    return found | dict(saved.settings)


def _sizes_of_representations(learned: Mapping[str, Tensor], backbone: Backbone) -> dict[str, Any]:
    """Sizes of MMRL and MMRL++; as many layers as take tokens, the upper ones of the shorter tower."""
    mapped = re.compile(r"representation_learner\..+r2tproj\.(srra\.)?\d+\.bias")
    count, depth = sum(map(bool, map(mapped.fullmatch, learned))), min(backbone.image_depth, backbone.text_depth)
    found = {
        "n_ctx": learned[TABLE].shape[0],
        "table_width": learned[TABLE].shape[-1],
        "layers": tuple(range(max(1, depth - count + 1), depth + 1)),
    }
    ranks = {"rank": "representation_learner.srra_r2tproj.srra.0.A", "projection_rank": "image_encoder.A"}
    return found | {field: learned[name].shape[-1] for field, name in ranks.items() if name in learned}


def _known_methods() -> list[str]:
    return sorted({name for kind in LAYOUTS for name in kind.methods})
