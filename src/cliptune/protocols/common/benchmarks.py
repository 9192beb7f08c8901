"""Groups of public datasets that the papers report on."""

from __future__ import annotations

#: Targets of cross-dataset transfer from ImageNet, in the order of the papers.
TRANSFER_TARGETS = (
    "caltech101",
    "oxford_pets",
    "stanford_cars",
    "oxford_flowers",
    "food101",
    "fgvc_aircraft",
    "sun397",
    "dtd",
    "eurosat",
    "ucf101",
)
#: The datasets of the few-shot tables, and the name for all of them on the command line.
BENCHMARKS, BENCHMARKS_NAME = ("imagenet", *TRANSFER_TARGETS), "benchmarks11"
