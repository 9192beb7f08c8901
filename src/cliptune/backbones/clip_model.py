"""A frozen model from open_clip: its towers, their sizes and its preprocessing."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Self

from open_clip.model import get_model_preprocess_cfg
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from cliptune.backbones import introspection
from cliptune.backbones.preprocess import Preprocess


class ClipModel(nn.Module):
    """A frozen open_clip model with its tokenizer, the same attributes whatever its architecture.

    Args:
        name: The name passed to `load_backbone`.
        model: An open_clip `CLIP`, `CustomTextCLIP` or `CoCa`.
        tokenizer: open_clip's tokenizer for the model.
    """

    # open_clip's towers differ in their attributes; `Any` permits all of them.
    model: Any

    def __init__(self, name: str, model: nn.Module, tokenizer: Any):
        super().__init__()
        self.name = name
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, so that running statistics (batch norm) do not change."""
        return super().train(False)

    @property
    def text(self) -> Any:
        """The module that contains the parts of the text tower."""
        return introspection.text_module(self.model)

    @property
    def visual(self) -> Any:
        """The image tower as open_clip built it."""
        return self.model.visual

    @property
    def text_transformer(self) -> Any:
        """The text tower, if it accepts learned tokens. Raises `UserError` if it does not."""
        if not introspection.accepts_text_prompts(self.text):
            raise introspection.text_prompts_error(self.name, self.text)
        return self.text

    @property
    def text_width(self) -> int:
        """Width of the text tower's tokens."""
        return self.text_transformer.token_embedding.weight.shape[1]

    @property
    def text_depth(self) -> int:
        """Number of blocks in the text tower."""
        return len(self.text_transformer.transformer.resblocks)

    @property
    def image_width(self) -> int:
        """Width of the image tower's tokens."""
        return self.vit.class_embedding.shape[0]

    @property
    def image_depth(self) -> int:
        """Number of blocks in the image tower."""
        return len(self.vit.transformer.resblocks)

    @property
    def embed_dim(self) -> int:
        """Width of the features of both towers."""
        return introspection.embed_dim(self.text)

    @property
    def context_length(self) -> int:
        """Number of tokens in a padded text."""
        return self.text.context_length if hasattr(self.text, "token_embedding") else self.tokenizer.context_length

    @cached_property
    def preprocess(self) -> Preprocess:
        """The evaluation transform of its images."""
        return Preprocess.of(get_model_preprocess_cfg(self.model))

    @property
    def image_size(self) -> int | tuple[int, int]:
        """Side of its square images in pixels, or `(height, width)` if they are not square, as in open_clip."""
        height, width = self.preprocess.size
        return height if height == width else (height, width)

    @property
    def patch_grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.vit.grid_size

    @property
    def logit_scale(self) -> Tensor:
        """Scalar factor of the cosines, the exponential of the stored parameter."""
        return self.model.logit_scale.exp().reshape(())

    @property
    def logit_bias(self) -> Tensor | None:
        """Scalar added to scaled cosines by models trained with a sigmoid (SigLIP); None for others."""
        bias = getattr(self.model, "logit_bias", None)
        return None if bias is None else bias.reshape(())

    @property
    def has_vit(self) -> bool:
        """Whether it supports visual prompts and Grad-CAM: open_clip's standard ViT, pooled at its class token."""
        return introspection.is_standard_vit(self.visual)

    @property
    def vit(self) -> VisionTransformer:
        """The image tower, if it is a standard ViT. Raises `UserError` if it is not."""
        if not self.has_vit:
            raise introspection.vit_error(self.name, self.visual)
        return self.visual
