"""Copy-paste augmentation: each object also on the background of another image. Wraps any method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cliptune import checks
from cliptune.errors import UserError
from cliptune.methods.maple import Maple
from cliptune.model.method import Method
from cliptune.model.wrapper import Wrapper
from cliptune.types import Batch, Outputs, State

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class CopyPaste(Wrapper):
    """An extra view of each image with its foreground on the background of another image of the batch, and its
    cross-entropy (for PromptKD, its distillation loss).

    Dwibedi et al., Cut, Paste and Learn, ICCV 2017, https://arxiv.org/abs/1708.01642, and Ghiasi et al., Simple
    Copy-Paste, CVPR 2021, https://arxiv.org/abs/2012.07177, for classification: a baseline with the same masks as DAPT.
    Checked against its definition, as there is no released code. Trains the parameters of `base`.
    """

    base: Method = field(default_factory=Maple)
    """The wrapped method."""
    masks_from: str = "auto"
    """Source of foreground masks: data (alpha, exact masks), folder:PATH, gradcam or maskclip (of the model being
    tuned), grid, full; auto is the source of `base`, else data if images have masks, else gradcam."""
    pasted: float = 1.0
    """Weight of the cross-entropy on pasted images."""
    instead: bool = False
    """Train on the pasted images only, not on the original ones: backgrounds then carry no information about the class,
    and a step costs no more than without copy-paste."""

    def __post_init__(self):
        super().__post_init__()
        checks.at_least(self, 0, "pasted")

    def unused_fields(self) -> dict[str, str]:
        return {"pasted": "instead leaves the pasted images alone to train on"} if self.instead else {}

    def views(self, batch: Batch) -> dict[str, Tensor]:
        if batch.masks is None:
            raise UserError(
                "copypaste needs a mask for every training image; choose a source with masks_from (folder:PATH or "
                "gradcam)"
            )
        # The batch is shuffled, so the next image is a random one. Pixels of its object become the dataset's mean
        # colour, which is zero after normalisation.
        backgrounds = (batch.images * (1 - batch.masks)).roll(1, 0)
        pasted = batch.images * batch.masks + backgrounds * (1 - batch.masks)
        if self.instead:
            return self.base.views(replace(batch, images=pasted))
        return {**self.base.views(batch), "pasted": pasted}

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        if self.instead:
            return self.base.losses(out, batch, state)
        logits = self.logits(out, "pasted")
        pasted = self.pasted * self.base.view_loss(logits, out, batch, state)
        return {**self.base.losses(out, batch, state), "pasted": pasted}

    def mask_source(self) -> str:
        return self.resolve_masks(self.masks_from)
