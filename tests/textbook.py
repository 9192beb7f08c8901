"""A plain reference implementation of prompted CLIP: the equations written out, without any optimisation.

77 positions, every class in full, the `nn.MultiheadAttention` of the open_clip model, text recomputed for every
batch, one image pass per view, Grad-CAM by a backward pass through the whole model. The library must reproduce these
numbers; `benchmarks/` measures the speed-up. Only prompts carry gradients: freeze the model first
(`requires_grad_(False)`, `eval()`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LENGTH = 77


def tokens(encode: Callable[[str], list[int]], texts: Sequence[str]) -> Tensor:
    """Token ids `(n, 77)`, zero-padded, of `texts`; `encode` gives start-of-text to end-of-text."""
    rows = [encode(text) for text in texts]
    return torch.tensor([row + [0] * (LENGTH - len(row)) for row in rows])


def prompted(encode: Callable[[str], list[int]], words: str, names: Sequence[str]) -> tuple[Tensor, list[int]]:
    """Ids `(n, 77)` of `"<words> <name>."`, and the number of tokens of each name alone."""
    return tokens(encode, [f"{words} {name}." for name in names]), [len(encode(name)) - 2 for name in names]


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=-1, keepdim=True)


# -- towers -----------------------------------------------------------------------------------------------------------


def embedded(clip: nn.Module, ids: Tensor, context: Tensor | None, position: str, lengths: Sequence[int]) -> Tensor:
    """Layer-0 tokens `(n, 77, width)`, before positional embeddings.

    context: `(n_ctx, width)` or `(n, n_ctx, width)`; it replaces the placeholder words of `ids` ("end"), or surrounds
    the name ("middle", half of it before, rounded down), or follows it ("front").
    """
    x = clip.token_embedding(ids)
    if context is None:
        return x
    rows = []
    for i in range(len(ids)):
        vectors = context if context.ndim == 2 else context[i]
        m, length = len(vectors), 0 if position == "end" else lengths[i]
        before = {"end": m, "middle": m // 2, "front": 0}[position]
        start, name, rest = x[i, :1], x[i, 1 + m : 1 + m + length], x[i, 1 + m + length :]
        rows.append(torch.cat([start, vectors[:before], name, vectors[before:], rest]))
    return torch.stack(rows)


#: Per layer: token matrices `(m, width)` whose keys and values are prepended, and the weights of their attentions.
PrefixKeyValues = Sequence[tuple[Sequence[Tensor], Tensor]]


def attended(block: nn.Module, x: Tensor, options: Sequence[Tensor], weights: Tensor, mask: Tensor | None) -> Tensor:
    """DPL's block: x + sum_c a_c MHA(LN1 x, LN1 [x; p_c]), one full attention per option, then the unchanged MLP."""
    mixed = torch.zeros_like(x)
    for tokens, weight in zip(options, weights, strict=True):
        seen = block.ln_1(torch.cat([x, tokens.expand(len(x), -1, -1)], dim=1))
        shown = None if mask is None else F.pad(mask, (0, len(tokens)))
        mixed = mixed + weight * block.attn(block.ln_1(x), seen, seen, need_weights=False, attn_mask=shown)[0]
    x = x + mixed
    return x + block.mlp(block.ln_2(x))


def text_features(
    clip: nn.Module,
    ids: Tensor,
    context: Tensor | None = None,
    deep: Sequence[Tensor] = (),
    position: str = "end",
    lengths: Sequence[int] = (),
    prefix_kv: PrefixKeyValues = (),
) -> Tensor:
    """Un-normalised features `(n, d)` of sentences `(n, 77)`; `deep` replaces positions 1..m at layers 1, 2, ..."""
    return from_tokens(clip, embedded(clip, ids, context, position, lengths), ids.argmax(-1), deep, prefix_kv)


def from_tokens(
    clip: nn.Module, x: Tensor, end: Tensor, deep: Sequence[Tensor] = (), prefix_kv: PrefixKeyValues = ()
) -> Tensor:
    """Un-normalised features `(n, d)` of layer-0 tokens `(n, 77, width)`, read at positions `end` `(n,)`."""
    x = x + clip.positional_embedding
    for i, block in enumerate(clip.transformer.resblocks):
        if 1 <= i <= len(deep):
            own = deep[i - 1]
            x = torch.cat([x[:, :1], own.expand(len(x), -1, -1), x[:, 1 + len(own) :]], dim=1)
        x = attended(block, x, *prefix_kv[i], clip.attn_mask) if prefix_kv else block(x, attn_mask=clip.attn_mask)
    x = clip.ln_final(x)
    return x[torch.arange(len(x)), end] @ clip.text_projection


def image_tokens(
    clip: nn.Module, images: Tensor, prompts: Sequence[Tensor] = (), prefix_kv: PrefixKeyValues = ()
) -> tuple[Tensor, Tensor]:
    """Features `(b, d)`, un-normalised, and the last block's LN1 `(b, tokens, width)`, which Grad-CAM needs."""
    vit = clip.visual
    patches = vit.conv1(images).flatten(2).transpose(1, 2)
    x = torch.cat([vit.class_embedding.expand(len(patches), 1, -1), patches], dim=1) + vit.positional_embedding
    fixed = x.shape[1]
    if prompts:
        x = torch.cat([x, prompts[0].expand(len(x), -1, -1)], dim=1)
    x = vit.ln_pre(x)
    for i, block in enumerate(vit.transformer.resblocks):
        if 1 <= i < len(prompts):
            x = torch.cat([x[:, :fixed], prompts[i].expand(len(x), -1, -1)], dim=1)
        normed = block.ln_1(x)
        if prefix_kv:
            x = attended(block, x, *prefix_kv[i], None)
            continue
        x = x + block.attn(normed, normed, normed, need_weights=False)[0]
        x = x + block.mlp(block.ln_2(x))
    return vit.ln_post(x[:, 0]) @ vit.proj, normed


def image_features(
    clip: nn.Module, images: Tensor, prompts: Sequence[Tensor] = (), prefix_kv: PrefixKeyValues = ()
) -> Tensor:
    """Un-normalised features `(b, d)`; `prompts[0]` is appended to the patches, `prompts[i]` replaces it at layer i."""
    if hasattr(clip.visual, "conv1") and hasattr(clip.visual, "class_embedding"):
        return image_tokens(clip, images, prompts, prefix_kv)[0]
    return clip.encode_image(images)


def projected(text: Sequence[Tensor], projections: Sequence[Callable[[Tensor], Tensor]]) -> list[Tensor]:
    """MaPLe's coupling: the image tokens of each layer of the image tower from the text tokens of the same layer."""
    return [project(own) for own, project in zip(text, projections, strict=False)]


# -- training steps: the loss of one batch -------------------------------------------------------------------------


def coop_step(
    clip: nn.Module,
    ids: Tensor,
    context: Tensor,
    images: Tensor,
    labels: Tensor,
    position: str = "end",
    lengths: Sequence[int] = (),
) -> tuple[Tensor, Tensor]:
    """Loss and logits `(b, C)` of CoOp."""
    text = unit(text_features(clip, ids, context, (), position, lengths))
    logits = clip.logit_scale.exp() * unit(image_features(clip, images)) @ text.T
    return F.cross_entropy(logits, labels), logits


def cocoop_step(
    clip: nn.Module,
    ids: Tensor,
    context: Tensor,
    shift: Callable[[Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
) -> tuple[Tensor, Tensor]:
    """Loss and logits `(b, C)` of CoCoOp; `shift` turns a normalised image feature into the shift of `context`."""
    rows = []
    for image in unit(image_features(clip, images)):
        text = unit(text_features(clip, ids, context + shift(image)))
        rows.append(clip.logit_scale.exp() * text @ image)
    logits = torch.stack(rows)
    return F.cross_entropy(logits, labels), logits


def maple_step(
    clip: nn.Module,
    ids: Tensor,
    text: Sequence[Tensor],
    projections: Sequence[Callable[[Tensor], Tensor]],
    images: Tensor,
    labels: Tensor,
) -> tuple[Tensor, Tensor]:
    """Loss and logits `(b, C)` of MaPLe; `text` contains the text tokens of layers 0, 1, ..."""
    features = unit(text_features(clip, ids, text[0], text[1:]))
    image = unit(image_features(clip, images, projected(text, projections)))
    logits = clip.logit_scale.exp() * image @ features.T
    return F.cross_entropy(logits, labels), logits


def promptsrc_step(
    clip: nn.Module,
    ids: Tensor,
    text: Sequence[Tensor],
    image: Sequence[Tensor],
    images: Tensor,
    labels: Tensor,
    frozen: Tensor,
) -> tuple[Tensor, Tensor]:
    """Loss and logits `(b, C)` of PromptSRC; `text` and `image` contain the tokens of layers 0, 1, ...

    frozen: `(C, d)`, normalised class features of the model without prompts, computed before training.
    """
    scale = clip.logit_scale.exp()
    features = unit(text_features(clip, ids, text[0], text[1:]))
    tuned = unit(image_features(clip, images, image))
    with torch.no_grad():
        plain = unit(image_features(clip, images))
    logits, teacher = scale * tuned @ features.T, (scale * plain @ frozen.T).softmax(-1)
    loss = F.cross_entropy(logits, labels) + (teacher * (teacher.log() - logits.log_softmax(-1))).mean()
    return loss + 25 * (features - frozen).abs().mean() + 10 * (tuned - plain).abs().mean(), logits


def dapt_step(
    clip: nn.Module,
    ids: Tensor,
    background_ids: Tensor,
    text: Sequence[Tensor],
    projections: Sequence[Callable[[Tensor], Tensor]],
    images: Tensor,
    labels: Tensor,
    masks: Tensor,
    decoupling: bool,
    stray: int = 7,
) -> tuple[Tensor, Tensor]:
    """Loss and logits `(b, C + stray)` of DAPT on MaPLe as released, in its pull-push phase or its alignment phase.

    background_ids: `(p, 77)`, the background sentences, of which the first `stray` compete as classes.
    masks: `(b, 1, H, W)`, 1 = foreground.
    """
    scale, prompts = clip.logit_scale.exp(), projected(text, projections)
    classes = text_features(clip, ids, text[0], text[1:])
    backgrounds = text_features(clip, background_ids, None, text[1:])
    everything = unit(torch.cat([classes, backgrounds]))
    foreground, background = everything[: len(ids) + stray], everything[len(ids) + stray :]
    u = unit(image_features(clip, images, prompts))
    u_fg = unit(image_features(clip, images * masks, prompts))
    u_bg = unit(image_features(clip, images * (1 - masks), prompts))
    logits = scale * u @ foreground.T
    loss = F.cross_entropy(logits, labels)
    if decoupling:
        near, far = (u - u_fg.detach() + 1e-6).norm(dim=-1), (u - u_bg.detach() + 1e-6).norm(dim=-1)
        return loss + 0.8 * (1.5 + near - far).clamp(min=0).mean(), logits
    loss_fg = F.cross_entropy(scale * u_fg.detach() @ foreground.T, labels)
    cosines = u_bg @ background.T
    loss_bg = F.cross_entropy(scale * cosines, cosines.argmax(-1))
    return loss + 0.1 * loss_fg + 0.5 * loss_bg, logits


def gradcam(
    clip: nn.Module,
    ids: Tensor,
    background_ids: Tensor,
    text: Sequence[Tensor],
    projections: Sequence[Callable[[Tensor], Tensor]],
    images: Tensor,
    labels: Tensor,
) -> Tensor:
    """Saliency `(b, 1, H, W)` in [0, 1) of each image's label, by a backward pass through the whole model.

    Normalised by the batch's maximum, as released; a mask is where it is at least one half.
    """
    classes = text_features(clip, ids, text[0], text[1:])
    backgrounds = text_features(clip, background_ids, None, text[1:])
    features, normed = image_tokens(clip, images, projected(text, projections))
    normed.retain_grad()
    logits = clip.logit_scale.exp() * unit(features) @ unit(torch.cat([classes, backgrounds])).T
    (logits[torch.arange(len(labels)), labels].sum() / logits.numel()).backward()
    grid = clip.visual.grid_size
    patches = slice(1, 1 + grid[0] * grid[1])
    weights = normed.grad[:, patches].mean(1)
    cam = torch.einsum("bpd,bd->bp", normed.detach()[:, patches], weights).relu()
    cam = F.interpolate(cam.reshape(-1, 1, *grid), images.shape[-2:], mode="bilinear", align_corners=True)
    return cam / (cam.max() + 1e-6)
