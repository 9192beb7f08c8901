"""The frozen model: widths read from it, never written down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property, partial
from typing import Any

import torch
from open_clip.model import get_model_preprocess_cfg
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from cliptune import checks
from cliptune.backbones import fingerprints, introspection
from cliptune.backbones import tokenized_text as words
from cliptune.backbones.features import normalise, text_features
from cliptune.backbones.frozen_linear import onednn_dtypes
from cliptune.backbones.packed_text_tower import ImageTower, PackedTextTower
from cliptune.backbones.padded_text_tower import FrozenTextTower, PaddedTextTower
from cliptune.backbones.preprocess import Preprocess
from cliptune.backbones.prompt_tokenizer import PromptTokenizer
from cliptune.backbones.tokenized_text import TokenizedText
from cliptune.errors import UserError
from cliptune.types import KeyValues, LinearBackend, Prompts


class Backbone(nn.Module):
    """A CLIP model from open_clip that is never trained, and the places where prompts enter it.

    name: what `load` was given. model: an open_clip `CLIP`, `CustomTextCLIP` or `CoCa`. tokenizer: open_clip's for it.
    linear_backend: what computes frozen linear layers on the CPU (see `onednn_dtypes`); it never changes afterwards.
    untrained: tells which token ids pretraining never saw, for a model of small vocabulary.
    """

    # open_clip's towers differ in what they carry; `Any` lets their attributes through.
    model: Any

    def __init__(
        self,
        name: str,
        model: nn.Module,
        tokenizer: Any,
        linear_backend: LinearBackend = "auto",
        untrained: Callable[[Iterable[int]], set[int]] | None = None,
    ):
        super().__init__()
        self._untrained = untrained
        #: Context the towers run in, such as Fabric's autocast; features leave it, so that logits and losses stay
        #: float32.
        self.autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
        self.name = name
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.onednn_dtypes = onednn_dtypes(linear_backend)
        self._unit = introspection.normalises_features(model)

    @contextmanager
    def autocast_with(self, autocast: Callable[[], AbstractContextManager[Any]]) -> Iterator[None]:
        """Run the towers inside `autocast()`, such as Fabric's, within the block; the backbone may serve other runs."""
        before, self.autocast = self.autocast, autocast
        try:
            yield
        finally:
            self.autocast = before

    def train(self, mode: bool = True) -> Backbone:
        """A frozen model stays in evaluation mode (batch norm keeps its running statistics)."""
        return super().train(False)

    def _apply(self, fn, recurse=True):
        # The towers hold scaled and transposed copies of weights: recomputed after a move to another device or dtype.
        for derived in ("text_tower", "image_tower"):
            self.__dict__.pop(derived, None)
        return super()._apply(fn, recurse)

    # -- what the model is like ---------------------------------------------------------------------------------------

    @property
    def text(self) -> Any:
        """The module that carries the text tower's parts."""
        return introspection.text_module(self.model)

    @property
    def visual(self) -> Any:
        """The image tower as open_clip built it."""
        return self.model.visual

    @property
    def text_transformer(self) -> Any:
        """The text tower, where learned tokens have a place in it. Raises `UserError` where they have none."""
        if not introspection.accepts_text_prompts(self.text):
            raise introspection.text_prompts_error(self.name, self.text)
        return self.text

    @property
    def text_width(self) -> int:
        return self.text_transformer.token_embedding.weight.shape[1]

    @property
    def text_depth(self) -> int:
        return len(self.text_transformer.transformer.resblocks)

    @property
    def image_width(self) -> int:
        return self.vit.class_embedding.shape[0]

    @property
    def image_depth(self) -> int:
        return len(self.vit.transformer.resblocks)

    @property
    def embed_dim(self) -> int:
        """Width of the features that both towers share."""
        return introspection.embed_dim(self.text)

    @property
    def context_length(self) -> int:
        """Tokens of a padded sentence."""
        return self.text.context_length if hasattr(self.text, "token_embedding") else self.tokenizer.context_length

    @cached_property
    def preprocess(self) -> Preprocess:
        """How its images are prepared."""
        return Preprocess.of(get_model_preprocess_cfg(self.model))

    @property
    def image_size(self) -> int | tuple[int, int]:
        """The edge of its square images in pixels, or `(height, width)` of others, as in open_clip."""
        height, width = self.preprocess.size
        return height if height == width else (height, width)

    @property
    def patch_grid(self) -> tuple[int, int]:
        return self.vit.grid_size

    @property
    def logit_scale(self) -> Tensor:
        """The factor on cosines, `exp` of what the model stores."""
        return self.model.logit_scale.exp().reshape(())

    @property
    def logit_bias(self) -> Tensor | None:
        """What is added to scaled cosines by models trained with a sigmoid (SigLIP); None for others."""
        bias = getattr(self.model, "logit_bias", None)
        return None if bias is None else bias.reshape(())

    @property
    def has_vit(self) -> bool:
        """Whether visual prompts and Grad-CAM have a place: open_clip's plain ViT, read at its class token."""
        return introspection.is_standard_vit(self.visual)

    @property
    def vit(self) -> VisionTransformer:
        if not self.has_vit:
            raise introspection.vit_error(self.name, self.visual)
        return self.visual

    @cached_property
    def fingerprint(self) -> str:
        """Short SHA-256 of what computes: of samples of all weights, and of activations, heads, pooling, mask,
        preprocessing and tokenizer (see `identity`)."""
        return fingerprints.backbone_fingerprint(self)

    # -- towers -------------------------------------------------------------------------------------------------------

    @property
    def linear_backend(self) -> str:
        """What computes frozen linear layers in the current precision: "onednn" or "torch"."""
        if self.logit_scale.device.type != "cpu":
            return "torch"
        with self.autocast():
            dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
        return "onednn" if dtype in self.onednn_dtypes else "torch"

    @cached_property
    def text_tower(self) -> PackedTextTower | PaddedTextTower | FrozenTextTower:
        if not introspection.accepts_text_prompts(self.text):
            features = getattr(self.model, "text", self.model.encode_text)
            return FrozenTextTower(partial(introspection.pooled_features, self.name, "text", features))
        return (PackedTextTower if introspection.is_causal(self.text) else PaddedTextTower)(
            self.text, self.onednn_dtypes
        )

    @cached_property
    def image_tower(self) -> ImageTower:
        return ImageTower(self.vit, self.onednn_dtypes)

    @cached_property
    def encode(self) -> PromptTokenizer:
        """Text to token ids: `encode("a photo")` gives them from the first to the last that is no padding."""
        pool, eos = introspection.text_pooling(self.name, self.text)
        whole = not introspection.accepts_text_prompts(self.text) or not introspection.is_causal(self.text)
        known = getattr(self.text, "vocab_size", 0)
        return PromptTokenizer(self.name, self.tokenizer, self.context_length, pool, eos, whole, self._untrained, known)

    def check_names(self, classnames: Sequence[str]) -> None:
        """Warn of class names that mean nothing to this model, or the same as others. Raises `UserError`
        for what is no line of text."""
        checks.printable("class name", classnames)
        self.encode.check_names(classnames)

    def embed_words(self, phrase: str, n: int) -> Tensor:
        """Token embeddings `(n, text_width)` of the first `n` tokens of `phrase`, to start learned context from.

        Raises `UserError` where there are fewer.
        """
        ids = self.encode.words(phrase)[:n]
        if len(ids) < n:
            raise UserError(
                f"{self.name!r} reads {len(ids)} tokens in the words {phrase!a}, fewer than {n}; give others"
            )
        return self.embed(torch.tensor(ids)).float().clone()

    def embed(self, ids: Tensor) -> Tensor:
        """Token embeddings `(..., text_width)` of `ids`, without positions."""
        return self.text_transformer.token_embedding(ids.to(self.logit_scale.device)).detach()

    def encode_text(self, sentences: TokenizedText, prompts: Prompts | None = None) -> Tensor:
        """Features `(n, embed_dim)` of `n` sentences with `prompts` in place, as open_clip's `encode_text` gives them:
        of unit length for CoCa, else un-normalised. Raises `UserError` where learned tokens have no place."""
        if prompts is not None and (prompts.trail is not None or not prompts.fixed_text):
            _ = self.text_transformer
        with self.autocast():
            raw = self.text_tower(sentences.to(self.logit_scale.device), prompts or Prompts())
        return normalise(raw) if self._unit else raw

    def class_features(self, sentences: TokenizedText, prompts: Prompts | None = None) -> Tensor:
        """L2-normalised features `(n_classes, embed_dim)`; those of a class's sentences are averaged normalised."""
        return text_features(self.encode_text(sentences, prompts), sentences, prompts)

    def class_features_per_image(self, sentences: TokenizedText, contexts: Tensor, prompts: Prompts) -> Tensor:
        """L2-normalised features `(b, n_classes, embed_dim)` with each context of `(b, n_ctx, text_width)` in place."""
        tower: Any = self.text_transformer and self.text_tower
        with self.autocast():
            raw = tower.each(sentences.to(self.logit_scale.device), contexts, prompts)
        raw = normalise(raw) if self._unit else raw
        return text_features(raw.flatten(0, 1), sentences, prompts).unflatten(0, (len(contexts), -1))

    def encode_image(
        self,
        images: Tensor,
        prompts: Sequence[Tensor] = (),
        trail: list[Tensor] | None = None,
        lent: Sequence[KeyValues | None] = (),
    ) -> Tensor:
        """Features `(b, embed_dim)` of normalised `images` `(b, 3, H, W)`, as open_clip's `encode_image` gives them: of
        unit length for CoCa, else un-normalised.

        trail: takes the class token `(b, image_width)` after each block; needs a ViT. lent: what each layer sees
        besides, or None.
        """
        with self.autocast():
            if prompts or trail is not None or any(lent) or self.has_vit:
                raw = self.image_tower(images, prompts, trail, lent)
            else:
                with torch.no_grad():
                    raw = introspection.pooled_features(self.name, "image", self.visual, images)
        introspection.check_same_width(self.name, raw.shape[-1], self.embed_dim)
        return normalise(raw) if self._unit else raw

    def plain(self, texts: Sequence[str]) -> TokenizedText:
        return words.tokenize_fixed(self.encode, texts)
