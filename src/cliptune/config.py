"""The configuration of a run: frozen dataclasses, plain values in and out, options by name."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from cliptune import checks, dataclass_io, external_code, methods
from cliptune.backbones.bundled import AUTO, choose_backbone
from cliptune.data import sources
from cliptune.data.config import LOCATION_FIELDS, DataConfig
from cliptune.engine.config import RECORDED_AT_DEFAULT, TrainConfig
from cliptune.errors import UserError, shown
from cliptune.model.method import Method
from cliptune.registry import nearest
from cliptune.types import LinearBackend

Precision = Literal["32", "bf16", "16"]
Activation = Literal["auto", "gelu", "quick_gelu"]


@dataclass(frozen=True)
class RunConfig:
    """Everything that determines the results of a run."""

    method: Method
    """The method, with its hyper-parameters."""
    data: str = "emoji"
    """emoji (bundled); your own images as folder:PATH (one folder per class), csv:FILE, json:FILE (a split file) or
    hub:USER/NAME; or the name of a public dataset, with --root (see cliptune data list)."""
    backbone: str = AUTO
    """An open_clip name (ViT-B-16), ORG/REPO on Hugging Face, a local file or folder, or a small bundled backbone
    (see cliptune list backbones); auto is the bundled one for the kind of the images."""
    pretrained: str = ""
    """Weights for an open_clip name: a tag (openai), a file, or random for untrained weights."""
    activation: Activation = "auto"
    """Activation of the backbone. auto takes it from the tag, the configuration or the file. Plain weights files do not
    contain it; OpenAI's weights need quick_gelu."""
    linear_backend: LinearBackend = "auto"
    """Backend of frozen linear layers on the CPU: torch, or onednn with packed weights; auto chooses by the processor.
    They differ by rounding only."""
    shots: int = 16
    """Training images per class; 0 takes all."""
    seed: int = 1
    """Seed of the few-shot sample, the initial parameters and the augmentation."""
    protocol: str = "few_shot"
    """few_shot trains and tests on all classes; base_to_novel trains on the first half; cross_dataset and
    domain_generalization also test on other data; data_efficient trains on a coreset."""
    targets: tuple[str, ...] = ()
    """For cross_dataset and domain_generalization: the other test data, named as for --data, or styles of the embedded
    drawings. If empty, the protocol's own targets for the data."""
    fraction: float = 1.0
    """Fraction of the training images of each class that is selected once before training, based on the outputs of
    the untrained model."""
    selector: str = "uniform"
    """The coreset method that selects them if fraction is below 1: the name of a module of `cliptune.coresets`."""
    selector_variant: Literal["paper", "dapt"] = "paper"
    """The coreset method as its paper defines it, or as in the code released with DAPT where that differs."""
    joint: bool = False
    """For base_to_novel: also test base and novel images with all class names to choose from (base/joint and
    novel/joint)."""
    evaluate_at: tuple[int, ...] = ()
    """Also test after these epochs, counted from 1. Training is not affected."""
    training: TrainConfig = field(default_factory=TrainConfig)
    reading: DataConfig = field(default_factory=DataConfig)
    precision: Precision = "32"
    """Precision of the frozen towers: 32 on any device, or bf16 or 16 for GPUs and processors with instructions for it.
    Trainable parameters stay in 32."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    devices: int = 1
    """Number of devices that train one run together."""

    def __post_init__(self):
        if self.backbone == AUTO:  # records and checkpoints contain the name
            object.__setattr__(self, "backbone", choose_backbone(AUTO, sources.image_kind(self.data)))
        checks.seeds(self, "seed")
        checks.at_least(self, 0, "shots")
        checks.at_least(self, 1, "devices", "evaluate_at")
        checks.between(self, sys.float_info.min, 1, "fraction", range_text="above 0 and at most 1")


#: Options specific to some protocols. Omitted from the record at their default, so that older fingerprints stay valid;
#: a protocol in `ALWAYS_RECORDED` records its own always.
OMITTED_AT_DEFAULT = (
    "activation",
    "linear_backend",
    "targets",
    "fraction",
    "selector",
    "selector_variant",
    "joint",
    "evaluate_at",
)
ALWAYS_RECORDED = {"data_efficient": ("fraction", "selector")}
#: Fields of a run that do not change its results.
NOT_DECISIVE = ("device", "devices", "linear_backend")


def to_dict(run: RunConfig) -> dict[str, Any]:
    """The plain values of a run, as in records.

    The method is a dict with its `name` next to its fields; an inner method is under `base`. Of `reading`, of the
    options in `OMITTED_AT_DEFAULT` and of training settings not in `RECORDED_AT_DEFAULT`, only values that differ from
    their default are included.
    """
    always = ALWAYS_RECORDED.get(run.protocol.replace("-", "_"), ())
    omitted = {
        name for name in OMITTED_AT_DEFAULT if name not in always and getattr(run, name) == getattr(RunConfig, name)
    }
    values = {f.name: getattr(run, f.name) for f in dataclasses.fields(run) if f.name not in omitted}
    plain = {k: method_to_dict(v) if k == "method" else dataclass_io.to_plain(v) for k, v in values.items()}
    changed = non_default_fields(run.training)
    plain["training"] = {k: v for k, v in plain["training"].items() if k in RECORDED_AT_DEFAULT or k in changed}
    reading = non_default_fields(run.reading)
    return {k: reading if k == "reading" else v for k, v in plain.items() if k != "reading" or reading}


def method_to_dict(method: Method) -> dict[str, Any]:
    """The name and the fields of a method as plain values."""
    values = {f.name: getattr(method, f.name) for f in dataclasses.fields(method)}  # type: ignore[arg-type]
    fields = {k: method_to_dict(v) if isinstance(v, Method) else dataclass_io.to_plain(v) for k, v in values.items()}
    return {"name": methods.name_of(method).split("+")[-1], **fields}


def from_dict(content: Mapping[str, Any], allow_code: external_code.AllowCode = False) -> RunConfig:
    """The run of the plain values that `to_dict` returns.

    allow_code: Whether methods and coreset methods outside of cliptune may be imported, or the names of those that may.
    Raises `UserError` that names an unknown key or a value of the wrong type.
    """
    content = dataclass_io.check_mapping("a run", content)
    selector = content.get("selector")
    if isinstance(selector, str):
        external_code.check_allowed(selector.partition(",")[0], "selector", allow_code)
    method = method_from_dict(content.pop("method", {}), allow_code)
    return dataclass_io.build_dataclass(RunConfig, content, method=method)


def method_from_dict(content: Mapping[str, Any], allow_code: external_code.AllowCode = False) -> Method:
    """The method of the plain values that `method_to_dict` returns."""
    layers = [dataclass_io.check_mapping("a method", content)]
    while "base" in layers[-1]:
        layers.append(dataclass_io.check_mapping("a method", layers[-1].pop("base")))
    built: dict[str, Method] = {}
    for fields in reversed(layers):
        name = fields.pop("name", "")
        if not isinstance(name, str):
            raise UserError(f"the name of a method must be a string, got {shown(name)}")
        external_code.check_allowed(name, "method", allow_code)
        cls = methods.get(name)
        if built and not methods.is_wrapper(cls):
            raise UserError(f"method {name!r} does not wrap other methods, so it has no base")
        built = {"base": dataclass_io.build_dataclass(cls, fields, **built)}
    return built["base"]


def external_names(run: RunConfig) -> set[str]:
    """The methods and the coreset method of a run that are outside of cliptune."""
    names = {methods.name_of(method).rpartition("+")[2] for method in nested_methods(run.method)}
    return {name for name in names | {run.selector.partition(",")[0]} if external_code.is_external(name)}


def to_yaml(run: RunConfig) -> str:
    """The plain values of a run as YAML."""
    return yaml.safe_dump(to_dict(run), sort_keys=False)


def fingerprint(run: RunConfig) -> str:
    """A short hash of all values that change the results of a run."""
    content = {k: v for k, v in to_dict(run).items() if k not in NOT_DECISIVE}
    content["training"] = {k: v for k, v in content["training"].items() if k != "workers"}
    reading = {k: v for k, v in content.pop("reading", {}).items() if k not in LOCATION_FIELDS}
    content |= {"reading": reading} if reading else {}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def non_default_fields(part: DataConfig | TrainConfig) -> dict[str, Any]:
    """The fields that differ from their defaults, as plain values."""
    values = ((f, getattr(part, f.name)) for f in dataclasses.fields(part))
    return {f.name: dataclass_io.to_plain(value) for f, value in values if value != f.default}


def nested_methods(method: Method) -> Iterator[Method]:
    """A method and those it wraps, outermost first."""
    yield method
    if methods.is_wrapper(type(method)):
        yield from nested_methods(method.base)  # type: ignore[attr-defined]


def option_names(run: RunConfig) -> set[str]:
    """The names that `with_options` accepts for a run."""
    return set().union(*_option_names(run))


def _option_names(run: RunConfig) -> list[set[str]]:
    """The names of the run, its `training`, its `reading`, and its methods, outermost first."""
    parts = (run, run.training, run.reading, *nested_methods(run.method))
    return [{*dataclass_io.field_types(type(part))} - {"base", "method", "training", "reading"} for part in parts]


def with_options(run: RunConfig, options: Mapping[str, Any]) -> RunConfig:
    """A copy of a run with fields replaced by name: those of the run, its `training`, its `reading` or its method.

    If several have a field of that name, the first in this order is replaced; of nested methods, the outermost.
    Raises `UserError` for an unknown name, with the nearest ones, and for a value of the wrong type.
    """
    for key, value in options.items():
        layers = list(nested_methods(run.method))
        known = _option_names(run)
        at = next((i for i, names in enumerate(known) if key in names), None)
        if at is None:
            raise UserError(f"unknown option {key!r}; {nearest(key, sorted(set().union(*known)))}")
        if at == 0:
            run = dataclass_io.replace_field(run, key, value)
        elif at == 1:
            run = dataclasses.replace(run, training=dataclass_io.replace_field(run.training, key, value))
        elif at == 2:
            run = dataclasses.replace(run, reading=dataclass_io.replace_field(run.reading, key, value))
        else:
            method = dataclass_io.replace_field(layers[at - 3], key, value)
            for outer in reversed(layers[: at - 3]):
                method = dataclasses.replace(outer, base=method)  # type: ignore[type-var]
            run = dataclasses.replace(run, method=method)
    return run
