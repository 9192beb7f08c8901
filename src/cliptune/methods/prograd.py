"""ProGrad: CoOp that takes no step against what zero-shot CLIP knows."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cliptune import checks
from cliptune.backbones.tokenized_text import TokenizedText, clean_words, tokenize_with_context
from cliptune.model.method import Method
from cliptune.objectives.classification import classification_loss
from cliptune.objectives.distillation import soft_cross_entropy
from cliptune.objectives.knowledge_guidance import remove_conflict
from cliptune.prompts.initialization import random_tokens
from cliptune.types import Batch, Outputs, State, Task

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone
    from cliptune.backbones.teacher import Teacher
    from cliptune.model.tuned_model import TunedModel


@dataclass(frozen=True)
class ProGrad(Method):
    """CoOp's context, shared by all classes; where its gradient opposes that of agreeing with the dataset's own
    template, the opposing part is taken out.

    Zhu et al., Prompt-aligned Gradient for Prompt Tuning, ICCV 2023, https://arxiv.org/abs/2205.14865.
    Checked against RESTORE 4c64a17.
    """

    n_ctx: int = 16
    """Context vectors."""
    words: str = ""
    """The last vectors start from these words, one a word; those before them, or all without words, start at random."""
    position: Literal["end", "middle", "front"] = "end"
    """Where the class name stands."""
    temperature: float = 1.0
    """Softens both distributions before they are compared (T in the paper)."""
    lam: float = 1.0
    """How much of the opposing part goes (lambda in the paper): 1 all of it, 0 leaves CoOp."""
    template: str = ""
    """The teacher's sentence with one {}, in place of the dataset's."""
    compat: Literal["paper", "release"] = "paper"
    """Start the vectors before the words at random, or at zero as released."""

    def __post_init__(self):
        object.__setattr__(self, "words", clean_words(self.words))
        least = max(1, len(self.words.split()))
        checks.at_least(self, least, "n_ctx", hint=f"it holds {self.words!r}" if self.words else "")
        checks.positive(self, "temperature")
        checks.at_least(self, 0, "lam")
        checks.template("template", self.template or "{}")

    @property
    def free(self) -> int:
        """Vectors before those that start from words."""
        return self.n_ctx - len(self.words.split())

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        import torch

        from cliptune.prompts.context import TextContext

        start = random_tokens(self.free, backbone.text_width, generator)
        if not self.words:
            return TextContext(start)
        tokens = len(backbone.prompt_tokenizer.word_ids(self.words))
        if tokens != self.n_ctx - self.free:
            warnings.warn(
                f"{self.words!r} is {self.n_ctx - self.free} words but {tokens} tokens: the last stay fixed",
                stacklevel=2,
            )
        words = backbone.embed_words(self.words, self.n_ctx - self.free)
        start = start.to(words.device)
        return TextContext(torch.cat([torch.zeros_like(start) if self.compat == "release" else start, words]))

    def sentences(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        return tokenize_with_context(
            backbone.prompt_tokenizer, self.words, self.n_ctx, classnames, self.position, self.free
        )

    def prepare(self, model: TunedModel, task: Task) -> Teacher:
        from cliptune.backbones.teacher import Teacher

        templates = (self.template,) if self.template else model.templates
        return Teacher.of(model.backbone, model.classnames, templates)

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        teacher = state.memory.logits(out.image["image"])
        known = out.logits[:, : teacher.shape[1]]  # a wrapper may let other sentences compete with the classes
        return {
            "ce": classification_loss(out.logits, batch),
            "kl": soft_cross_entropy(known, teacher, self.temperature),
        }

    def update(self, losses: Mapping[str, Tensor], parameters: Sequence[Tensor]) -> None:
        """Gradients of everything but "kl", each tensor's without its part against that of "kl", which only guides."""
        import torch

        own = torch.stack([loss for name, loss in losses.items() if name != "kl"]).sum()
        towards = torch.autograd.grad(own, parameters, retain_graph=True, allow_unused=True)
        guides = torch.autograd.grad(losses["kl"], parameters, allow_unused=True)
        for parameter, gradient, guide in zip(parameters, towards, guides, strict=True):
            if gradient is not None and guide is not None:
                gradient = remove_conflict(gradient, guide, self.lam)
            parameter.grad = gradient
