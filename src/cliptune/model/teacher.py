"""A teacher: another tuned model, or a bare backbone, whose features and logits a student learns from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from cliptune.backbones.preprocess import Preprocess
from cliptune.errors import UserError

if TYPE_CHECKING:
    from cliptune.backbones.backbone import Backbone
    from cliptune.model.tuned_model import TunedModel


class TeacherModel:
    """A frozen model of any width, with an image preprocessing and a logit scale of its own.

    Args:
        model: The teacher. A bare backbone is a zero-shot model.
        student: The backbone of the student, whose images, device and precision are used.
    """

    def __init__(self, model: TunedModel, student: Backbone):
        self.model, self.student = model.eval(), student
        self._models: dict[tuple[tuple[str, ...], tuple[str, ...]], TunedModel] = {}
        self._phrases: dict[tuple[str, ...], Tensor] = {}
        self._device = model.backbone.logit_scale.device

    def text(self, classnames: Sequence[str], templates: Sequence[str]) -> Tensor:
        """Normalised class features `(C, d)`, with the teacher's own prompts.

        templates: The student's templates, for teachers that have no words of their own. Raises `UserError` if the
        teacher accepts no other class names, or if its prompts depend on the image.
        """
        with self._running():
            return self._named(classnames, templates).encode_classes()[0]

    def phrases(self, texts: Sequence[str]) -> Tensor:
        """Normalised features `(P, d)` of further texts."""
        key = tuple(texts)
        if key not in self._phrases:
            with self._running():
                self._phrases[key] = self.model.texts.encode_extra(key, self.model.prompts())
        return self._phrases[key]

    def image(self, images: Tensor) -> Tensor:
        """Normalised features `(b, d)` of images `(b, 3, H, W)` that are normalised for the student."""
        with self._running():
            return self.model.encode_views({"image": self._prepared(images)}, self.model.prompts())["image"]

    def logits(self, images: Tensor, classnames: Sequence[str], templates: Sequence[str]) -> Tensor:
        """Logits `(b, C)` of images `(b, 3, H, W)` that are normalised for the student, with the teacher's own scale,
        bias and head."""
        with self._running():
            logits = self._named(classnames, templates)({"image": self._prepared(images)}).logits
        return logits[:, : len(classnames)]

    def _named(self, classnames: Sequence[str], templates: Sequence[str]) -> TunedModel:
        """The teacher for other class names; one for each set of names, so that each is encoded once."""
        key = tuple(classnames), tuple(templates)
        if key not in self._models:
            self._models[key] = self.model.with_classes(*key)
        return self._models[key]

    def _prepared(self, images: Tensor) -> Tensor:
        if images.ndim != 4:
            raise UserError("a teacher needs images, but training uses cached features; leave cached_views at 0")
        return renormalised(images, self.student.preprocess, self.model.backbone.preprocess)

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Without gradients, on the student's device and in its precision."""
        device, own = self.student.logit_scale.device, self.model.backbone
        if self._device != device:  # also if the student has moved a backbone that both share
            self.model.to(device)
            self._models.clear()
            self._phrases.clear()
            self._device = device
        with torch.no_grad(), own.autocast_with(self.student.autocast):
            yield


def renormalised(images: Tensor, source: Preprocess, target: Preprocess) -> Tensor:
    """Images `(b, 3, H, W)` normalised for `source`, as `target` expects them: un-normalised, resized and normalised
    again where the two differ. The whole image is resized, whatever `resize_mode` is."""
    if (source.size, source.mean, source.std) == (target.size, target.mean, target.std):
        return images

    def channels(values: Sequence[float]) -> Tensor:
        return images.new_tensor(values).view(3, 1, 1)

    pixels = images * channels(source.std) + channels(source.mean)
    if source.size != target.size:
        pixels = F.interpolate(pixels, target.size, mode=target.interpolation, antialias=True).clamp(0, 1)
    return (pixels - channels(target.mean)) / channels(target.std)
