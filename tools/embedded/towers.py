"""The model of pretraining: open_clip's CLIP over a compact token table, with encoders made for short runs on a CPU."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from open_clip import get_tokenizer
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.model import CLIP
from torch import Tensor

from cliptune.backbones.bundled import BUNDLED

CONFIG = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 64, "patch_size": 8, "width": 160, "head_width": 32, "layers": 6},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 4, "layers": 4},
}


class Words:
    """The CLIP tokenizer over the compact table of tokens that pretraining uses: those of `texts`."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.tokenizer = get_tokenizer("ViT-B-32")
        ids = {49406, 49407}
        for text in texts:
            ids.update(self.tokenizer.encode(text))
        # Ascending, so that end-of-text stays the largest and the towers' argmax pooling still finds it.
        self.ids = torch.tensor(sorted(ids))
        self.row = {int(t): i for i, t in enumerate(self.ids)}

    def __call__(self, texts: list[str]) -> Tensor:
        """Rows of the compact table `(b, longest)`, zero after end-of-text."""
        # Punctuation of two tags may meet in a token that neither has; such a rare token is left out.
        known = ([t for t in self.tokenizer.encode(s) if t in self.row][:75] for s in texts)
        lists = [[self.row[t] for t in (49406, *tokens, 49407)] for tokens in known]
        out = torch.zeros(len(lists), max(map(len, lists)), dtype=torch.long)
        for i, row in enumerate(lists):
            out[i, : len(row)] = torch.tensor(row)
        return out


def bundled_weights(name: str, words: Words) -> dict[str, Tensor]:
    """The weights of a bundled backbone over the compact token table, to continue training from."""
    state = BUNDLED[name].state_dict()
    return state | {"token_embedding.weight": state["token_embedding.weight"][words.ids]}


def plain_attention(
    q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, *_: object, **__: object
) -> Tensor:
    """Attention written out: at these lengths the fused CPU kernel's backward takes twice as long."""
    scores = q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1)
    return (scores if attn_mask is None else scores + attn_mask).softmax(-1) @ v


def encode_image(model: CLIP, images: Tensor, keep: Tensor | None = None, half: torch.dtype | None = None) -> Tensor:
    """Unit features `(b, embed_dim)` of images in 0..255; `keep`: the patches to look at; `half`: the blocks' type."""
    v = model.visual
    mean, std = (torch.tensor(t).view(1, 3, 1, 1) for t in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD))
    x = v.conv1((images / 255 - mean) / std).flatten(2).transpose(1, 2)
    pos = v.positional_embedding
    x = x + pos[1:]
    if keep is not None:
        x = x[:, keep]
    x = torch.cat([(v.class_embedding + pos[0]).expand(len(x), 1, -1).to(x.dtype), x], 1)
    x = v.transformer(v.ln_pre(x).to(half or x.dtype))
    return F.normalize(v.ln_post(x[:, 0].float()) @ v.proj, dim=-1)


def encode_text(model: CLIP, tokens: Tensor, half: torch.dtype | None = None) -> Tensor:
    """Unit features `(b, embed_dim)`; cut at the longest caption, which is exact because attention is causal."""
    n = tokens.shape[1]
    x = model.token_embedding(tokens) + model.positional_embedding[:n]
    x = x.to(half or x.dtype)
    x = model.transformer(x, attn_mask=model.attn_mask[:n, :n].to(x.dtype))
    x = model.ln_final(x[torch.arange(len(x)), tokens.argmax(1)].float())
    return F.normalize(x @ model.text_projection, dim=-1)


def clip_loss(image: Tensor, text: Tensor, scale: Tensor, groups: Sequence[str]) -> Tensor:
    """Symmetric InfoNCE; pairs of the same group (caption, or class) are positives of one another."""
    _, same = np.unique(groups, return_inverse=True)
    same = torch.from_numpy(same)
    target = (same[:, None] == same[None, :]).float()
    target /= target.sum(1, keepdim=True)
    logits = scale * image.float() @ text.float().T
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
