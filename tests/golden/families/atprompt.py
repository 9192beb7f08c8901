"""ATPrompt: attribute words with learned context in front of CoOp's and MaPLe's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from cliptune.methods.atprompt import ATPrompt
from cliptune.methods.cocoop import CoCoOp
from cliptune.methods.coop import CoOp
from cliptune.methods.maple import Maple
from cliptune.model.method import Method
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, State
from golden.case import Case
from golden.compare import Report
from golden.families.coop import embeddings
from golden.learned import tuned
from golden.training import batch_of, compare_outputs, compare_step, compare_tokens, compare_trace

#: Contexts start at random, whatever words the configuration has.
BASES: Mapping[str, Callable[[Mapping[str, Any]], Method]] = {
    "CoOp": lambda hyper: CoOp(hyper["n_ctx"]),
    "CoCoOp": lambda hyper: CoCoOp(hyper["n_ctx"], ""),
    "MaPLe": lambda hyper: Maple(hyper["n_ctx"], hyper["prompt_depth"], ""),
}
METHODS = tuple(f"ATPrompt + {base}" for base in BASES)


def check(case: Case, report: Report) -> None:
    hyper = case.hyper
    method = ATPrompt(BASES[hyper["base"]](hyper), tuple(hyper["attributes"]), compat="release")
    report.value("attributes", len(method.attributes), hyper["n_att"])
    lengths = [len(case.backbone.prompt_tokenizer.word_ids(words)) for words in method.attributes]
    report.value("attribute_tokens", lengths, case.json["attribute_tokens"])
    model, batch, state = tuned(case, report, method), batch_of(report), State(0, 1)
    if report.wants("intended.logits"):
        _compare_intended(report, model, batch, state)
    compare_outputs(report, compare_step(report, model, batch, state))
    compare_tokens(report, model.class_text.text)
    _compare_embeddings(report, model)
    compare_trace(report, model, batch, state)


def _compare_intended(report: Report, model: TunedModel, batch: Batch, state: State) -> None:
    """Outputs with whole attributes."""
    assert isinstance(model.method, ATPrompt)
    whole = replace(model.method, compat="paper")
    intended = TunedModel(model.backbone, whole, model.classnames, learner=model.learner).train()
    out = compare_step(report, intended, batch, state, "intended.")
    report.tensor("intended.text_features", out.text)
    report.tensor("intended.logits", out.logits)
    _compare_embeddings(report, intended, "intended.")


def _compare_embeddings(report: Report, model: TunedModel, prefix: str = "") -> None:
    name = f"{prefix}prompt_embeddings_sample"
    shape = report.case.tensors[name].shape
    report.tensor(name, embeddings(model, model.class_text.text)[:, : shape[1], : shape[2]])
