"""The answers of the HTTP API, which are the schemas of its OpenAPI document."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassProbability:
    """A class and its probability."""

    name: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """The most probable classes of an image. note: What was assumed in reading the file, or ""."""

    image: str
    classes: list[ClassProbability]
    note: str


@dataclass(frozen=True)
class Predictions:
    """Predictions in the order of the images.

    calibrated: Whether probabilities are divided by the temperature of the run, which is for the classes of training.
    notes: On class names that the backbone does not know.
    """

    predictions: list[Prediction]
    calibrated: bool
    notes: list[str]


@dataclass(frozen=True)
class ImageFeatures:
    """Features of unit length, in the order of the images."""

    images: list[str]
    features: list[list[float]]


@dataclass(frozen=True)
class TextFeatures:
    """Features of unit length, in the order of the classes. notes: As of `Predictions`."""

    classes: list[str]
    features: list[list[float]]
    notes: list[str]


@dataclass(frozen=True)
class Model:
    """What is served. temperature: By which logits are divided; null if none was fitted."""

    run: str
    method: str
    backbone: str
    classes: list[str]
    accepts_other_classes: bool
    temperature: float | None
    embed_dim: int
    limits: dict[str, float]
    cliptune: str


@dataclass(frozen=True)
class Health:
    """images: Number of images that are being received, waiting or computed. max_queue: Limit of that number."""

    status: str
    images: int
    max_queue: int
