"""Preprocessing of test images: resize, centre crop, normalise."""

from __future__ import annotations

import re
from importlib.metadata import version

from PIL import Image

from cliptune.backbones.preprocess import Preprocess
from cliptune.data.transforms import evaluation_view, standardise
from golden.case import Case
from golden.compare import Bound, Report

METHODS = ("image preprocessing (test time)",)


def check(case: Case, report: Report) -> None:
    hyper = case.hyper
    bound = Bound(1e-6 if _same_versions(case.notes) else 2e-2)
    for name in [name for name in case.tensors if name.startswith("pixels.")]:
        pixels = evaluation_view(Image.fromarray(case.tensors[name]), Preprocess((hyper["out"],) * 2))
        report.used([name])
        report.tensor(name.replace("pixels", "output"), standardise(pixels, hyper["mean"], hyper["std"]), bound)


def _same_versions(notes: str) -> bool:
    """Whether Pillow and torchvision have the recorded versions: others may differ by one grey level."""
    recorded = dict(re.findall(r"(Pillow|torchvision) (\d[\d.]*\d)", notes))
    return bool(recorded) and all(version(name).split("+")[0] == number for name, number in recorded.items())
