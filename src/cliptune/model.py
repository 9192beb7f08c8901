"""The tuned model: backbone, learner and class names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Generator, Tensor, nn

from cliptune.backbones.backbone import Backbone, normalise
from cliptune.backbones.sentences import Sentences
from cliptune.errors import UserError
from cliptune.methods.base import Method
from cliptune.types import Outputs, Prompts, State


class TunedModel(nn.Module):
    """A frozen backbone with a method's learner in it, classifying among `classnames`.

    Args: templates: the dataset's sentence(s), each with one `{}`. generator: starts the learner's tensors.
    """

    def __init__(
        self,
        backbone: Backbone,
        method: Method,
        classnames: Sequence[str],
        templates: Sequence[str] = ("a photo of a {}.",),
        generator: Generator | None = None,
    ):
        super().__init__()
        self.backbone, self.method = backbone, method
        self.classnames, self.templates = tuple(classnames), tuple(templates)
        backbone.check_names(self.classnames)
        self.learner = method.learner(backbone, self.classnames, generator or Generator().manual_seed(0))
        self._sentences = method.sentences(backbone, self.classnames, self.templates)
        self._phrases: dict[tuple[str, ...], Sentences] = {}
        self._text: tuple[Prompts, Tensor, Tensor | None] | None = None

    def with_classes(self, classnames: Sequence[str]) -> TunedModel:
        """The same tuned model for other class names; only text features are made anew.

        Raises `UserError` when the method learned one context a class and the names differ.
        """
        prompts = self.learner()
        if prompts.text is not None and prompts.text.ndim == 3 and tuple(classnames) != self.classnames:
            raise UserError(
                "this model learned a context of its own for each class (class_specific), so it cannot take other "
                "class names"
            )
        other = TunedModel.__new__(TunedModel)
        nn.Module.__init__(other)
        other.backbone, other.method, other.learner = self.backbone, self.method, self.learner
        other.classnames, other.templates = tuple(classnames), self.templates
        self.backbone.check_names(sorted(set(classnames) - set(self.classnames)))
        other._sentences = self.method.sentences(self.backbone, other.classnames, self.templates)
        other._phrases, other._text = self._phrases, None
        return other.train(self.training)

    def train(self, mode: bool = True) -> TunedModel:
        self._text = None  # the learner may have moved since
        return super().train(mode)

    def forward(self, views: Mapping[str, Tensor], state: State | None = None) -> Outputs:
        """Features of every view and logits of "image".

        views: name -> normalised images `(b, 3, H, W)`, or features `(b, d)` made earlier.
        state: where training stands; None evaluates, with text features computed once until `train()` or `eval()` is
        called.
        """
        prompts, text, phrases = self.text_side(state)
        stopped = frozenset() if state is None else self.method.detached(state)
        image = self.image_side(views, prompts, stopped)
        scale = self.backbone.logit_scale
        logits = self.method.classify(image["image"], text, phrases, scale)
        return Outputs(image, text, scale, logits, prompts, phrases)

    def text_side(self, state: State | None = None) -> tuple[Prompts, Tensor, Tensor | None]:
        """Prompts, class features `(C, d)` and phrase features `(P, d)` or None at this point of training."""
        if state is None and not self.training and self._text is not None:
            return self._text
        prompts = self.learner()
        text = self.backbone.class_features(self._sentences, prompts)
        wanted = self.method.phrases(state)
        phrases = self.backbone.class_features(self._plain(wanted), prompts) if wanted else None
        if state is None and not self.training and not torch.is_grad_enabled():
            self._text = prompts, text, phrases
        return prompts, text, phrases

    def _plain(self, phrases: tuple[str, ...]) -> Sentences:
        if phrases not in self._phrases:
            self._phrases[phrases] = self.backbone.plain(phrases)
        return self._phrases[phrases]

    def image_side(
        self, views: Mapping[str, Tensor], prompts: Prompts | None = None, stopped: frozenset[str] = frozenset()
    ) -> dict[str, Tensor]:
        """Normalised features `(b, d)` of all views in one pass, or in two where some need no autograd graph."""
        tokens = () if prompts is None else prompts.image
        features = {name: view for name, view in views.items() if view.ndim == 2}
        pictures = {name: view for name, view in views.items() if view.ndim != 2}
        for graph in (True, False):
            names = [name for name in pictures if (name not in stopped) is graph]
            if not names:
                continue
            with torch.set_grad_enabled(graph and torch.is_grad_enabled()):
                joint = self.backbone.encode_image(torch.cat([pictures[name] for name in names]), tokens)
                joint = normalise(joint)
            features |= dict(zip(names, joint.split([len(pictures[name]) for name in names]), strict=True))
        return {name: features[name] for name in views}
