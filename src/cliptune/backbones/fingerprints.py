"""Which model a checkpoint belongs to: fingerprints of a backbone, and what they cover."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from cliptune.backbones import introspection
from cliptune.errors import UserError, shown

if TYPE_CHECKING:
    from cliptune.backbones.backbone import Backbone

#: Values of each tensor that its fingerprint looks at, evenly spread.
SAMPLES_PER_TENSOR = 4096
#: Modules whose class says an activation.
ACTIVATIONS = ("GELU", "QuickGELU", "SiLU", "ReLU", "GELUTanh")
#: What a tokenizer makes of these tells vocabulary, cleaning and special tokens.
PROBE_SENTENCES = ("Zoë's 2 CAT_s", "a <b>dog</b> &amp; fox")


def weights_fingerprint(model: nn.Module) -> str:
    """Short SHA-256 of the weights alone: of the name of each tensor in the state dict, and of its values in float32,
    all of them in a small tensor, else `SAMPLES` to twice as many, evenly spread."""
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(
            value.detach()
            .cpu()
            .contiguous()
            .view(-1)[:: max(1, value.numel() // SAMPLES_PER_TENSOR)]
            .float()
            .numpy()
            .tobytes()
        )
    return digest.hexdigest()[:16]


def forward_settings(backbone: Backbone) -> dict[str, Any]:
    """What decides features beside weights, in plain values: of each tower its kind, activations, heads, epsilons and
    pooling, of the text tower also its mask; how images are prepared; and what the tokenizer makes of two sentences."""
    preprocess, text = backbone.preprocess, backbone.text
    images = {"size": list(preprocess.size), "resize_mode": preprocess.resize_mode, "fill": preprocess.fill}
    images |= {"interpolation": preprocess.interpolation, "mean": list(preprocess.mean), "std": list(preprocess.std)}
    mask = "none" if getattr(text, "attn_mask", None) is None else "causal"
    pooling, end = introspection.text_pooling(backbone.name, text)
    words = text is backbone.model
    towers = _tower([backbone.visual]), _tower([text.transformer] if words else [text])
    return {
        "image tower": {**towers[0], "pooling": getattr(backbone.visual, "pool_type", "")},
        "text tower": {**towers[1], "pooling": f"eos {end}" if pooling == "eos" else pooling, "mask": mask},
        "images": images,
        "tokens": [] if backbone.tokenizer is None else [_tokens(backbone, sentence) for sentence in PROBE_SENTENCES],
    }


def backbone_fingerprint(backbone: Backbone) -> str:
    """Short SHA-256 of `of_weights` and `settings`."""
    said = json.dumps([weights_fingerprint(backbone.model), forward_settings(backbone)], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def describe_backbone(backbone: Backbone) -> dict[str, Any]:
    """What a checkpoint says of its backbone."""
    return {
        "name": backbone.name,
        "fingerprint": backbone.fingerprint,
        "weights": weights_fingerprint(backbone.model),
        "settings": forward_settings(backbone),
    }


def check_same_backbone(backbone: Backbone, held: Mapping[str, Any], path: str) -> None:
    """Raise `UserError` unless a checkpoint that says `held` was made for `backbone`.

    Checkpoints written before settings were covered say the fingerprint of the weights alone, which is enough for them.
    """
    weights = weights_fingerprint(backbone.model)
    if held["fingerprint"] in (backbone.fingerprint, weights):
        return
    if held.get("weights") != weights:
        raise UserError(
            f"{path} was trained on backbone {shown(held['name'])} ({held['fingerprint'][:40]}), not on "
            f"{backbone.name!r} ({backbone.fingerprint}); load that one"
        )
    before, now = _flat(held.get("settings")), _flat(forward_settings(backbone))
    other = [f"{key} {shown(before[key])}, not {now[key]}" for key in now if before.get(key, now[key]) != now[key]]
    if other:  # what one version of the library does not say is no difference
        raise UserError(
            f"{path} was trained on backbone {shown(held['name'])} with the same weights, but computed otherwise: "
            f"{'; '.join(other)}; load it that way (--activation, or its folder's open_clip_config.json)"
        )


def _tower(modules: list[nn.Module]) -> dict[str, Any]:
    """Class, activations, heads and epsilons of a tower, each value once."""
    inside: list[Any] = [part for module in modules for part in module.modules()]
    acts = {type(part).__name__ + _approximation(part) for part in inside if type(part).__name__ in ACTIVATIONS}
    return {
        "kind": type(modules[0]).__name__,
        "activation": sorted(acts),
        "heads": sorted({part.num_heads for part in inside if isinstance(getattr(part, "num_heads", None), int)}),
        "eps": sorted({float(part.eps) for part in inside if isinstance(getattr(part, "eps", None), float)}),
    }


def _approximation(part: Any) -> str:
    kind = getattr(part, "approximate", "none")
    return "" if kind == "none" else f" {kind}"


def _tokens(backbone: Backbone, sentence: str) -> list[int]:
    try:
        return list(backbone.encode(sentence))
    except UserError:  # longer than the context
        return []


def _flat(held: Any) -> dict[str, Any]:
    """Settings as "part: name" -> value; what a damaged header has in their place says nothing."""
    flat: dict[str, Any] = {}
    for part, said in held.items() if isinstance(held, Mapping) else ():
        flat |= {f"{part}: {k}": v for k, v in said.items()} if isinstance(said, Mapping) else {part: said}
    return flat
