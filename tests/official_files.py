"""Checkpoint files as the authors' training loop writes them, from tensors under their official names."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cliptune.backbones.backbone import Backbone

CTX = "prompt_learner.ctx"


def state_dict(
    learned: Mapping[str, Tensor],
    backbone: Backbone,
    sentences: Sequence[str] = (),
    *,
    whole: bool = False,
    attributes: int = 0,
) -> dict[str, Tensor]:
    """A model's state dict: learned tensors, the embedded `sentences` around the context, frozen towers if `whole`.

    sentences: one per class, `"a photo of a cat."`; the words at the positions of the context do not matter.
    attributes: Number of ATPrompt's attributes in them, each taken for one token behind its context.
    """
    found = dict(learned)
    if sentences:
        length = backbone.context_length
        ids = torch.tensor([row + [0] * (length - len(row)) for row in map(backbone.prompt_tokenizer, sentences)])
        embedded = backbone.text.token_embedding(ids).detach()
        found["prompt_learner.token_prefix"] = embedded[:, :1]
        at = 1
        for i in range(1, attributes + 1):
            at += len(learned[f"prompt_learner.ctx_att{i}"]) + 1
            found[f"prompt_learner.token_middle{i}"] = embedded[:, at - 1 : at]
        found["prompt_learner.token_suffix"] = embedded[:, at + learned[CTX].shape[-2] :]
    if whole:
        found |= {f"image_encoder.{name}": tensor for name, tensor in backbone.visual.state_dict().items()}
        parts = ("transformer.", "positional_embedding", "ln_final.", "text_projection")
        text = {name: tensor for name, tensor in backbone.text.state_dict().items() if name.startswith(parts)}
        found |= {f"text_encoder.{name}": tensor for name, tensor in text.items()}
        found["logit_scale"] = backbone.model.logit_scale.detach()
    return found


def with_sentences(state: Mapping[str, Tensor], backbone: Backbone, sentences: Sequence[str]) -> dict[str, Tensor]:
    """Add the embeddings of whole sentences, as in MMRL's files."""
    length = backbone.context_length
    ids = torch.tensor([row + [0] * (length - len(row)) for row in map(backbone.prompt_tokenizer, sentences)])
    return {**state, "prompt_embeddings": backbone.text.token_embedding(ids).detach()}


def learner_alone(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of the prompt learner, as CoOp and its successors save it."""
    return {name.removeprefix("prompt_learner."): tensor for name, tensor in state.items()}


def unused_tensors(state: Mapping[str, Tensor], width: int) -> dict[str, Tensor]:
    """KgCoOp's unused parameters."""
    more = {"bias_vectors": (1, width), "meta_net.linear1.weight": (width, width), "meta_net.linear1.bias": (width,)}
    return {**state, **{f"prompt_learner.{name}": torch.zeros(shape) for name, shape in more.items()}}


def second_tower(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Add a second frozen image tower called `name` with other weights."""
    towers = {key: tensor for key, tensor in state.items() if key.startswith("image_encoder.") and "VPT" not in key}
    return {**state, **{key.replace("image_encoder", name, 1): tensor + 1 for key, tensor in towers.items()}}


def save(path: Path, state: Mapping[str, Tensor], *, legacy: bool = False, loop: bool = True, **more: Any) -> Path:
    """Write `model.pth.tar-N` as the training loop does: with epoch, optimizer, schedule (in it an object with the
    optimizer) and the validation result. legacy: in the format before PyTorch 1.6."""
    content: dict[str, Any] = {"state_dict": OrderedDict((name, tensor.clone()) for name, tensor in state.items())}
    if loop:
        content |= training_loop() | {"epoch": 5, "val_result": np.float64(83.25)}
    torch.save(content | more, path, _use_new_zipfile_serialization=not legacy)
    return path


def training_loop() -> dict[str, Any]:
    """The saved states of an optimizer after a step and of a warm-up schedule, which stores its successor object."""
    weight = torch.nn.Parameter(torch.ones(2, 3))
    optimizer = torch.optim.SGD([weight], lr=0.002, momentum=0.9, weight_decay=5e-4)
    successor = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5.0)
    weight.sum().backward()
    optimizer.step()
    successor.step()
    schedule = {"successor": successor, "warmup_epoch": 1, "cons_lr": 1e-5, "base_lrs": [0.002], "last_epoch": 1}
    return {"optimizer": optimizer.state_dict(), "scheduler": schedule}
