"""A backbone with a method's learner: features and logits for a set of class names."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Generator, Tensor, nn

from cliptune.backbones.backbone import Backbone
from cliptune.backbones.features import normalise
from cliptune.errors import UserError
from cliptune.model.method import Method
from cliptune.model.teacher import TeacherModel
from cliptune.model.texts import FrozenText, TextEncoder, TextOutputs
from cliptune.model.views import adapt_views, check_image_tower, encode_views, for_images, frozen_features
from cliptune.types import BlockFeatures, ImageOutputs, Outputs, Prompts, State


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
        self.trained_templates, self._teacher = tuple(trained_templates) or self.templates, teacher
        self.known, self.other_data = set(classnames) <= set(self.trained), other_data
        self.novel = not self.known if novel is None else novel
        self.learner = self._new_learner(generator, teacher_text) if learner is None else learner
        _ = self.texts  # sentences that do not fit are refused now
        check_image_tower(backbone, method)
        self._encoded: tuple[Prompts, TextOutputs] | None = None
        self._class_inputs: dict[Any, Any] = {}

    @cached_property
    def texts(self) -> TextEncoder:
        """Encodes the prompts of the classes, and further texts."""
        prompts = self.method.class_prompts(self.backbone, self.classnames, self.templates)
        return TextEncoder(self.backbone, prompts, type(self.method).__name__)

    @property
    def class_text(self) -> FrozenText:
        """The prompts of the classes."""
        return self.texts.classes

    def part(self, method: Method, learner: nn.Module, backbone: Backbone | None = None) -> TunedModel:
        """The model of a wrapped method, whose learner is a part of this model's; on another backbone if given."""
        own = copy.copy(self)
        own._modules = {**self._modules, "backbone": backbone or self.backbone, "learner": learner}
        own.method, own._encoded, own._class_inputs = method, None, {}
        own.__dict__.pop("texts", None)
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

        novel, other_data: As for the class. Raises `UserError` if the method has parameters per class, for other names.
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

    def _new_learner(self, generator: Generator | None, teacher_text: Tensor | None) -> nn.Module:
        method = self.method
        if method.teacher_source() is not None:
            text = self.teacher.text(self.classnames, self.templates) if teacher_text is None else teacher_text
            method = method.taught(text)
        return method.learner(self.backbone, self.classnames, generator or Generator().manual_seed(0))

    @property
    def accepts_new_classes(self) -> bool:
        """Whether the learner serves class names that it was not trained on."""
        prompts = self._learned()
        named = any(inputs is not None for inputs in self._class_inputs.values())
        per_class = any(x is not None and x.ndim == 3 for x in (prompts.text, *prompts.text_deep))
        return not prompts.per_class and (named or not per_class)

    def train(self, mode: bool = True) -> TunedModel:
        self._encoded = None  # the learner may have changed since
        return super().train(mode)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> TunedModel:
        self._encoded = None  # it would stay on the device that the model leaves
        return super()._apply(fn, recurse)

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
        prompts = self._bound(self._learned(self.learner)) if self._encoded is None else self._encoded[0]
        stopped = frozenset() if state is None else self.method.stop_gradient_views(state)
        # Tokens that are made from class features need these first.
        text = self._encode_text(state, prompts, None, record) if any(prompts.image_made) else None
        classes = None if text is None else text.of_tokens
        raw = encode_views(self.backbone, self.method, views, prompts, stopped, record, classes)
        return self.outputs(raw, views, prompts, state, record=record, text=text)

    def outputs(
        self,
        raw: Mapping[str, ImageOutputs],
        views: Mapping[str, Tensor],
        prompts: Prompts,
        state: State | None = None,
        *,
        record: bool = False,
        fixed_text: bool = False,
        text: TextOutputs | None = None,
    ) -> Outputs:
        """Features and logits from the image tower's outputs `raw`. fixed_text: Whether class features shall receive no
        gradient. text: Features of the texts, if they are known. Other arguments as for `forward`."""
        stopped = frozenset() if state is None else self.method.stop_gradient_views(state)
        raw_image = adapt_views(raw, prompts, stopped, self.learner)
        image = {name: normalise(x) for name, x in raw_image.items()}
        with torch.set_grad_enabled(torch.is_grad_enabled() and not fixed_text):
            text = self._encode_text(state, prompts, image["image"], record) if text is None else text
        out = Outputs(
            image,
            text.features,
            self.backbone.logit_scale,
            torch.empty(0),
            prompts,
            text.extra,
            raw_image=raw_image,
            raw_text=text.raw,
            texts=text.texts,
            tokens={name: own.tokens for name, own in raw.items() if own.tokens is not None},
            patches={name: own.patches for name, own in raw.items() if own.patches is not None},
            frozen=frozen_features(self.backbone, self.method, views, raw, prompts),
            made={name: own.made for name, own in raw.items() if own.made},
            block_features=BlockFeatures(text.blocks, raw["image"].blocks) if record else None,
        )
        return replace(out, logits=self.method.logits(out))

    def prompts(self, merge: bool = True) -> Prompts:
        """The learner's output, bound to these class names, with the backbone's logit bias; in evaluation without
        gradients, low-rank terms are merged into the weights unless `merge` is false."""
        return self._bound(self._learned(), merge)

    def _bound(self, prompts: Prompts, merge: bool = True) -> Prompts:
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
        merge = merge and not (self.training or torch.is_grad_enabled())
        return self.backbone.merged(prompts) if merge else prompts

    @property
    def fixed_image(self) -> bool:
        """Whether image features from the frozen tower are all that the model reads of images."""
        return self._learned().fixed_image and not (self.method.needs_tokens or self.method.needs_patches)

    def _learned(self, learner: nn.Module | None = None) -> Prompts:
        """The output of `learner`; by default of the model's own, of which a copy is called if a call changes it."""
        if learner is None:
            changes = any(getattr(part, "changes_when_called", False) for part in self.learner.modules())
            learner = copy.deepcopy(self.learner) if changes else self.learner
        key = self.backbone.logit_scale.device, self.backbone.autocast
        if key not in self._class_inputs:
            with torch.no_grad():
                self._class_inputs[key] = self.method.class_inputs(self)
        inputs = self._class_inputs[key]
        return learner() if inputs is None else learner(inputs)

    def encode_classes(
        self, state: State | None = None, prompts: Prompts | None = None, image: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Class features `(C, d)`, and features of extra prompts `(P, d)` or None, at this point of training.

        image: Normalised features `(b, d)` for methods whose prompts depend on the image; class features are then
        `(b, C, d)`. Raises `UserError` for such a method without them.
        """
        text = self._encode_text(state, prompts or self.prompts(), image, False)
        return text.features, text.extra

    def text_outputs(self, prompts: Prompts) -> TextOutputs:
        """All text features for evaluation. Raises `UserError` if the prompts depend on the image."""
        return self._encode_text(None, prompts, None, False)

    def _encode_text(self, state: State | None, prompts: Prompts, image: Tensor | None, record: bool) -> TextOutputs:
        if state is None and not self.training and not record and self._encoded is not None:
            return self._encoded[1]
        wanted = self.method.extra_prompts(state)
        given = self.method.text_features(self, wanted)
        text = self.texts.encode(prompts, image, wanted, record) if given is None else TextOutputs(*given)
        lasting = state is None and prompts.conditional is None and prompts.lasting
        if lasting and not self.training and not torch.is_grad_enabled():
            self._encoded = replace(prompts, image_context=None), text
        return text

    def encode_views(
        self, views: Mapping[str, Tensor], prompts: Prompts | None = None, stopped: frozenset[str] = frozenset()
    ) -> dict[str, Tensor]:
        """Normalised features `(b, d)` of all views in one pass of the image tower, or two if some are in `stopped`.

        views: As for `forward`. stopped: Views that need no autograd graph.
        """
        prompts = prompts or Prompts()
        raw = encode_views(self.backbone, self.method, views, prompts, stopped, classes=self._classes(prompts))
        return {name: normalise(x) for name, x in adapt_views(raw, prompts, stopped, self.learner).items()}

    def encode_images(self, images: Mapping[str, Tensor], prompts: Prompts) -> dict[str, Tensor]:
        """Features `(b, d)` of all views in one pass of the image tower, neither adapted nor normalised."""
        raw = encode_views(self.backbone, self.method, images, prompts, classes=self._classes(prompts))
        return {name: out.features for name, out in raw.items()}

    def prompts_for(self, images: Tensor, prompts: Prompts | None = None) -> Prompts:
        """`prompts`, by default those of the learner, for one pass of the image tower on `images` `(b, 3, H, W)`: with
        class features and frozen image features if tokens are made from them, else as they are."""
        prompts = self.prompts() if prompts is None else prompts
        return for_images(self.backbone, prompts, images, self._classes(prompts))

    def _classes(self, prompts: Prompts) -> Tensor | None:
        """Un-normalised class features `(C, d)`, if image tokens are made from them."""
        return self._encode_text(None, prompts, None, False).of_tokens if any(prompts.image_made) else None
