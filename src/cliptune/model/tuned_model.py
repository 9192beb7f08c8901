"""A backbone with a method's learner: features and logits for a set of class names."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cliptune.backbones.backbone import Backbone
from cliptune.backbones.features import adapted, class_means, image_features, normalise, text_features
from cliptune.backbones.tokenized_text import TokenizedText
from cliptune.data.dataset import Dataset
from cliptune.data.emoji.dataset import Emoji
from cliptune.errors import UserError
from cliptune.model.method import Method
from cliptune.model.teacher import TeacherModel
from cliptune.types import BlockFeatures, ImageOutputs, Outputs, Prompts, State


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


@dataclass(frozen=True)
class TextOutputs:
    """Text features of a model: normalised `features` of classes and of `extra` prompts, `raw` class features before
    normalisation, and pooled tokens after each block, if requested."""

    features: Tensor
    extra: Tensor | None = None
    raw: Tensor | None = None
    blocks: tuple[Tensor, ...] = ()


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
        teacher: Returns the teacher of a method that has one; called when the teacher is needed.
        teacher_text: The teacher's class features `(C, d)` of `classnames`, if they are known.
        trained_templates: The templates that `learner` was trained with; by default `templates`.
        other_data: Whether the images are of another dataset than those of training.
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
        teacher: Callable[[], TeacherModel] | None = None,
        teacher_text: Tensor | None = None,
        trained_templates: Sequence[str] = (),
        other_data: bool = False,
    ):
        super().__init__()
        self.backbone, self.method = backbone, method
        self.classnames, self.templates = tuple(classnames), tuple(templates)
        backbone.prompt_tokenizer.check_names([name for name in self.classnames if name not in trained])
        self.trained = tuple(trained) or self.classnames
        self.trained_templates = tuple(trained_templates) or self.templates
        self._teacher = teacher
        self.known, self.other_data = set(classnames) <= set(self.trained), other_data
        self.novel = not self.known if novel is None else novel
        generator = generator or Generator().manual_seed(0)
        self.learner = self._new_learner(generator, teacher_text) if learner is None else learner
        _ = self.class_text  # sentences that do not fit are refused now
        self._extra_text: dict[tuple[str, ...], FrozenText] = {}
        self._encoded: tuple[Prompts, TextOutputs] | None = None
        self._class_inputs: dict[Any, Any] = {}

    @cached_property
    def class_text(self) -> FrozenText:
        """The prompts of the classes."""
        return FrozenText(self.method.class_prompts(self.backbone, self.classnames, self.templates))

    def part(self, method: Method, learner: nn.Module) -> TunedModel:
        """The model of a wrapped method, whose learner is a part of this model's."""
        own = copy.copy(self)
        own.__dict__ |= {
            "method": method,
            "_modules": {**self._modules, "learner": learner},
            "_encoded": None,
            "_extra_text": {},
            "_class_inputs": {},
        }
        own.__dict__.pop("class_text", None)
        return own

    def with_classes(
        self,
        classnames: Sequence[str],
        templates: Sequence[str] = (),
        *,
        novel: bool | None = None,
        other_data: bool = False,
    ) -> TunedModel:
        """The same backbone and learner for other class names, and other templates if given.

        novel, other_data: As for the class. Raises `UserError` if the method has parameters per class and the names
        differ.
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
            teacher=self._teacher,
            trained_templates=self.trained_templates,
            other_data=other_data,
        )
        return other.train(self.training)

    @property
    def teacher(self) -> TeacherModel:
        """The model that the method learns from. Raises `UserError` if there is none, or it cannot be loaded."""
        if self._teacher is None:
            raise UserError(
                f"this model ({type(self.method).__name__}) needs its teacher, which was not given; load it with "
                f"cliptune.load, or pass teacher= to TunedModel"
            )
        return self._teacher()

    def _new_learner(self, generator: Generator, teacher_text: Tensor | None) -> nn.Module:
        method = self.method
        if method.teacher_source() is not None:
            text = self.teacher.text(self.classnames, self.templates) if teacher_text is None else teacher_text
            method = method.taught(text)
        return method.learner(self.backbone, self.classnames, generator)

    @property
    def accepts_new_classes(self) -> bool:
        """Whether the learner serves class names that it was not trained on."""
        prompts = self._learned()
        named = any(inputs is not None for inputs in self._class_inputs.values())
        per_class = prompts.text is not None and prompts.text.ndim == 3 and not named
        return not prompts.per_class and not per_class

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
        raw = self._encode_images(views, prompts, stopped, record)
        adapted_image, image = {}, {}
        for name, own in raw.items():
            grad = name not in stopped and torch.is_grad_enabled()
            with torch.set_grad_enabled(grad), self._batch_statistics(name == "image"):
                adapted_image[name] = adapted(own.features, prompts.adapt_image)
                image[name] = normalise(adapted_image[name])
        text = self._encode_text(state, prompts, image["image"], record)
        scale = self.backbone.logit_scale
        out = Outputs(
            image,
            text.features,
            scale,
            scale.new_empty(0),
            prompts,
            text.extra,
            raw_image=adapted_image,
            raw_text=text.raw,
            tokens={name: own.tokens for name, own in raw.items() if own.tokens is not None},
            patches={name: own.patches for name, own in raw.items() if own.patches is not None},
            frozen=self._frozen_features(views, raw, prompts) if self.method.needs_frozen else {},
            block_features=BlockFeatures(text.blocks, raw["image"].blocks) if record else None,
        )
        return replace(out, logits=self.method.logits(out))

    def prompts(self) -> Prompts:
        """The learner's output, bound to these class names, with the backbone's logit bias; in evaluation without
        gradients, low-rank terms are merged into the weights."""
        prompts = self._learned()
        head = None if prompts.head is None else partial(prompts.head, classnames=self.classnames)
        prompts = replace(
            prompts,
            head=head,
            novel=self.novel,
            known=self.known,
            other_data=self.other_data,
            logit_bias=self.backbone.logit_bias,
            classnames=self.classnames,
        )
        return prompts if self.training or torch.is_grad_enabled() else self.backbone.merged(prompts)

    @property
    def fixed_image(self) -> bool:
        """Whether image features from the frozen tower are all that the model reads of images."""
        method = self.method
        return self._learned().fixed_image and not (method.needs_tokens or method.needs_patches)

    def _learned(self) -> Prompts:
        key = self.backbone.logit_scale.device, self.backbone.autocast
        if key not in self._class_inputs:
            with torch.no_grad():
                self._class_inputs[key] = self.method.class_inputs(self)
        inputs = self._class_inputs[key]
        return self.learner() if inputs is None else self.learner(inputs)

    def encode_classes(
        self, state: State | None = None, prompts: Prompts | None = None, image: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Class features `(C, d)`, and features of extra prompts `(P, d)` or None, at this point of training.

        image: Normalised features `(b, d)` for methods whose prompts depend on the image; class features are then
        `(b, C, d)`. Raises `UserError` for such a method without them.
        """
        text = self._encode_text(state, prompts or self.prompts(), image, False)
        return text.features, text.extra

    def _encode_text(self, state: State | None, prompts: Prompts, image: Tensor | None, record: bool) -> TextOutputs:
        if state is None and not self.training and not record and self._encoded is not None:
            return self._encoded[1]
        wanted = self.method.extra_prompts(state)
        given = self.method.text_features(self, wanted)
        if given is not None:
            text = TextOutputs(*given)
        else:
            text = self._encode_classes(prompts, image, record)
            text = replace(text, extra=self._encode_extra(wanted, prompts) if wanted else None)
        lasting = state is None and prompts.conditional is None and prompts.lasting
        if lasting and not self.training and not torch.is_grad_enabled():
            self._encoded = prompts, text
        return text

    def _encode_classes(self, prompts: Prompts, image: Tensor | None, record: bool) -> TextOutputs:
        """Class features `(C, d)`, or `(b, C, d)` with a context per image, and pooled tokens after each block."""
        text, backbone, blocks = self.class_text.text, self.backbone, ()
        if prompts.conditional is not None:
            if image is None:
                raise UserError(
                    f"the prompts of this model ({type(self.method).__name__}) depend on the image, so there are no "
                    f"text features without one; use predict or logits"
                )
            raw = backbone.encode_text_per_image(text, prompts.conditional(image), prompts)
            raw = raw.flatten(0, 1)
        elif record:
            raw, blocks = backbone.encode_text_with_block_features(text, prompts)
        else:
            raw = self.class_text.features(backbone) if prompts.fixed_text else backbone.encode_text(text, prompts)
        features, means = text_features(raw, text, prompts), class_means(adapted(raw, prompts.adapt_text), text)
        if prompts.conditional is not None:
            features, means = (x.unflatten(0, (-1, len(self.classnames))) for x in (features, means))
        if prompts.class_offset is not None:
            means = means + prompts.class_offset
            features = normalise(means)
        return TextOutputs(features, None, means, blocks)

    def _encode_extra(self, texts: tuple[str, ...], prompts: Prompts) -> Tensor:
        """Normalised features `(P, d)` of extra prompts, which take no tokens that belong to single classes."""
        if texts not in self._extra_text:
            self._extra_text[texts] = FrozenText(self.backbone.tokenize(texts))
        frozen = self._extra_text[texts]
        shared = tuple(None if x is not None and x.ndim == 3 else x for x in prompts.text_deep)
        prompts = replace(prompts, text_deep=shared)
        if prompts.fixed_text:
            return text_features(frozen.features(self.backbone), frozen.text, prompts)
        return self.backbone.class_features(frozen.text, prompts)

    def encode_phrases(self, texts: Sequence[str]) -> Tensor:
        """Normalised features `(P, d)` of texts that belong to no class."""
        return self._encode_extra(tuple(texts), self.prompts())

    @contextmanager
    def _batch_statistics(self, batch: bool) -> Iterator[None]:
        """Normalise by the running statistics of the learner's batch norms within the block, unless `batch`.

        In training, only the view "image" is normalised by its own batch and updates the running statistics, so that
        there is one update per step and features of other views are comparable with those at test.
        """
        norms = [m for m in self.learner.modules() if isinstance(m, _BatchNorm) and m.training and not batch]
        for norm in norms:
            norm.eval()
        try:
            yield
        finally:
            for norm in norms:
                norm.train()

    def encode_views(
        self, views: Mapping[str, Tensor], prompts: Prompts | None = None, stopped: frozenset[str] = frozenset()
    ) -> dict[str, Tensor]:
        """Normalised features `(b, d)` of all views in one pass of the image tower, or two if some are in `stopped`.

        views: Images `(b, 3, H, W)`, or un-normalised features `(b, d)` computed before. stopped: Views that need no
        autograd graph.
        """
        prompts = prompts or Prompts()
        found = {}
        for name, out in self._encode_images(views, prompts, stopped, False).items():
            with torch.set_grad_enabled(name not in stopped and torch.is_grad_enabled()):
                found[name] = image_features(out.features, prompts)
        return found

    def encode_images(self, images: Mapping[str, Tensor], prompts: Prompts) -> dict[str, Tensor]:
        """Features `(b, d)` of all views in one pass of the image tower, neither adapted nor normalised."""
        return {name: out.features for name, out in self._encode_images(images, prompts, frozenset(), False).items()}

    def _encode_images(
        self, views: Mapping[str, Tensor], prompts: Prompts, stopped: frozenset[str], record: bool
    ) -> dict[str, ImageOutputs]:
        """Outputs of the image tower by view, in one pass with an autograd graph and one without for `stopped`.

        record: Also the class tokens after each block, of the views in the pass of "image".
        """
        found: dict[str, ImageOutputs] = {}
        for graph in (True, False):
            names = [name for name in views if (name not in stopped) is graph]
            images = {name: views[name] for name in names if views[name].ndim != 2}
            found |= {name: ImageOutputs(views[name]) for name in names if views[name].ndim == 2}
            if not images:
                continue
            with torch.set_grad_enabled(graph and torch.is_grad_enabled()):
                joint = self.backbone.encode_image_parts(
                    torch.cat(list(images.values())),
                    prompts,
                    tokens=self.method.needs_tokens and bool(prompts.image),
                    patches=self.method.needs_patches,
                    blocks=record and "image" in images,
                )
                parts = _split(joint, [len(view) for view in images.values()])
                found |= dict(zip(images, parts, strict=True))
        return {name: found[name] for name in views}

    @torch.no_grad()
    def _frozen_features(
        self, views: Mapping[str, Tensor], raw: Mapping[str, ImageOutputs], prompts: Prompts
    ) -> dict[str, Tensor]:
        """Normalised features by the backbone alone, of all views."""
        if prompts.fixed_image:
            return {name: normalise(out.features) for name, out in raw.items()}
        return {name: normalise(x) for name, x in self.encode_images(views, Prompts()).items()}


def _split(joint: ImageOutputs, sizes: list[int]) -> list[ImageOutputs]:
    """The outputs of consecutive parts of a batch."""

    def parts(x: Tensor | None) -> Sequence[Tensor | None]:
        return [None] * len(sizes) if x is None else x.split(sizes)

    blocks = [x.split(sizes) for x in joint.blocks]
    pairs = zip(joint.features.split(sizes), parts(joint.tokens), parts(joint.patches), strict=True)
    return [ImageOutputs(*own, tuple(x[i] for x in blocks)) for i, own in enumerate(pairs)]


def check_images(backbone: Backbone, dataset: Dataset | None) -> None:
    """Warn if the bundled tiny backbone gets images other than drawings. dataset: None if unknown."""
    if backbone.name == "tiny" and not isinstance(dataset, Emoji):
        warnings.warn(
            "the bundled tiny backbone knows drawings only: its accuracy on photographs is near chance; for these, use "
            "--backbone ViT-B-16 --pretrained openai",
            stacklevel=3,
        )
