"""2SFS: steps on the LayerNorms, steps on the classifier, and inference on trained, novel and mixed names."""

from __future__ import annotations

import torch
from torch import Tensor

from cliptune.engine.config import TrainConfig
from cliptune.engine.optim import Schedule, make_optimizer
from cliptune.methods.two_stage_fs import TwoStageFs
from cliptune.model.tuned_model import TunedModel
from cliptune.official.tensor_names import official_names
from cliptune.types import Batch, State, Task
from golden.case import Case
from golden.compare import BOUNDS, Report
from golden.training import backward, batch_of, compare_step, compare_tokens

METHODS = ("2SFS",)


def check(case: Case, report: Report) -> None:
    template, batch = case.hyper["template"], batch_of(report)
    method = TwoStageFs(template=template, compat="release")
    norms = TunedModel(case.backbone, method, case.classnames, [template]).to(case.device).train()
    _compare_lists(report, norms, template)
    compare_tokens(report, norms.class_text.text)
    out = compare_step(report, norms, batch, State(0, 1), "stage1.")
    report.tensor("stage1.logits", out.logits)
    _train(report, norms, batch, "stage1")
    for name, parameter in official_names(norms.learner).items():
        report.tensor(f"stage1.final.{name}", parameter)
    after = method.next_stage(norms)
    assert after is not None
    model = TunedModel(case.backbone, after, case.classnames, [template]).to(case.device).train()
    after.continue_from(model, norms)
    task = Task("", None, (), (), {}, tuple(case.classnames), 0)
    after.prepare(model, task)
    classifier = official_names(model.learner)["classifier"]
    report.tensor("stage2.classifier_start", classifier)
    out, loss = backward(model, batch, State(0, 1))
    report.tensor("stage2.loss", torch.tensor(loss))
    report.tensor("stage2.logits", out.logits)
    report.tensor("stage2.grad.classifier", _gradient(classifier), BOUNDS["grads"])
    _train(report, model, batch, "stage2")
    report.tensor("stage2.classifier_final", classifier)
    _compare_inference(report, model.eval(), batch)


def _compare_lists(report: Report, release: TunedModel, template: str) -> None:
    """Compare which LayerNorms train in the release, and in all."""
    case = report.case
    trained, frozen = (case.json[key] for key in ("release_trained", "release_listed_but_frozen"))
    report.value("release_trained", sorted(official_names(release.learner)), sorted(trained))
    whole = TunedModel(case.backbone, TwoStageFs(template=template), case.classnames, [template])
    report.value("release_listed", sorted(official_names(whole.learner)), sorted([*trained, *frozen]))


def _train(report: Report, model: TunedModel, batch: Batch, stage: str) -> None:
    """Take the recorded steps of a stage, AdamW with a cosine per step."""
    case = report.case
    wanted = case.tensors[f"{stage}.trace_losses"]
    steps = len(wanted) - (stage == "stage1")  # the first stage also has the loss after its steps
    lr, decay = float(case.hyper["lr"]), float(case.hyper["weight_decay"])
    training = TrainConfig(lr=lr, optimizer="adamw", weight_decay=decay, schedule="step", min_lr=1e-6, warmup_epochs=0)
    optimizer = make_optimizer([p for p in model.learner.parameters() if p.requires_grad], training)
    schedule, losses = Schedule(training, 1, steps, steps), []
    for step in range(len(wanted)):
        losses.append(backward(model, batch, State(0, 1))[1])
        if step < steps:
            schedule.apply(optimizer, 0, step)
            optimizer.step()
    report.tensor(f"{stage}.trace_losses", torch.tensor(losses))


@torch.no_grad()
def _compare_inference(report: Report, model: TunedModel, batch: Batch) -> None:
    case, views = report.case, model.method.views(batch)
    report.tensor("eval.logits_base", model(views).logits)
    for key in ("novel", "mixed"):
        names = case.json[f"{key}_class_names"]
        report.tensor(f"eval.logits_{key}", model.with_classes(names)(views).logits)


def _gradient(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
