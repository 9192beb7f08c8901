"""DPL: a differentiable search for the number of prompt tokens per layer, then training with the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from cliptune import checks
from cliptune.backbones.tokenized_text import TokenizedText, average_embeddings, clean_words, tokenize_templates
from cliptune.errors import UserError
from cliptune.model.method import Method
from cliptune.objectives.classification import classification_loss
from cliptune.objectives.distillation import mean_kl
from cliptune.prompts.initialization import random_tokens
from cliptune.types import Batch, Outputs, State, Task

if TYPE_CHECKING:
    import torch
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone
    from cliptune.backbones.teacher import Teacher
    from cliptune.data.loader import ExampleSet
    from cliptune.model.tuned_model import TunedModel
    from cliptune.prompts.length_search import SearchedPrompts


@dataclass(frozen=True)
class Dpl(Method):
    """Prefix tokens in both towers, which only add keys and values; their number per layer is searched for first.

    Huang et al., Differentiable Prompt Learning for Vision Language Models, IJCAI 2025,
    https://arxiv.org/abs/2501.00457. Checked against Differentiable-Prompt-Learn 9a958e8.
    """

    longest_text: int = 6
    """Largest number of tokens per layer of the text tower (K in the released code); 0 adds none to that tower."""
    longest_image: int = 6
    """The same for the image tower."""
    search_epochs: int = 80
    """Epochs of the search; those of the run are for training with its result."""
    search_batch: int = 16
    """Number of validation images per search step."""
    search_lr: float = 0.0035
    """Learning rate of Adam on the scores of lengths (alpha)."""
    search_betas: tuple[float, float] = (0.5, 0.999)
    """Betas of Adam on the scores of lengths."""
    start: Literal["release", "small"] = "release"
    """Initialisation of tokens in the search: text U[0, 1) and image N(0, 1) as released, or both N(0, 0.02^2)."""
    sentence: Literal["template", "custom", "ensemble", "features"] = "ensemble"
    """Class prompts for training with the found lengths. template: `words` and the name. custom: the dataset's
    template. ensemble: the mean token embedding of sixty prompts, read where the last of them ends (the released
    default). features: the mean of their features, at sixty times the cost. The search uses template."""
    words: str = "a photo of a"
    """Words before the class name if `sentence` is template."""
    distill: float = 0.0
    """Weight of the divergence from the frozen model's logits; the released code multiplies it by 0."""
    lengths_text: tuple[int, ...] = ()
    """Number of tokens in each layer of the text tower, as found by a search. Empty for both towers: search for
    them."""
    lengths_image: tuple[int, ...] = ()
    """The same for the image tower."""
    compat: Literal["paper", "release"] = "paper"
    """Follow the paper, or the released code, in which every search step uses the same first validation images, and the
    teacher of `distill` uses only the last of the sixty prompts."""

    def __post_init__(self):
        object.__setattr__(self, "words", clean_words(self.words))
        checks.at_least(self, 0, "longest_text", "longest_image", "distill", "lengths_text", "lengths_image")
        checks.at_least(self, 1, "search_epochs", "search_batch")
        if not self.longest_text and not self.longest_image:
            raise UserError("longest_text=0 and longest_image=0 leave nothing to learn; increase one of them")
        checks.positive(self, "search_lr")
        checks.at_least(self, 0, "search_betas")
        checks.require(max(self.search_betas) < 1, "search_betas", self.search_betas, "below 1")
        checks.without_braces("words", self.words)

    @property
    def searching(self) -> bool:
        """Whether the lengths have yet to be found."""
        return not self.lengths_text and not self.lengths_image

    @property
    def validation_use(self) -> str:  # type: ignore[override]
        return "dpl's search" if self.searching else ""

    @property
    def epochs(self) -> int | None:  # type: ignore[override]
        return self.search_epochs if self.searching else None

    def unused_fields(self) -> dict[str, str]:
        if self.searching:
            return {}
        search = (
            "longest_text",
            "longest_image",
            "start",
            *(f"search_{name}" for name in ("epochs", "batch", "lr", "betas")),
        )
        found = dict.fromkeys(search, "lengths_text and lengths_image are given, so nothing is searched for")
        return found if self.sentence == "template" else found | {"words": f"sentence is {self.sentence!r}"}

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        from cliptune.prompts.length_search import FixedLengthPrompts

        if self.searching:
            return self._supernet(backbone, generator)
        text, image = self.lengths_text, self.lengths_image
        for name, lengths, depth in (
            ("lengths_text", text, backbone.text_depth),
            ("lengths_image", image, backbone.image_depth if image else 0),
        ):
            if lengths and len(lengths) != depth:
                raise UserError(
                    f"{name} has {len(lengths)} values, but backbone {backbone.name!r} has {depth} such layers; give "
                    f"one value per layer"
                )
        return FixedLengthPrompts(text, image, backbone.text_width, backbone.image_width if image else 0, generator)

    def _supernet(self, backbone: Backbone, generator: Generator) -> SearchedPrompts:
        import torch

        from cliptune.prompts.length_search import SearchedPrompts

        def tokens(n: int, width: int, uniform: bool) -> Tensor:
            if self.start == "small":
                return random_tokens(n, width, generator)
            return (torch.rand if uniform else torch.randn)(n, width, generator=generator)

        def tower(longest: int, depth: int, width: int, uniform: bool) -> list[list[Tensor]]:
            return [[tokens(n, width, uniform) for n in range(1, longest + 1)] for _ in range(depth)]

        text = tower(self.longest_text, backbone.text_depth, backbone.text_width, True) if self.longest_text else []
        image = (
            tower(self.longest_image, backbone.image_depth, backbone.image_width, False) if self.longest_image else []
        )
        return SearchedPrompts(text, image, generator)

    def class_prompts(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        from cliptune.backbones.teacher import SIXTY_TEMPLATES

        sentence = "template" if self.searching else self.sentence
        if sentence == "ensemble":
            return average_embeddings(backbone.prompt_tokenizer, backbone.embed_tokens, SIXTY_TEMPLATES, classnames)
        chosen = {"template": (f"{self.words} {{}}.",), "custom": templates[:1], "features": SIXTY_TEMPLATES}[sentence]
        return tokenize_templates(backbone.prompt_tokenizer, chosen, classnames)

    def prepare(self, model: TunedModel, task: Task) -> ExampleSet | Teacher | None:
        """The validation images of the search, or the teacher of training, if it has one."""
        from cliptune.backbones.teacher import SIXTY_TEMPLATES, Teacher
        from cliptune.data.loader import ExampleSet

        backbone = model.backbone
        if not self.searching:
            templates = SIXTY_TEMPLATES if self.compat == "paper" else SIXTY_TEMPLATES[-1:]
            return Teacher.of(backbone, model.classnames, templates) if self.distill else None
        if not task.val:
            raise UserError(
                f"dpl searches with validation images, but {task.name} has none; give lengths_text and lengths_image"
            )
        return ExampleSet(task.dataset, task.val, backbone.preprocess, seed=task.seed)

    def before_step(self, model: TunedModel, state: State) -> None:
        """During the search: one Adam step on the scores with the loss on validation images (first order)."""
        import torch

        from cliptune.prompts.length_search import SearchedPrompts

        learner = model.learner
        if not isinstance(learner, SearchedPrompts):
            return
        batch = self._validation(state.memory, learner.steps, model.backbone.logit_scale.device)
        with learner.learning_alphas():
            loss = classification_loss(model({"image": batch.images}, state).logits, batch)
            gradients = torch.autograd.grad(loss, learner.alphas, materialize_grads=True)
        learner.adam_step(gradients, self.search_lr, self.search_betas)

    def _validation(self, examples: ExampleSet, step: int, device: torch.device) -> Batch:
        """The validation batch of a search step: the next in random order, or always the first images as released."""
        from torch.utils.data import default_collate

        if self.compat == "release":
            chosen = list(range(min(self.search_batch, len(examples))))
        else:
            epoch, place = divmod(step, len(examples.order(0, self.search_batch)))
            chosen = examples.order(epoch, self.search_batch)[place]
        return examples.batch(default_collate([examples.item(i) for i in chosen]), device)

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        losses = {"ce": classification_loss(out.logits, batch)}
        if self.distill and not self.searching:
            teacher: Teacher = state.memory
            # The teacher has one column per class, while a wrapper may have added columns to `out.logits`.
            logits = self.logits(out)
            losses["distill"] = self.distill * mean_kl(logits, teacher.logits(teacher.image(batch.images)))
        return losses

    def next_stage(self, model: TunedModel) -> Method | None:
        from cliptune.prompts.length_search import SearchedPrompts, best_lengths

        if not isinstance(model.learner, SearchedPrompts):
            return None
        text, image = map(best_lengths, model.learner.alphas)
        return replace(self, lengths_text=text, lengths_image=image)
