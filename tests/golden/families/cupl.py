"""Class features from sentences about each class, of unequal number."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from cliptune.methods.cupl import Cupl
from golden.case import Case
from golden.compare import Report
from golden.learned import tuned
from golden.training import compare_outputs, compare_tokens

METHODS = ("descriptions",)


@contextmanager
def descriptions(case: Case) -> Iterator[str]:
    """A file with the case's sentences."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "descriptions.json"
        path.write_text(json.dumps(case.json["descriptions"]), encoding="utf-8")
        yield str(path)


@torch.no_grad()
def check(case: Case, report: Report) -> None:
    with descriptions(case) as path:
        model = tuned(case, report, Cupl(path)).eval()
    text = model.class_text.text
    owner = torch.arange(len(case.classnames)).repeat_interleave(text.per_class) if text.owner is None else text.owner
    report.tensor("owner", owner)
    features = case.backbone.encode_text(text)
    report.tensor("sentence_features", features / features.norm(dim=-1, keepdim=True))
    compare_outputs(report, model({"image": case.images}))
    compare_tokens(report, text)
