"""The frozen CLIP model with learned prompts."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cliptune.backbones import feature_memo, introspection
from cliptune.backbones.blocks import FrozenBlock
from cliptune.backbones.changed_block import merged
from cliptune.backbones.clip_model import ClipModel
from cliptune.backbones.features import normalise, text_features
from cliptune.backbones.fingerprints import Fingerprints
from cliptune.backbones.frozen_linear import backend_in_use, onednn_dtypes
from cliptune.backbones.image_tower import ImageTower
from cliptune.backbones.packed_text_tower import PackedTextTower
from cliptune.backbones.padded_text_tower import FrozenTextTower, PaddedTextTower, make_text_tower
from cliptune.backbones.prompt_tokenizer import PromptTokenizer
from cliptune.backbones.tokenized_text import TokenizedText, tokenize_fixed
from cliptune.types import ImageOutputs, LinearBackend, Prompts


class Backbone(ClipModel):
    """A frozen CLIP model from open_clip that accepts learned prompts.

    Args:
        name: The name passed to `load_backbone`.
        model: An open_clip `CLIP`, `CustomTextCLIP` or `CoCa`.
        tokenizer: open_clip's tokenizer for the model.
        linear_backend: Backend of frozen linear layers on the CPU (see `onednn_dtypes`).
        untrained: Maps token ids to those that did not occur in pretraining, for a model with a small vocabulary.
        config: open_clip's configuration of the architecture, if known.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        tokenizer: Any,
        linear_backend: LinearBackend = "auto",
        untrained: Callable[[Iterable[int]], set[int]] | None = None,
        config: Mapping[str, Any] | None = None,
    ):
        super().__init__(name, model, tokenizer)
        self.config = config
        self._untrained = untrained
        #: Context the towers run in, such as Fabric's autocast. Features are converted outside of it, so that logits
        #: and losses are float32.
        self.autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
        #: Features of example sets by the frozen image tower, for all models with this backbone; see `engine.evaluate`.
        self.feature_cache: dict[Hashable, list[Tensor]] = {}
        self._memo = feature_memo.FeatureMemo()
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

    def _apply(self, fn, recurse=True):
        self._drop_towers()
        return super()._apply(fn, recurse)

    def load_state_dict(self, *args, **options):
        """Load weights; what was derived from the former ones is dropped."""
        self._drop_towers()
        return super().load_state_dict(*args, **options)

    def _drop_towers(self) -> None:
        # They refer to the tensors of the model, and have scaled, packed and lower-precision copies of them.
        for derived in ("text_tower", "image_tower"):
            self.__dict__.pop(derived, None)

    @cached_property
    def fingerprints(self) -> Fingerprints:
        """Fingerprints of the weights and of everything else that determines features."""
        tokenize = None if self.tokenizer is None else self.prompt_tokenizer
        return Fingerprints.of(self.name, self.model, self.preprocess, tokenize)

    @property
    def linear_backend(self) -> str:
        """Backend of frozen linear layers in the current precision: "onednn" or "torch"."""
        with self.autocast():
            return backend_in_use(self.logit_scale.device, self.onednn_dtypes)

    @property
    def _autocasts(self) -> bool:
        """Whether the towers run in lower precision."""
        with self.autocast():
            return torch.is_autocast_enabled(self.logit_scale.device.type)

    @property
    def _settings(self) -> str:
        """What determines features of the frozen image tower besides the pixels."""
        return f"{torch.__version__} {self.fingerprints.backbone} {self.linear_backend} {self.logit_scale.device.type}"

    @cached_property
    def text_tower(self) -> PackedTextTower | PaddedTextTower | FrozenTextTower:
        """The text tower with learned tokens, or open_clip's if it accepts none."""
        return make_text_tower(self.name, self.model, self.onednn_dtypes)

    @cached_property
    def prompt_tokenizer(self) -> PromptTokenizer:
        """Maps a text to its token ids without padding: `prompt_tokenizer("a photo")`."""
        return PromptTokenizer.of_tower(self.name, self.text, self.tokenizer, self.context_length, self._untrained)

    def tokenize(self, texts: Sequence[str]) -> TokenizedText:
        """Tokenize texts without learned context."""
        return tokenize_fixed(self.prompt_tokenizer, texts)

    def embed_words(self, phrase: str, n: int) -> Tensor:
        """Token embeddings `(n, text_width)` of the first `n` tokens of `phrase`, to initialise learned context.

        Raises `UserError` if there are fewer tokens.
        """
        return self.embed_tokens(torch.tensor(self.prompt_tokenizer.first_ids(phrase, n))).float().clone()

    def embed_tokens(self, ids: Tensor) -> Tensor:
        """Token embeddings `(..., text_width)` of `ids` `(...)`, without positional embeddings."""
        return self.text_transformer.token_embedding(ids.to(self.logit_scale.device)).detach()

    def encode_text(self, text: TokenizedText, prompts: Prompts | None = None) -> Tensor:
        """Features `(n, embed_dim)` of `n` texts with `prompts`, like open_clip's `encode_text`: of unit length for
        CoCa, else un-normalised. Raises `UserError` if the tower accepts no learned tokens."""
        if prompts is not None and not prompts.fixed_text:
            _ = self.text_transformer
        with self.autocast():
            raw = self.text_tower(text.to(self.logit_scale.device), prompts or Prompts())
        return normalise(raw) if self._unit else raw

    def encode_text_with_block_features(
        self, text: TokenizedText, prompts: Prompts | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Like `encode_text`, and the pooled tokens `(n, text_width)` after each block."""
        tower: Any = self.text_transformer and self.text_tower
        with self.autocast():
            raw, blocks = tower.with_block_features(text.to(self.logit_scale.device), prompts or Prompts())
        return normalise(raw) if self._unit else raw, blocks

    def class_features(self, text: TokenizedText, prompts: Prompts | None = None) -> Tensor:
        """L2-normalised features `(n_classes, embed_dim)`, averaged over the normalised features of a class's texts."""
        return text_features(self.encode_text(text, prompts), text, prompts)

    def encode_text_per_image(self, text: TokenizedText, contexts: Tensor, prompts: Prompts) -> Tensor:
        """Features `(b, n, embed_dim)` of `n` texts with each context of `(b, n_ctx, text_width)`, as `encode_text`."""
        tower: Any = self.text_transformer and self.text_tower
        with self.autocast():
            raw = tower.per_context(text.to(self.logit_scale.device), contexts, prompts)
        return normalise(raw) if self._unit else raw

    @cached_property
    def image_tower(self) -> ImageTower:
        """The image tower with learned tokens. Raises `UserError` if it is not a standard ViT."""
        return ImageTower(self.vit, self.onednn_dtypes)

    def encode_image(self, images: Tensor, prompts: Prompts | None = None) -> Tensor:
        """Features `(b, embed_dim)` of normalised `images` `(b, 3, H, W)` with the image parts of `prompts`, like
        open_clip's `encode_image`: of unit length for CoCa, else un-normalised."""
        return self.encode_image_parts(images, prompts).features

    def encode_image_parts(
        self,
        images: Tensor,
        prompts: Prompts | None = None,
        *,
        tokens: bool = False,
        patches: bool = False,
        blocks: bool = False,
    ) -> ImageOutputs:
        """Like `encode_image`, with parts of `ImageOutputs` on request, which need a standard ViT.

        Within `feature_memo.remember_features`, features of the frozen tower in float32 are computed once per image.
        """
        prompts = prompts or Prompts()
        features_alone = prompts.fixed_image and not (tokens or patches or blocks or images.requires_grad)
        if features_alone and feature_memo.active() and not self._autocasts:
            features = self._memo.features(images, self._settings, partial(self._encode_frozen, prompts=prompts))
            return ImageOutputs(features)
        return self._encode_image_parts(images, prompts, tokens, patches, blocks)

    def _encode_frozen(self, images: Tensor, prompts: Prompts) -> Tensor:
        return self._encode_image_parts(images, prompts, False, False, False).features

    def _encode_image_parts(
        self, images: Tensor, prompts: Prompts, tokens: bool, patches: bool, blocks: bool
    ) -> ImageOutputs:
        with self.autocast():
            if tokens or patches or blocks or not prompts.fixed_image or self.has_vit:
                out = self.image_tower.encode(images, prompts, tokens=tokens, patches=patches, blocks=blocks)
            else:
                with torch.no_grad():
                    out = ImageOutputs(introspection.pooled_features(self.name, "image", self.visual, images))
        introspection.check_same_width(self.name, out.features.shape[-1], self.embed_dim)
        return replace(out, features=normalise(out.features)) if self._unit else out

    def blocks(self, tower: Literal["text", "image"]) -> Sequence[FrozenBlock]:
        """The blocks of a tower. Raises `UserError` if the tower accepts no learned tokens or changes."""
        text_tower: Any = self.text_transformer and self.text_tower if tower == "text" else None
        return self.image_tower.blocks if tower == "image" else text_tower.blocks

    def merged(self, prompts: Prompts) -> Prompts:
        """`prompts` with low-rank terms merged into the weights of the towers, for evaluation."""
        text_tower: Any = self.text_tower
        image = prompts.image_change and merged(self.image_tower.blocks, prompts.image_change)
        text = prompts.text_change and merged(text_tower.blocks, prompts.text_change)
        return replace(prompts, image_change=image, text_change=text)
