"""The tuned model: backbone, learner and class names."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Generator, Tensor, nn

from cliptune.backbones.backbone import Backbone
from cliptune.backbones.features import image_features, text_features
from cliptune.backbones.tokenized_text import TokenizedText
from cliptune.data.dataset import Dataset
from cliptune.data.emoji.dataset import Emoji
from cliptune.errors import UserError
from cliptune.model.method import Method
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
        self.trained, self.novel = self.classnames, False
        backbone.check_names(self.classnames)
        self.learner = method.learner(backbone, self.classnames, generator or Generator().manual_seed(0))
        self._sentences = method.sentences(backbone, self.classnames, self.templates)
        self._phrases: dict[tuple[str, ...], TokenizedText] = {}
        self._text: tuple[Prompts, Tensor, Tensor | None] | None = None
        self._fixed: dict[tuple, tuple[TokenizedText, Tensor]] = {}

    def with_classes(
        self, classnames: Sequence[str], templates: Sequence[str] = (), *, novel: bool | None = None
    ) -> TunedModel:
        """The same tuned model for other class names, in other templates if there are any; only text features are
        computed again.

        novel: whether these are classes of the training data that training left out, which some methods test in another
        way; by default, whether some name is not among those of training.
        Raises `UserError` when the method learned something for each class and the names differ.
        """
        if tuple(classnames) != self.classnames and not self.accepts_new_classes:
            raise UserError(
                f"this model ({type(self.method).__name__}) learned something of its own for each class, so it cannot "
                f"take other class names"
            )
        other = TunedModel.__new__(TunedModel)
        nn.Module.__init__(other)
        other.backbone, other.method, other.learner = self.backbone, self.method, self.learner
        other.classnames, other.templates = tuple(classnames), tuple(templates) or self.templates
        other.trained = self.trained
        other.novel = not set(classnames) <= set(self.trained) if novel is None else novel
        self.backbone.check_names(sorted(set(classnames) - set(self.classnames)))
        other._sentences = self.method.sentences(self.backbone, other.classnames, other.templates)
        other._phrases, other._text, other._fixed = self._phrases, None, {}
        return other.train(self.training)

    @property
    def accepts_new_classes(self) -> bool:
        """Whether what was learned says something of classes it was not learned on."""
        prompts = self.learner()
        return not prompts.per_class and (prompts.text is None or prompts.text.ndim == 2)

    def train(self, mode: bool = True) -> TunedModel:
        self._text = None  # the learner may have moved since
        return super().train(mode)

    def forward(self, views: Mapping[str, Tensor], state: State | None = None) -> Outputs:
        """Features of every view and logits of "image".

        views: name -> normalised images `(b, 3, H, W)`, or un-normalised features `(b, d)` made earlier.
        state: where training stands; None evaluates, with text features computed once until `train()` or `eval()` is
        called.
        """
        prompts = self.prompts() if self._text is None else self._text[0]
        stopped = frozenset() if state is None else self.method.stop_gradient_views(state)
        image = self.encode_views(views, prompts, stopped)
        text, phrases = self.encode_classes(state, prompts, image["image"])
        scale = self.backbone.logit_scale
        logits = self.method.classify(image["image"], text, phrases, scale, prompts)
        return Outputs(image, text, scale, logits, prompts, phrases)

    def prompts(self) -> Prompts:
        """What the learner hands on, for these class names, with what the backbone adds to logits."""
        prompts = self.learner()
        head = None if prompts.head is None else partial(prompts.head, classnames=self.classnames)
        return replace(prompts, head=head, novel=self.novel, logit_bias=self.backbone.logit_bias)

    def encode_classes(
        self, state: State | None = None, prompts: Prompts | None = None, image: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Class features `(C, d)` and phrase features `(P, d)` or None at this point of training.

        image: features `(b, d)` for methods whose sentences depend on the picture; text is then `(b, C, d)`.
        Raises `UserError` for such a method when there is no picture.
        """
        if state is None and not self.training and self._text is not None:
            return self._text[1:]
        prompts = prompts or self.prompts()
        text = self._classes(prompts, image)
        wanted = self.method.phrases(state)
        phrases = self._features(self._plain(wanted), replace(prompts, trail=None)) if wanted else None
        lasting = state is None and prompts.conditional is None
        if lasting and not self.training and not torch.is_grad_enabled():
            self._text = prompts, text, phrases
        return text, phrases

    def _classes(self, prompts: Prompts, image: Tensor | None) -> Tensor:
        """Class features `(C, d)`, or `(b, C, d)` where each picture has a context of its own."""
        if prompts.conditional is None:
            return self._features(self._sentences, prompts)
        if image is None:
            raise UserError(
                f"the sentences of this model ({type(self.method).__name__}) depend on the picture, so there is no "
                f"text classifier without one; classify pictures instead"
            )
        return self.backbone.class_features_per_image(self._sentences, prompts.conditional(image), prompts)

    def _features(self, sentences: TokenizedText, prompts: Prompts) -> Tensor:
        """Normalised features of `sentences`; what the tower says of fixed ones is computed once."""
        if not prompts.fixed_text:
            return self.backbone.class_features(sentences, prompts)
        key = (id(sentences), self.backbone.logit_scale.device, self.backbone.autocast)
        if key not in self._fixed:  # the sentences are held with their features, so that their identity stays theirs
            with torch.no_grad():
                self._fixed[key] = sentences, self.backbone.encode_text(sentences)
        return text_features(self._fixed[key][1], sentences, prompts)

    def _plain(self, phrases: tuple[str, ...]) -> TokenizedText:
        if phrases not in self._phrases:
            self._phrases[phrases] = self.backbone.plain(phrases)
        return self._phrases[phrases]

    def encode_views(
        self, views: Mapping[str, Tensor], prompts: Prompts | None = None, stopped: frozenset[str] = frozenset()
    ) -> dict[str, Tensor]:
        """Normalised features `(b, d)` of all views in one pass, or in two where some need no autograd graph.

        views: images `(b, 3, H, W)`, or un-normalised features `(b, d)` made earlier.
        """
        prompts = prompts or Prompts()
        found: dict[str, Tensor] = {}
        for graph in (True, False):
            names = [name for name in views if (name not in stopped) is graph]
            with torch.set_grad_enabled(graph and torch.is_grad_enabled()):
                pictures = {name: views[name] for name in names if views[name].ndim != 2}
                raw = {name: views[name] for name in names} | self.encode_images(pictures, prompts)
                found |= {name: image_features(features, prompts) for name, features in raw.items()}
        return {name: found[name] for name in views}

    def encode_images(self, pictures: Mapping[str, Tensor], prompts: Prompts) -> dict[str, Tensor]:
        """What the image tower says of all pictures in one pass: features `(b, d)`, neither adapted nor normalised."""
        if not pictures:
            return {}
        sizes = [len(images) for images in pictures.values()]
        blocks = [] if prompts.trail is not None and "image" in pictures else None
        joint = self.backbone.encode_image(torch.cat(list(pictures.values())), prompts.image, blocks, prompts.image_kv)
        if prompts.trail is not None and blocks is not None:
            prompts.trail.image += [dict(zip(pictures, x.split(sizes), strict=True))["image"] for x in blocks]
        return dict(zip(pictures, joint.split(sizes), strict=True))


def check_images(backbone: Backbone, dataset: Dataset | None) -> None:
    """Warn where the bundled tiny backbone meets other images than the bundled drawings, of which alone it knows
    anything; None stands for images of an unknown kind."""
    if backbone.name == "tiny" and not isinstance(dataset, Emoji):
        warnings.warn(
            "the bundled tiny backbone knows drawings only: its accuracy on photographs is near chance; for these, say "
            "--backbone ViT-B-16 --pretrained openai",
            stacklevel=3,
        )
