"""ProGrad: CoOp with gradients that never oppose zero-shot CLIP."""

from __future__ import annotations

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
from cliptune.user_warnings import warn_user

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone
    from cliptune.backbones.teacher import Teacher
    from cliptune.model.tuned_model import TunedModel


@dataclass(frozen=True)
class ProGrad(Method):
    """CoOp's context, shared by all classes, without the part of its gradient that opposes agreement with the teacher.

    The teacher is zero-shot CLIP with the dataset's template.

    Zhu et al., Prompt-aligned Gradient for Prompt Tuning, ICCV 2023, https://arxiv.org/abs/2205.14865.
    Checked against RESTORE 4c64a17.
    """

    n_ctx: int = 16
    """Number of context vectors."""
    words: str = ""
    """Words that initialise the last vectors, one per word; vectors before them, or all without words, are random."""
    position: Literal["end", "middle", "front"] = "end"
    """Position of the class name: after the vectors (end), between them (middle) or before them (front)."""
    temperature: float = 1.0
    """Temperature of both distributions in the comparison (T in the paper)."""
    lam: float = 1.0
    """Share of the opposing part to remove (lambda in the paper): 1 removes all of it, 0 is CoOp."""
    template: str = ""
    """The teacher's template with one {}, instead of the dataset's."""
    compat: Literal["paper", "release"] = "paper"
    """Initialise the vectors before the words at random, or at zero as released."""

    def __post_init__(self):
        object.__setattr__(self, "words", clean_words(self.words))
        least = max(1, len(self.words.split()))
        checks.at_least(self, least, "n_ctx", hint=f"the context includes {self.words!r}" if self.words else "")
        checks.positive(self, "temperature")
        checks.at_least(self, 0, "lam")
        checks.template("template", self.template or "{}")

    @property
    def free(self) -> int:
        """Number of vectors before those that start from words."""
        return self.n_ctx - len(self.words.split())

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        import torch

        from cliptune.prompts.context import TextContext

        start = random_tokens(self.free, backbone.text_width, generator)
        if not self.words:
            return TextContext(start)
        tokens = len(backbone.prompt_tokenizer.word_ids(self.words))
        if tokens != self.n_ctx - self.free:
            warn_user(f"{self.words!r} is {self.n_ctx - self.free} words but {tokens} tokens: the last stay fixed")
        words = backbone.embed_words(self.words, self.n_ctx - self.free)
        start = start.to(words.device)
        return TextContext(torch.cat([torch.zeros_like(start) if self.compat == "release" else start, words]))

    def class_prompts(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        return tokenize_with_context(
            backbone.prompt_tokenizer, self.words, self.n_ctx, classnames, self.position, self.free
        )

    def prepare(self, model: TunedModel, task: Task) -> Teacher:
        from cliptune.backbones.teacher import Teacher

        templates = (self.template,) if self.template else model.templates
        return Teacher.of(model.backbone, model.classnames, templates)

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        teacher = state.memory.logits(out.image["image"])
        known = out.logits[:, : teacher.shape[1]]  # a wrapper may have added columns
        return {
            "ce": classification_loss(out.logits, batch),
            "kl": soft_cross_entropy(known, teacher, self.temperature),
        }

    def update(self, losses: Mapping[str, Tensor], parameters: Sequence[Tensor]) -> None:
        """Gradients of all losses but "kl", per tensor without their component against the gradient of "kl"."""
        import torch

        own = torch.stack([loss for name, loss in losses.items() if name != "kl"]).sum()
        towards = torch.autograd.grad(own, parameters, retain_graph=True, allow_unused=True)
        guides = torch.autograd.grad(losses["kl"], parameters, allow_unused=True)
        for parameter, gradient, guide in zip(parameters, towards, guides, strict=True):
            if gradient is not None and guide is not None:
                gradient = remove_conflict(gradient, guide, self.lam)
            parameter.grad = gradient
