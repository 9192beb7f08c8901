"""The benchmarks still run: each timed workload agrees with the textbook's computation, on a small backbone."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tiny_clips import backbone

FOLDER = Path(__file__).parents[1] / "benchmarks"
WORKLOADS = ("vision", "gradcam", "coop", "maple", "pull-push", "alignment", "text", "evaluation")


@pytest.fixture(scope="module")
def bench() -> Iterator[object]:
    sys.path.insert(0, str(FOLDER))
    yield load("workloads").Bench(backbone("deep_image"), depth=2)
    sys.path.remove(str(FOLDER))


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up types
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", WORKLOADS)
def test_workloads_agree_with_the_textbook(bench, name):
    values = {variant: call() for variant, call in bench.variants(name, 5).items()}
    first = values.pop("textbook")
    assert values
    for variant, value in values.items():
        assert value == pytest.approx(first, rel=1e-3), variant


@pytest.mark.parametrize("script", sorted(path.stem for path in FOLDER.glob("*.py")))
def test_scripts_load(bench, script):
    assert load(script).__doc__
