"""DPL: the mixture of all lengths in the search, and tokens of the found lengths."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from cliptune.backbones.teacher import SIXTY_TEMPLATES
from cliptune.methods.dpl import Dpl
from cliptune.prompts.length_search import best_lengths
from cliptune.types import State
from golden.case import Case
from golden.compare import Report
from golden.learned import official_names, tuned
from golden.training import batch_of, compare_outputs, compare_step, compare_tokens, compare_trace

SUPERNET, SUBNET = "DPL supernet", "DPL subnet"
METHODS = (SUPERNET, SUBNET)
#: The official names of the prompts on which a subnet is trained.
SENTENCES = {"default": "template", "custom": "custom", "ensemble": "ensemble"}


def check(case: Case, report: Report) -> None:
    (_supernet if case.method == SUPERNET else _subnet)(case, report)


def _supernet(case: Case, report: Report) -> None:
    hyper = case.hyper
    words = hyper["ctx_init"].replace("_", " ")
    method = Dpl(longest_text=hyper["n_ctx_text"], longest_image=hyper["n_ctx_vision"], words=words)
    model, batch, state = tuned(case, report, method), batch_of(report), State(0, 1)
    for alphas in model.learner.alphas:
        alphas.requires_grad_(True)
    compare_outputs(report, compare_step(report, model, batch, state))
    compare_tokens(report, method.class_prompts(case.backbone, case.classnames, model.templates))
    model.zero_grad()
    for alphas in model.learner.alphas:
        alphas.requires_grad_(False)
    compare_trace(report, model, batch, state)


def _subnet(case: Case, report: Report) -> None:
    hyper = case.hyper
    lengths = {"lengths_text": tuple(hyper["lengths_text"]), "lengths_image": tuple(hyper["lengths_vision"])}
    for name, recorded in (("lengths_text", "alphas_txt"), ("lengths_image", "alphas_img")):
        if report.wants(recorded):
            report.value(f"{name} found", best_lengths(torch.from_numpy(case.tensors[recorded])), lengths[name])
            report.used([recorded])
    sentence = SENTENCES[hyper["ctx_init"]]
    own = case.strings()["dpl_by_dataset"][hyper["dataset"]] if sentence == "custom" else "a photo of a {}."
    method = Dpl(**lengths, sentence=sentence, distill=1.0, compat="release")
    model, batch = tuned(case, report, method, (own,)), batch_of(report)
    teacher = method.prepare(model, None)  # type: ignore[arg-type]  # only the search uses the task
    state = State(0, 1, teacher)

    _compare_strings(
        case, report, {"template": (f"{method.words} {{}}.",), "custom": (own,)}.get(sentence, SIXTY_TEMPLATES)
    )
    image = teacher.image(batch.images)
    report.tensor("teacher_text_features", teacher.text)
    report.tensor("teacher_logits", teacher.logits(image))
    out = model(model.method.views(batch), state)
    losses = method.losses(out, batch, state)
    report.tensor("ce_loss", losses["ce"])
    report.tensor("kl_loss", losses["distill"])
    model.zero_grad()
    losses["distill"].backward()
    for name, parameter in official_names(model.learner).items():
        assert parameter.grad is not None
        report.tensor(f"grad_kl_norm.{name}", parameter.grad.double().norm())

    model.method = Dpl(**lengths, sentence=sentence, compat="release")  # the recorded total is without the divergence
    compare_outputs(report, compare_step(report, model, batch, state))
    compare_tokens(report, method.class_prompts(case.backbone, case.classnames, model.templates))
    compare_trace(report, model, batch, state)


def _compare_strings(case: Case, report: Report, sentences: Sequence[str]) -> None:
    """sentences: the training prompts of the case's mode; the teacher uses the sixty in every mode."""
    if "templates" in case.json:
        report.value("templates", list(sentences), case.json["templates"])
    if "n_imagenet_templates" in case.json:
        report.value("n_imagenet_templates", len(SIXTY_TEMPLATES), case.json["n_imagenet_templates"])
    if "teacher_template" in case.json:
        report.value("teacher_template", SIXTY_TEMPLATES[-1], case.json["teacher_template"])
