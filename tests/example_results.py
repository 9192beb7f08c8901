"""Fixtures of hand-made results, imported by the conftest.py files of the folders that use them."""

import numpy as np
import pytest

from cliptune.report.report_data import Panel, Prediction
from cliptune.types import Result


@pytest.fixture(scope="session")
def record():
    """A function that makes a `Result`; metrics as keywords, "base__swap" for "base/swap"."""

    def make(method="coop", seed=1, *, data="emoji", shots=16, parameters=512.0, epochs=0, config=None, **metrics):
        fingerprint = f"{data}{shots}{seed}"
        return Result(
            task=f"base_to_novel/{data}/{shots}/{seed}",
            method=method,
            data=data,
            seed=seed,
            metrics={name.replace("__", "/"): value for name, value in metrics.items()},
            config={"method": {"name": method}, "shots": shots, "seed": seed, "data": data, **(config or {})},
            cost={"seconds": 1.25 * seed, "parameters": parameters, "peak_memory_mib": 700.0},
            history=tuple({"epoch": e, "lr": 0.1, "loss": 3 / (e + seed), "ce": 1.0} for e in range(epochs)),
            provenance={
                "backbone": "tiny",
                "backbone_fingerprint": "0123456789ab",
                "data_fingerprint": fingerprint,
                "test_images": {"base": 960, "novel": 400, "base/swap": 960},
                "versions": {"cliptune": "0.1.0", "torch": "2.9.0"},
            },
        )

    return make


@pytest.fixture(scope="session")
def study(record):
    """Results of three methods, three seeds and every background condition."""
    made = []
    for m, (method, parameters) in enumerate([("maple+dapt", 9216.0), ("zeroshot", 0.0), ("maple", 9216.0)]):
        for seed in (3, 1, 2):
            base, novel = 50.0 + m + seed / 3, 40.0 - m + seed / 7
            modes = {"base__same": base + 5, "base__swap": base - 5 * m, "base__none": base + 1}
            made.append(
                record(
                    *(method, seed),
                    **{"parameters": parameters, "epochs": 3 if parameters else 0, "base": base, "novel": novel},
                    **modes,
                )
            )
    return made


@pytest.fixture(scope="session")
def panel():
    """A function that makes a `Panel` of a square with the predictions of the named methods."""

    def make(*methods, size=16, mask=True, saliency=True):
        rng = np.random.default_rng(0)
        image = rng.integers(0, 256, (3, size, size), dtype=np.uint8)
        outline = np.zeros((1, size, size), np.uint8)
        outline[:, size // 4 : -size // 4, size // 4 : -size // 4] = 255
        answers = tuple(
            Prediction(method, ("cat", "dog")[i % 2], 0.25, i % 2 == 0, rng.random((4, 4)) if saliency else None)
            for i, method in enumerate(methods)
        )
        return Panel("cat on grass", "base/swap", image, outline if mask else None, answers)

    return make
