"""Fingerprints of a backbone, which show whether a checkpoint was trained on it and, if not, what differs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import nn

from cliptune.backbones import introspection
from cliptune.backbones.preprocess import Preprocess
from cliptune.errors import UserError, shown

#: Number of values, evenly spaced, that the fingerprint of a large tensor covers.
SAMPLES_PER_TENSOR = 4096
#: Class names of activation modules.
ACTIVATIONS = ("GELU", "QuickGELU", "SiLU", "ReLU", "GELUTanh")
#: Their token ids reveal vocabulary, cleaning and special tokens of a tokenizer.
PROBE_SENTENCES = ("Zoë's 2 CAT_s", "a <b>dog</b> &amp; fox")


@dataclass(frozen=True)
class Fingerprints:
    """The identity of a backbone: fingerprint of its weights, and settings of its forward pass."""

    name: str
    weights: str
    settings: Mapping[str, Any]

    @classmethod
    def of(
        cls, name: str, model: nn.Module, preprocess: Preprocess, tokenize: Callable[[str], list[int]] | None
    ) -> Fingerprints:
        """Fingerprints of an open_clip model with its preprocessing and tokenizer."""
        pooling = introspection.text_pooling(name, introspection.text_module(model))
        return cls(name, weights_fingerprint(model), forward_settings(model, pooling, preprocess, tokenize))

    @cached_property
    def backbone(self) -> str:
        """Short SHA-256 of weights and settings."""
        content = json.dumps([self.weights, self.settings], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def describe(self) -> dict[str, Any]:
        """Plain values for the header of a checkpoint."""
        return {
            "name": self.name,
            "fingerprint": self.backbone,
            "weights": self.weights,
            "settings": self.settings,
        }

    def check_same(self, recorded: Mapping[str, Any], path: str) -> None:
        """Raise `UserError` unless a checkpoint was trained on this backbone.

        recorded: The backbone in the header of the checkpoint. Older checkpoints record the fingerprint of the weights
        alone; only that is then compared.
        """
        if recorded["fingerprint"] in (self.backbone, self.weights):
            return
        if recorded.get("weights") != self.weights:
            raise UserError(
                f"{path} was trained on backbone {shown(recorded['name'])} ({recorded['fingerprint'][:40]}), not on "
                f"{self.name!r} ({self.backbone}); load that one"
            )
        before, now = _flatten(recorded.get("settings")), _flatten(self.settings)
        other = [f"{key} {shown(before[key])}, not {now[key]}" for key in now if before.get(key, now[key]) != now[key]]
        if other:  # settings that an earlier version did not record are not compared
            raise UserError(
                f"{path} was trained on backbone {shown(recorded['name'])} with the same weights but other settings: "
                f"{'; '.join(other)}; load it with those (--activation, or its folder's open_clip_config.json)"
            )


def weights_fingerprint(model: nn.Module) -> str:
    """Short SHA-256 of names and float32 values in the state dict; large tensors are sampled evenly."""
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        step = max(1, value.numel() // SAMPLES_PER_TENSOR)
        digest.update(value.detach().cpu().contiguous().view(-1)[::step].float().numpy().tobytes())
    return digest.hexdigest()[:16]


def forward_settings(
    model: Any, pooling: tuple[str, int], preprocess: Preprocess, tokenize: Callable[[str], list[int]] | None
) -> dict[str, Any]:
    """The settings that determine features besides the weights: kind, activations, heads, epsilons and pooling of each
    tower, the text tower's mask, image preprocessing, and the token ids of two sentences."""
    text = introspection.text_module(model)
    images = {"size": list(preprocess.size), "resize_mode": preprocess.resize_mode, "fill": preprocess.fill}
    images |= {"interpolation": preprocess.interpolation, "mean": list(preprocess.mean), "std": list(preprocess.std)}
    mask = "none" if getattr(text, "attn_mask", None) is None else "causal"
    kind, end = pooling
    towers = _describe_tower(model.visual), _describe_tower(text.transformer if text is model else text)
    return {
        "image tower": {**towers[0], "pooling": getattr(model.visual, "pool_type", "")},
        "text tower": {**towers[1], "pooling": f"eos {end}" if kind == "eos" else kind, "mask": mask},
        "images": images,
        "tokens": [] if tokenize is None else [_token_ids(tokenize, sentence) for sentence in PROBE_SENTENCES],
    }


def _describe_tower(tower: nn.Module) -> dict[str, Any]:
    """Class, activations, heads and epsilons of a tower, each value once."""
    parts: list[Any] = list(tower.modules())
    acts = {type(part).__name__ + _approximation(part) for part in parts if type(part).__name__ in ACTIVATIONS}
    return {
        "kind": type(tower).__name__,
        "activation": sorted(acts),
        "heads": sorted({part.num_heads for part in parts if isinstance(getattr(part, "num_heads", None), int)}),
        "eps": sorted({float(part.eps) for part in parts if isinstance(getattr(part, "eps", None), float)}),
    }


def _approximation(part: Any) -> str:
    kind = getattr(part, "approximate", "none")
    return "" if kind == "none" else f" {kind}"


def _token_ids(tokenize: Callable[[str], list[int]], sentence: str) -> list[int]:
    try:
        return list(tokenize(sentence))
    except UserError:  # longer than the context
        return []


def _flatten(settings: Any) -> dict[str, Any]:
    """Settings as "part: name" -> value; a damaged header has none."""
    flat: dict[str, Any] = {}
    for part, values in settings.items() if isinstance(settings, Mapping) else ():
        flat |= {f"{part}: {k}": v for k, v in values.items()} if isinstance(values, Mapping) else {part: values}
    return flat
