"""Tokens of both towers that map to each other: text to image in early layers, image to text in late ones (HiCroPL)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from cliptune.errors import UserError
from cliptune.prompts.initialization import init_linear
from cliptune.types import Prompts

#: Heads of the attention layers.
HEADS = 8


class Attention(nn.Module):
    """Multi-head attention of queries `(q, width)` to keys and values `(n, width)`, with PyTorch's initialisation."""

    def __init__(self, width: int, generator: Generator):
        super().__init__()
        if width % HEADS:
            raise UserError(f"hicropl's attention has {HEADS} heads, which do not divide the width {width}")
        self.in_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_bias = nn.Parameter(torch.zeros(3 * width))
        nn.init.xavier_uniform_(self.in_weight, generator=generator)
        self.out = init_linear(width, width, generator)
        nn.init.zeros_(self.out.bias)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        parts = zip((queries, keys, values), self.in_weight.chunk(3), self.in_bias.chunk(3), strict=True)
        q, k, v = (F.linear(x, w, b).unflatten(-1, (HEADS, -1)).transpose(0, 1) for x, w, b in parts)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(0, 1).flatten(1))


class Pooling(nn.Module):
    """The proxy `LN2(p + attention(LN1 p, LN1 x, LN1 x))` `(1, width)` of a layer's tokens `(n, width)`."""

    def __init__(self, width: int, generator: Generator):
        super().__init__()
        self.attention = Attention(width, generator)
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, proxy: Tensor, tokens: Tensor) -> Tensor:
        keys = self.before(tokens)
        return self.after(proxy + self.attention(self.before(proxy), keys, keys))


class Mapper(nn.Module):
    """Maps tokens `(q, width)` with the proxies `(n, source)` of the other tower to tokens `(q, width)`."""

    def __init__(self, source: int, width: int, generator: Generator):
        super().__init__()
        self.query = init_linear(width, width, generator)
        self.key, self.value = init_linear(source, width, generator), init_linear(source, width, generator)
        self.attention = Attention(width, generator)
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.widen, self.narrow = init_linear(width, 4 * width, generator), init_linear(4 * width, width, generator)

    def forward(self, tokens: Tensor, proxies: Tensor) -> Tensor:
        query = self.query(tokens)
        key, value = self.before(self.key(proxies)), self.before(self.value(proxies))
        mixed = query + self.attention(self.before(query), key, value)
        hidden = self.widen(self.after(mixed))
        return mixed + self.narrow(hidden * torch.sigmoid(1.702 * hidden))


class CrossMapping(nn.Module):
    """Poolings, proxies and mappers of both directions.

    Args:
        split: Layers before it map text to image, the others image to text.
        depth: Number of prompted layers, more than `split`.
        text_width, image_width: Widths of the tokens.
    """

    def __init__(self, split: int, depth: int, text_width: int, image_width: int, generator: Generator):
        super().__init__()
        self.split = split
        self.to_image = Mapper(text_width, image_width, generator)
        self.to_text = Mapper(image_width, text_width, generator)
        self.text_pools = nn.ModuleList([Pooling(text_width, generator) for _ in range(split)])
        self.image_pools = nn.ModuleList([Pooling(image_width, generator) for _ in range(depth - split)])
        # As in the released code, the proxies of a tower start as copies of one draw.
        text, image = (torch.randn(1, width, generator=generator) for width in (text_width, image_width))
        self.text_proxies = nn.ParameterList([text.clone() for _ in self.text_pools])
        self.image_proxies = nn.ParameterList([image.clone() for _ in self.image_pools])

    def forward(self, text: Sequence[Tensor], image: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """The tokens of each layer after the mapping, from those before."""
        k, n = self.split, len(text[0])
        early = zip(self.text_pools, self.text_proxies, text, strict=False)
        late = zip(self.image_pools, self.image_proxies, image[k:], strict=True)
        text_proxies = torch.cat([pool(proxy, tokens) for pool, proxy, tokens in early])
        image_proxies = torch.cat([pool(proxy, tokens) for pool, proxy, tokens in late])
        mapped_image = self.to_image(torch.cat([*image[:k]]), text_proxies).split(n)
        mapped_text = self.to_text(torch.cat([*text[k:]]), image_proxies).split(n)
        return [*text[:k], *mapped_text], [*mapped_image, *image[k:]]


class HierarchicalPrompts(nn.Module):
    """Tokens for the first layers of both towers, mapped by `mapping` if there is one.

    Called with features `(C, d)` of the class names, which it passes on as `Prompts.parts["descriptions"]`.

    Args:
        text, image: Initial tokens `(n_ctx, width)` per layer.
        mapping: The mapping, or None for independent tokens.
        overwrite: As the released code: the mapping is not trained; each call, also in evaluation, overwrites the
            tokens by the mapped ones.

    Attributes:
        changes_when_called: Whether a call overwrites the tokens. Only a pass of the whole model then calls it; what
            merely asks for prompts calls a copy.
    """

    def __init__(
        self, text: Sequence[Tensor], image: Sequence[Tensor], mapping: CrossMapping | None, overwrite: bool = False
    ):
        super().__init__()
        self.text = nn.ParameterList([start.clone() for start in text])
        self.image = nn.ParameterList([start.clone() for start in image])
        self.mapping, self.changes_when_called = mapping, overwrite and mapping is not None
        if mapping is not None and overwrite:
            mapping.requires_grad_(False)

    def forward(self, descriptions: Tensor | None = None) -> Prompts:
        text, image = [*self.text], [*self.image]
        if self.mapping is not None and not self.changes_when_called:
            text, image = self.mapping(text, image)
        elif self.mapping is not None:
            with torch.no_grad():
                new = [tokens for tower in self.mapping(text, image) for tokens in tower]
                for tokens, value in zip([*text, *image], new, strict=True):
                    tokens.copy_(value)
        parts = {"descriptions": descriptions}
        return Prompts(text[0], tuple(text[1:]), tuple(image), parts=parts, lasting=not self.changes_when_called)
