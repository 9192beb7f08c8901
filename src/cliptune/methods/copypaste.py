"""Copy-paste: each object also on the background of another image, a plain use of masks. Wraps any method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cliptune import checks
from cliptune.errors import UserError
from cliptune.methods.maple import Maple
from cliptune.model.method import Method, Wrapper
from cliptune.objectives.classification import classification_loss
from cliptune.types import Batch, Outputs, State

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class CopyPaste(Wrapper):
    """An extra view of each picture, its foreground on the background of another one of the batch, with cross-entropy.

    Dwibedi et al., Cut, Paste and Learn, ICCV 2017, https://arxiv.org/abs/1708.01642, and Ghiasi et al., Simple
    Copy-Paste, CVPR 2021, https://arxiv.org/abs/2012.07177, for classification: the control that DAPT, which takes the
    same masks, is held against. Checked against its definition alone: there is no release. Learns what `base` learns.
    """

    base: Method = field(default_factory=Maple)
    """The method inside."""
    masks_from: str = "auto"
    """Where foregrounds come from: data (alpha, exact masks), folder:PATH, gradcam or maskclip (of the model being
    tuned), grid, full; auto is what `base` takes, else data where pictures bring masks, else gradcam."""
    pasted: float = 1.0
    """Weight of the cross-entropy on pasted pictures."""
    instead: bool = False
    """Train on the pasted pictures in place of the original ones, not beside them: scenery then says nothing of the
    class, and a step costs no more than without."""

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
        # The batch is in random order, so the next picture is any other. Its own object goes: its pixels become the
        # dataset's mean colour, which is zero after normalisation.
        backgrounds = (batch.images * (1 - batch.masks)).roll(1, 0)
        pasted = batch.images * batch.masks + backgrounds * (1 - batch.masks)
        if self.instead:
            return self.base.views(replace(batch, images=pasted))
        return {**self.base.views(batch), "pasted": pasted}

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        if self.instead:
            return self.base.losses(out, batch, state)
        logits = self.logits(out.image["pasted"], out.text, out.extra_text, out.logit_scale, out.prompts)
        pasted = self.pasted * classification_loss(logits, batch)
        return {**self.base.losses(out, batch, state), "pasted": pasted}

    def masks(self) -> str:
        return self.resolve_masks(self.masks_from)
