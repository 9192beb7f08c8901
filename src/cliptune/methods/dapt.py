"""DAPT: decouple foreground and background, then align each with text. Wraps any method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from cliptune import checks
from cliptune.backbones.features import scaled_cosines
from cliptune.backbones.tokenized_text import format_template
from cliptune.errors import UserError
from cliptune.methods.maple import Maple
from cliptune.model.method import Method
from cliptune.model.wrapper import Wrapper
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
#: The released code drops 25 of its 32 background rows, so the first 7 words compete with the classes (see `compat`).
#: When it tests novel classes it drops none, and all 32 compete.
RELEASE_COMPETING_WORDS = 7
#: The released code switches phases after this epoch, counted from 0, for runs of any length.
RELEASE_LAST_PULL_PUSH_EPOCH = 6


@dataclass(frozen=True)
class Dapt(Wrapper):
    """Foreground and background views of each image: a triplet loss first, then alignment with text.

    Decouple before Align: Visual Disentanglement Enhances Prompt Tuning, 2025, https://arxiv.org/abs/2508.00395.
    Checked against DAPT e556f17. Trains the parameters of `base`. The paper does not say how it is combined with
    PromptKD; here the foreground term then trains the image tower towards the teacher's logits of the whole image, as
    class features are fixed.
    """

    base: Method = field(default_factory=Maple)
    """The wrapped method."""
    masks_from: str = "auto"
    """Source of foreground masks: data (alpha, exact masks), folder:PATH (DAPT-S), beside (a sibling folder "mask", as
    in released archives), seem (the same, read by the released code's pixel rule), box:FILE, gradcam (of the model
    being tuned, renewed each epoch; DAPT-G), maskclip (of that model, from its patch features), grid, full; auto is the
    source of `base`, else data if images have masks, else gradcam."""
    pull_push: float = 0.8
    """Weight of the triplet loss in the first phase."""
    margin: float = 1.5
    """Margin of the triplet loss; distances of unit vectors are at most 2."""
    foreground: float = 0.1
    """Weight of the cross-entropy of foregrounds with the classes in the second phase."""
    background: float = 0.5
    """Weight of aligning backgrounds with the background classes in the second phase."""
    switch: float = 0.7
    """Share of the epochs in the first phase. If below 1, the last epoch belongs to the second phase, and a single
    epoch is split between both, so that every run reaches both."""
    background_classes: str = GENERAL_BACKGROUNDS
    """Words for backgrounds; for food add "table forks tablecloth hands spoon glasses dishes"."""
    background_template: str = "a clean origami {}."
    """Template of the background prompts, with one {}."""
    compat: Literal["paper", "release"] = "paper"
    """Follow the paper, or the released code: 32 background words, of which 7 compete with the classes in training and
    testing, and all 32 in testing novel classes; a switch after the seventh epoch for runs of any length; stored masks
    resized bicubically and then thresholded, with 255 as background."""

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
        """Whether training is in its first phase, with the triplet loss."""
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
        # Masked pixels become zero, the dataset's mean colour after normalisation.
        return {
            **self.base.views(batch),
            "foreground": batch.images * batch.masks,
            "background": batch.images * (1 - batch.masks),
        }

    def stop_gradient_views(self, state: State) -> frozenset[str]:
        fixed = set() if self.base.fixed_classes else {"foreground"}
        stopped = {"foreground", "background"} if self.decoupling(state) else fixed
        return self.base.stop_gradient_views(state) | stopped

    def idle_views(self, prompts: Prompts, state: State) -> frozenset[str]:
        idle = self.base.idle_views(prompts, state)
        if not prompts.fixed_image or prompts.adapt_image is not None:
            return idle
        # Image features are constant: the triplet loss trains nothing, aligning foregrounds trains class features, and
        # aligning backgrounds trains the features of the words, if anything learned is in these.
        if self.decoupling(state):
            return idle | {"foreground", "background"}
        fixed_words = prompts.fixed_other_text and prompts.adapt_text is None
        return idle | ({"background"} if fixed_words else set())

    def needs_masks(self, prompts: Prompts, state: State) -> bool:
        if self.base.mask_source() is not None and self.base.needs_masks(prompts, state):
            return True
        points = (replace(state, step=step) for step in (0, state.steps - 1))
        return any(not {"foreground", "background"} <= self.idle_views(prompts, point) for point in points)

    def logits(self, out: Outputs, view: str = "image") -> Tensor:
        import torch

        logits = self.base.logits(out, view)
        if self.compat == "paper" or out.extra_text is None:
            return logits
        competing = out.extra_text if out.prompts.novel else out.extra_text[:RELEASE_COMPETING_WORDS]
        more = scaled_cosines(out.image[view], competing, out.logit_scale, out.prompts.logit_bias)
        return torch.cat([logits, more], 1)

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        losses = dict(self.base.losses(out, batch, state))
        foreground, background = out.image.get("foreground"), out.image.get("background")
        if self.decoupling(state):
            if foreground is not None and background is not None:
                distance = pull_push(out.image["image"], foreground, background, self.margin)
                losses["pull_push"] = self.pull_push * distance
            return losses
        if foreground is not None:
            # It trains the class features; if these are fixed (PromptKD), it trains the image side instead.
            own = foreground if self.base.fixed_classes else foreground.detach()
            logits = self.logits(replace(out, image={**out.image, "foreground": own}), "foreground")
            losses["foreground"] = self.foreground * self.base.view_loss(logits, out, batch, state)
        if background is not None:
            assert out.extra_text is not None
            texts = out.extra_text[RELEASE_COMPETING_WORDS:] if self.compat == "release" else out.extra_text
            losses["background"] = self.background * background_alignment_loss(background, texts, out.logit_scale)
        return losses

    def mask_source(self) -> str | None:
        source = self.resolve_masks(self.masks_from)
        # The released code has its own pixel rule for stored masks.
        stored = {"folder": "seem", "beside": "seem"}
        name, colon, path = source.partition(":")
        return stored.get(name, name) + colon + path if self.compat == "release" else source
