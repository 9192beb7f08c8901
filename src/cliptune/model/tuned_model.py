"""A backbone with a method's learner: features and logits for a set of class names."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor, nn

from cliptune.backbones.backbone import Backbone
from cliptune.backbones.features import image_features, text_features
from cliptune.backbones.tokenized_text import TokenizedText
from cliptune.data.dataset import Dataset
from cliptune.data.emoji.dataset import Emoji
from cliptune.errors import UserError
from cliptune.model.method import Method
from cliptune.types import BlockFeatures, Outputs, Prompts, State

Blocks = tuple[Tensor, ...]


class FrozenText:
    """Tokenized text, and its features under the frozen text tower, computed once per device and precision."""

    def __init__(self, text: TokenizedText):
        self.text = text
        self._features: dict[Any, Tensor] = {}

    @torch.no_grad()
    def features(self, backbone: Backbone) -> Tensor:
        """Features `(n, d)` without prompts, neither adapted nor normalised."""
        key = backbone.logit_scale.device, backbone.autocast
        if key not in self._features:
            self._features[key] = backbone.encode_text(self.text)
        return self._features[key]


class TunedModel(nn.Module):
    """A frozen backbone with a method's learner, classifying among `classnames`.

    Args:
        backbone: The frozen CLIP.
        method: Makes the learner, the prompts and the logits.
        classnames: Names of the classes.
        templates: The dataset's prompt template(s), each with one `{}`.
        generator: Initialises the learner.
        learner: A trained learner to use instead of a new one.
        trained: The class names that `learner` was trained on.
        novel: Whether `classnames` are classes of the training data that training left out, which some methods test
            differently; by default, whether one of them is not in `trained`.
    """

    def __init__(
        self,
        backbone: Backbone,
        method: Method,
        classnames: Sequence[str],
        templates: Sequence[str] = ("a photo of a {}.",),
        generator: Generator | None = None,
        *,
        learner: nn.Module | None = None,
        trained: Sequence[str] = (),
        novel: bool | None = None,
    ):
        super().__init__()
        self.backbone, self.method = backbone, method
        self.classnames, self.templates = tuple(classnames), tuple(templates)
        backbone.prompt_tokenizer.check_names([name for name in self.classnames if name not in trained])
        self.trained = tuple(trained) or self.classnames
        self.novel = not set(classnames) <= set(self.trained) if novel is None else novel
        generator = generator or Generator().manual_seed(0)
        self.learner = method.learner(backbone, self.classnames, generator) if learner is None else learner
        self.class_text = FrozenText(method.class_prompts(backbone, self.classnames, self.templates))
        self._extra_text: dict[tuple[str, ...], FrozenText] = {}
        self._encoded: tuple[Prompts, Tensor, Tensor | None] | None = None

    def with_classes(
        self, classnames: Sequence[str], templates: Sequence[str] = (), *, novel: bool | None = None
    ) -> TunedModel:
        """The same backbone and learner for other class names, and other templates if given.

        novel: As for the class. Raises `UserError` if the method has parameters per class and the names differ.
        """
        if tuple(classnames) != self.classnames and not self.accepts_new_classes:
            raise UserError(
                f"this model ({type(self.method).__name__}) has trainable parameters per class, so it cannot "
                f"take other class names"
            )
        other = TunedModel(
            self.backbone,
            self.method,
            classnames,
            templates or self.templates,
            learner=self.learner,
            trained=self.trained,
            novel=novel,
        )
        return other.train(self.training)

    @property
    def accepts_new_classes(self) -> bool:
        """Whether the learner serves class names that it was not trained on."""
        prompts = self.learner()
        return not prompts.per_class and (prompts.text is None or prompts.text.ndim == 2)

    def train(self, mode: bool = True) -> TunedModel:
        self._encoded = None  # the learner may have changed since
        return super().train(mode)

    def forward(self, views: Mapping[str, Tensor], state: State | None = None, *, record: bool = False) -> Outputs:
        """Features of all views, and logits of the view "image".

        Args:
            views: View name -> normalised images `(b, 3, H, W)`, or un-normalised features `(b, d)` computed before.
            state: Progress of training; None for evaluation, where class features are computed once until `train()` or
                `eval()` is called.
            record: Also return `Outputs.block_features`, which needs images and towers that accept prompts. Implied
                while training a method whose losses use them.
        """
        record = record or (self.training and self.method.needs_block_features)
        prompts = self.prompts() if self._encoded is None else self._encoded[0]
        stopped = frozenset() if state is None else self.method.stop_gradient_views(state)
        image, image_blocks = self._encode_views(views, prompts, stopped, record)
        text, extra_text, text_blocks = self._encode_text(state, prompts, image["image"], record)
        scale = self.backbone.logit_scale
        logits = self.method.logits(image["image"], text, extra_text, scale, prompts)
        blocks = BlockFeatures(text_blocks, image_blocks) if record else None
        return Outputs(image, text, scale, logits, prompts, extra_text, blocks)

    def prompts(self) -> Prompts:
        """The learner's output, bound to these class names, with the backbone's logit bias."""
        prompts = self.learner()
        head = None if prompts.head is None else partial(prompts.head, classnames=self.classnames)
        return replace(prompts, head=head, novel=self.novel, logit_bias=self.backbone.logit_bias)

    def encode_classes(
        self, state: State | None = None, prompts: Prompts | None = None, image: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Class features `(C, d)`, and features of extra prompts `(P, d)` or None, at this point of training.

        image: Normalised features `(b, d)` for methods whose prompts depend on the image; class features are then
        `(b, C, d)`. Raises `UserError` for such a method without them.
        """
        return self._encode_text(state, prompts or self.prompts(), image, False)[:2]

    def _encode_text(
        self, state: State | None, prompts: Prompts, image: Tensor | None, record: bool
    ) -> tuple[Tensor, Tensor | None, Blocks]:
        if state is None and not self.training and not record and self._encoded is not None:
            return *self._encoded[1:], ()
        text, blocks = self._encode_classes(prompts, image, record)
        wanted = self.method.extra_prompts(state)
        extra_text = self._features(self._extra(wanted), prompts) if wanted else None
        lasting = state is None and prompts.conditional is None
        if lasting and not self.training and not torch.is_grad_enabled():
            self._encoded = prompts, text, extra_text
        return text, extra_text, blocks

    def _encode_classes(self, prompts: Prompts, image: Tensor | None, record: bool) -> tuple[Tensor, Blocks]:
        """Class features `(C, d)`, or `(b, C, d)` with a context per image, and pooled tokens after each block."""
        text = self.class_text.text
        if prompts.conditional is not None:
            if image is None:
                raise UserError(
                    f"the prompts of this model ({type(self.method).__name__}) depend on the image, so there are no "
                    f"text features without one; use predict or logits"
                )
            return self.backbone.class_features_per_image(text, prompts.conditional(image), prompts), ()
        if not record:
            return self._features(self.class_text, prompts), ()
        raw, blocks = self.backbone.encode_text_with_block_features(text, prompts)
        return text_features(raw, text, prompts), blocks

    def _features(self, frozen: FrozenText, prompts: Prompts) -> Tensor:
        """Normalised features of a text with `prompts`."""
        if not prompts.fixed_text:
            return self.backbone.class_features(frozen.text, prompts)
        return text_features(frozen.features(self.backbone), frozen.text, prompts)

    def _extra(self, texts: tuple[str, ...]) -> FrozenText:
        if texts not in self._extra_text:
            self._extra_text[texts] = FrozenText(self.backbone.tokenize(texts))
        return self._extra_text[texts]

    def encode_views(
        self, views: Mapping[str, Tensor], prompts: Prompts | None = None, stopped: frozenset[str] = frozenset()
    ) -> dict[str, Tensor]:
        """Normalised features `(b, d)` of all views in one pass of the image tower, or two if some are in `stopped`.

        views: Images `(b, 3, H, W)`, or un-normalised features `(b, d)` computed before. stopped: Views that need no
        autograd graph.
        """
        return self._encode_views(views, prompts or Prompts(), stopped, False)[0]

    def _encode_views(
        self, views: Mapping[str, Tensor], prompts: Prompts, stopped: frozenset[str], record: bool
    ) -> tuple[dict[str, Tensor], Blocks]:
        found: dict[str, Tensor] = {}
        blocks: Blocks = ()
        for graph in (True, False):
            names = [name for name in views if (name not in stopped) is graph]
            with torch.set_grad_enabled(graph and torch.is_grad_enabled()):
                images = {name: views[name] for name in names if views[name].ndim != 2}
                encoded, recorded = self._encode_images(images, prompts, record)
                raw = {name: views[name] for name in names} | encoded
                found |= {name: image_features(features, prompts) for name, features in raw.items()}
                blocks = recorded or blocks
        return {name: found[name] for name in views}, blocks

    def encode_images(self, images: Mapping[str, Tensor], prompts: Prompts) -> dict[str, Tensor]:
        """Features `(b, d)` of all views in one pass of the image tower, neither adapted nor normalised."""
        return self._encode_images(images, prompts, False)[0]

    def _encode_images(
        self, images: Mapping[str, Tensor], prompts: Prompts, record: bool
    ) -> tuple[dict[str, Tensor], Blocks]:
        """Features by view, and if `record` the class tokens after each block of the view "image", if it is there."""
        if not images:
            return {}, ()
        batch, sizes = torch.cat(list(images.values())), [len(view) for view in images.values()]
        blocks: Blocks = ()
        if record and "image" in images:
            place = list(images).index("image")
            joint, every = self.backbone.encode_image_with_block_features(batch, prompts.image, prompts.image_kv)
            blocks = tuple(x.split(sizes)[place] for x in every)
        else:
            joint = self.backbone.encode_image(batch, prompts.image, prompts.image_kv)
        return dict(zip(images, joint.split(sizes), strict=True)), blocks


def check_images(backbone: Backbone, dataset: Dataset | None) -> None:
    """Warn if the bundled tiny backbone gets images other than drawings. dataset: None if unknown."""
    if backbone.name == "tiny" and not isinstance(dataset, Emoji):
        warnings.warn(
            "the bundled tiny backbone knows drawings only: its accuracy on photographs is near chance; for these, use "
            "--backbone ViT-B-16 --pretrained openai",
            stacklevel=3,
        )
