"""open_clip's vision transformer with learned tokens per layer and changed weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cliptune.backbones.blocks import FrozenBlock, FrozenProjection, at_layer
from cliptune.backbones.changed_block import changed_blocks
from cliptune.backbones.frozen_norm import FrozenNorm
from cliptune.backbones.frozen_tensor import FrozenTensor, compute_dtype
from cliptune.errors import UserError
from cliptune.types import ImageContext, ImageOutputs, MadeTokens, Prompts

#: Bytes of a block's largest activation up to which images pass the tower on the CPU together. Larger ones leave the
#: caches, and from 32 MiB on, glibc asks the system for each of them again.
PART_BYTES = 20 * 2**20


class ImageTower:
    """open_clip's vision transformer on normalised images, with the image parts of `Prompts`.

    Tokens that the next layer replaces are attended to but not computed further. The last block is computed for the
    tokens that are read alone, usually the class token, and nothing before the first block has an autograd graph.
    Results equal those of the plain computation up to rounding.
    """

    def __init__(self, module: Any, onednn: frozenset[torch.dtype] = frozenset()):
        self.module = module
        self.blocks = [FrozenBlock(block, onednn) for block in module.transformer.resblocks]
        self._patches = FrozenTensor(module.conv1.weight)
        self._class, self._positions = FrozenTensor(module.class_embedding), FrozenTensor(module.positional_embedding)
        self._ln_pre, self._ln_post = FrozenNorm(module.ln_pre), FrozenNorm(module.ln_post)
        self._projection = FrozenProjection(module.proj)

    def __call__(self, images: Tensor, prompts: Prompts | None = None) -> Tensor:
        """Un-normalised features `(b, embed_dim)` of `images` `(b, 3, H, W)`."""
        return self.encode(images, prompts or Prompts()).features

    def encode(
        self, images: Tensor, prompts: Prompts, *, tokens: bool = False, patches: bool = False, blocks: bool = False
    ) -> ImageOutputs:
        """Features of `images` `(b, 3, H, W)`, and on request what `ImageOutputs` describes."""
        alone = not (tokens or patches or blocks or any(prompts.image_made))
        if alone and (parts := self._parts(images, prompts)) > 1:
            return ImageOutputs(torch.cat([self(part, prompts) for part in images.tensor_split(parts)]))
        record: list[Tensor] = []
        made: list[Tensor] = []
        x = self._before_last(images, prompts, record if blocks else None, made)
        out = self.from_last(x, self.norm_last(x, prompts), prompts, tokens=tokens, patches=patches)
        return replace(out, blocks=(*record, *out.blocks) if blocks else (), made=tuple(made))

    def _parts(self, images: Tensor, prompts: Prompts) -> int:
        """Number of parts in which `images` pass the tower: several without a graph on the CPU, where it is faster."""
        graph = torch.is_grad_enabled() and (images.requires_grad or not prompts.fixed_image)
        # A traced tower would take this number of images alone.
        traced = torch.jit.is_tracing() or torch.compiler.is_compiling()  # type: ignore[attr-defined]
        if graph or traced or images.device.type != "cpu":
            return 1
        row = self.module.transformer.resblocks[0].mlp.c_fc.out_features * compute_dtype(images).itemsize
        most = PART_BYTES // (len(self.module.positional_embedding) * row)
        return -(-len(images) // max(1, most))

    def before_last(self, images: Tensor, prompts: Prompts) -> Tensor:
        """Input of the last block, `(b, 1 + patches + n, width)`: class token, patches, the tokens of that layer."""
        return self._before_last(images, prompts, None, [])

    def from_last(
        self, x: Tensor, normed: Tensor, prompts: Prompts, *, tokens: bool = False, patches: bool = False
    ) -> ImageOutputs:
        """Features from the last block's input `x` and its LN1 output `normed`, and on request tokens and patches;
        `blocks` has the class token after the last block."""
        first, patch_count = 1, self.module.grid_size[0] * self.module.grid_size[1]
        # The rows that the last block computes: the class token, then patches and learned tokens if they are read.
        keep = slice(0, x.shape[1] if tokens else first + patch_count) if tokens or patches else slice(0, first)
        read = self._last_block(self._last(prompts), x, normed, prompts, keep)
        after = self._ln_post(read, self._norm(prompts, "ln_post"))
        projected = self._projection(after[:, : first + patch_count if patches else first])
        return ImageOutputs(
            projected[:, 0],
            after[:, first + patch_count :] if tokens and x.shape[1] > first + patch_count else None,
            projected[:, first:] if patches else None,
            (read[:, 0],),
        )

    def norm_last(self, x: Tensor, prompts: Prompts) -> Tensor:
        """LN1 of the last block for its input `x`."""
        return self._last(prompts).norm1(x)

    def values(self, x: Tensor, prompts: Prompts) -> Tensor:
        """Values of the last block's attention for its input `x`, projected like the class token's output:
        `(b, n, embed_dim)` (MaskCLIP)."""
        block = self._last(prompts)
        return self._project(block.out(block.kv(block.norm1(x)).chunk(2, -1)[1]), prompts)

    def _before_last(self, images: Tensor, prompts: Prompts, record: list[Tensor] | None, made: list[Tensor]) -> Tensor:
        """Input of the last block; appends the class token after each block before it to `record`, if given, and what
        functions of `Prompts.image_made` return to read to `made`."""
        ln_pre = self._norm(prompts, "ln_pre")
        with torch.no_grad():  # nothing before the prompts trains
            x = self._embed(images)
            if ln_pre is None:
                x = self._ln_pre(x)
        if ln_pre is not None:
            x = self._ln_pre(x, ln_pre)
        blocks, carried, fixed = changed_blocks(self.blocks, prompts.image_change), 0, x.shape[1]
        for i, block in enumerate(blocks):
            own = prompts.image[i] if i < len(prompts.image) else None
            extra = None
            if own is not None:
                own = own.to(x.dtype)
                if i == 0 and prompts.input_norm:  # `ln_pre` acts on each token alone
                    own = self._ln_pre(own, ln_pre)
                if carried and prompts.mix != 1:
                    own = prompts.mix * own + (1 - prompts.mix) * x[:, -carried:]
                x = x[:, : x.shape[1] - carried]
                if self._replaced(i + 1, prompts):
                    extra, carried = own, 0
                else:  # these pass this block and the next
                    x, carried = torch.cat([x, own.expand(x.shape[0], -1, -1)], 1), own.shape[-2]
            if (make := prompts.image_made[i] if i < len(prompts.image_made) else None) is not None:
                new = self._make(make, x[:, :fixed], prompts)
                made.append(new.read)
                tokens = new.tokens.to(x.dtype)
                extra = tokens if extra is None else torch.cat([extra.expand(x.shape[0], -1, -1), tokens], 1)
            if i == len(blocks) - 1:
                x = x if extra is None else torch.cat([x, extra], 1)
            else:
                x = block(x, extra, at_layer(prompts.image_kv, i))
                if record is not None:
                    record.append(x[:, 0])
        return x

    def _embed(self, images: Tensor) -> Tensor:
        """Class token and patches `(b, 1 + patches, width)` of `images` `(b, 3, H, W)`, with positional embeddings."""
        dtype, conv = compute_dtype(images), self.module.conv1
        patches = F.conv2d(images.to(dtype), self._patches.to(dtype), conv.bias, conv.stride, conv.padding)
        first = self._class.to(dtype).expand(patches.shape[0], 1, -1)  # `len` would be constant in a traced tower
        return torch.cat([first, patches.flatten(2).transpose(1, 2)], 1) + self._positions.to(dtype)

    def _make(self, make: Callable[[Tensor, ImageContext], MadeTokens], x: Tensor, prompts: Prompts) -> MadeTokens:
        if prompts.image_context is None:
            raise UserError(
                "these prompts make image tokens from the class features, which were not given; use the model's "
                "features or logits, or TunedModel.prompts_for"
            )
        return make(x, prompts.image_context)

    def _replaced(self, layer: int, prompts: Prompts) -> bool:
        """Whether the tokens that reach `layer` are replaced there, so that no block has to compute them."""
        last = min(len(prompts.image), len(self.blocks)) - 1
        return layer <= last and prompts.image[layer] is not None and prompts.mix == 1

    def _last(self, prompts: Prompts) -> FrozenBlock:
        return changed_blocks(self.blocks, prompts.image_change)[-1]

    def _last_block(self, block: FrozenBlock, x: Tensor, normed: Tensor, prompts: Prompts, keep: slice) -> Tensor:
        """The tokens `keep` after the last block, from its input `x` and LN1 output `normed`: `(b, n, width)`."""
        k, v = block.kv(normed).chunk(2, -1)
        prefix = block.prefix(at_layer(prompts.image_kv, len(self.blocks) - 1), x)
        return block.after_attention(x[:, keep], block.attend(block.q(normed[:, keep]), k, v, None, prefix))

    def _project(self, x: Tensor, prompts: Prompts) -> Tensor:
        return self._projection(self._ln_post(x, self._norm(prompts, "ln_post")))

    def _norm(self, prompts: Prompts, name: str) -> tuple[Tensor, Tensor] | None:
        return None if prompts.image_change is None else prompts.image_change.norm.get(name)
