"""DAPT: decouple the object from its background before aligning either with sentences. Wraps any method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from cliptune import checks
from cliptune.backbones.tokenized_text import format_template
from cliptune.errors import UserError
from cliptune.methods.maple import Maple
from cliptune.model.method import Method, Wrapper
from cliptune.objectives.classification import classification_loss
from cliptune.objectives.decoupling import background_alignment_loss, pull_push
from cliptune.types import Batch, Outputs, Prompts, State

if TYPE_CHECKING:
    from torch import Tensor

GENERAL_BACKGROUNDS = (
    "ground land grass tree building wall sky lake water river sea railway railroad keyboard helmet cloud house "
    "mountain ocean "
    "road rock street valley bridge sign"
)
FOOD_BACKGROUNDS = "table forks tablecloth hands spoon glasses dishes"
#: The release slices 25 of its 32 background rows off, so the first 7 words compete as classes (see `compat`); where
#: it tests novel classes it slices none off, and all 32 compete.
RELEASE_COMPETING_WORDS = 7
#: The release switches after this epoch (counted from 0), however long the run.
RELEASE_LAST_PULL_PUSH_EPOCH = 6


@dataclass(frozen=True)
class Dapt(Wrapper):
    """Foreground and background views beside the image: first pulled and pushed apart, then aligned with sentences.

    Decouple before Align: Visual Disentanglement Enhances Prompt Tuning, 2025, https://arxiv.org/abs/2508.00395.
    Checked against DAPT e556f17. Learns what `base` learns.
    """

    base: Method = field(default_factory=Maple)
    """The method inside."""
    masks_from: str = "auto"
    """Where foregrounds come from: data (alpha, exact masks), folder:PATH (DAPT-S), beside (a folder mask beside the
    pictures', as released archives have it), seem (the same by the released code's pixel rule), box:FILE, gradcam (of
    the model being tuned, made anew each epoch; DAPT-G), maskclip (of that model too, from what its patches say), grid,
    full; auto is data for pictures that bring masks, gradcam for others."""
    pull_push: float = 0.8
    """Weight of the triplet term in the first phase."""
    margin: float = 1.5
    """Of the triplet's hinge; distances of unit vectors are at most 2."""
    foreground: float = 0.1
    """Weight of aligning foregrounds with the classes, second phase."""
    background: float = 0.5
    """Weight of aligning backgrounds with the background classes, second phase."""
    switch: float = 0.7
    """Share of the epochs in the first phase. Below 1 the last epoch is of the second, and a single epoch holds both,
    so that any run reaches both."""
    background_classes: str = GENERAL_BACKGROUNDS
    """Words for backgrounds; for food add "table forks tablecloth hands spoon glasses dishes"."""
    background_template: str = "a clean origami {}."
    """The sentence about a background."""
    compat: Literal["paper", "release"] = "paper"
    """What the paper means, or what the released code does: 32 background words, of which 7 compete with the classes
    in training and testing, and all 32 in testing novel classes; a switch after the seventh epoch whatever the length;
    stored masks resized bicubically and then thresholded, with 255 as background."""

    def __post_init__(self):
        super().__post_init__()
        checks.at_least(self, 0, "pull_push", "margin", "foreground", "background")
        checks.between(self, 0, 1, "switch")
        checks.template("background_template", self.background_template)
        if not self.background_classes.split():
            raise UserError("background_classes is empty; give words for backgrounds, or set background=0")

    def unused_fields(self) -> dict[str, str]:
        why = "compat='release' has its own, as released"
        return dict.fromkeys(("background_classes", "switch"), why) if self.compat == "release" else {}

    def decoupling(self, state: State) -> bool:
        """Whether training is in its first phase, pull and push."""
        if self.compat == "release":
            return state.epoch <= RELEASE_LAST_PULL_PUSH_EPOCH
        done, whole = (state.epoch, state.epochs) if state.epochs > 1 else (state.step, state.steps)
        return done < (whole if self.switch == 1 else min(self.switch * whole, max(whole - 1, 1)))

    def extra_prompts(self, state: State | None) -> tuple[str, ...]:
        if self.compat == "release":
            words = (GENERAL_BACKGROUNDS + " " + FOOD_BACKGROUNDS).split()
        elif state is None or self.decoupling(state):
            return self.base.extra_prompts(state)
        else:
            words = self.background_classes.split()
        return (*(format_template(self.background_template, word) for word in words), *self.base.extra_prompts(state))

    def views(self, batch: Batch) -> dict[str, Tensor]:
        if batch.masks is None:
            raise UserError(
                "dapt needs a mask for every training image; choose a source with masks_from (folder:PATH or gradcam)"
            )
        # Masked pixels of a normalised image become the dataset's mean colour.
        return {
            **self.base.views(batch),
            "foreground": batch.images * batch.masks,
            "background": batch.images * (1 - batch.masks),
        }

    def stop_gradient_views(self, state: State) -> frozenset[str]:
        stopped = {"foreground", "background"} if self.decoupling(state) else {"foreground"}
        return self.base.stop_gradient_views(state) | stopped

    def logits(
        self, image: Tensor, text: Tensor, extra_text: Tensor | None, logit_scale: Tensor, prompts: Prompts
    ) -> Tensor:
        import torch

        logits = self.base.logits(image, text, extra_text, logit_scale, prompts)
        if self.compat == "paper" or extra_text is None:
            return logits
        competing = extra_text if prompts.novel else extra_text[:RELEASE_COMPETING_WORDS]
        stray = logit_scale * image @ competing.T
        return torch.cat([logits, stray if prompts.logit_bias is None else stray + prompts.logit_bias], 1)

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        losses = dict(self.base.losses(out, batch, state))
        foreground, background = out.image["foreground"], out.image["background"]
        if self.decoupling(state):
            losses["pull_push"] = self.pull_push * pull_push(out.image["image"], foreground, background, self.margin)
            return losses
        assert out.extra_text is not None
        logits = self.logits(foreground.detach(), out.text, out.extra_text, out.logit_scale, out.prompts)
        losses["foreground"] = self.foreground * classification_loss(logits, batch)
        texts = out.extra_text[RELEASE_COMPETING_WORDS:] if self.compat == "release" else out.extra_text
        losses["background"] = self.background * background_alignment_loss(background, texts, out.logit_scale)
        return losses

    def masks(self) -> str | None:
        source = self.resolve_masks(self.masks_from)
        # The release has a pixel rule of its own for stored masks.
        stored = {"folder": "seem", "beside": "seem"}
        name, colon, path = source.partition(":")
        return stored.get(name, name) + colon + path if self.compat == "release" else source
