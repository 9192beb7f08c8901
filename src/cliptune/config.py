"""What a run is: frozen dataclasses, strict plain values in and out, options by name."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import cattrs
import yaml

from cliptune import checks, dataclass_io, external_code, methods
from cliptune.data.config import LOCATION_FIELDS, DataConfig
from cliptune.engine.config import TrainConfig
from cliptune.errors import UserError, shown
from cliptune.model.method import Method
from cliptune.registry import nearest
from cliptune.types import LinearBackend

Precision = Literal["32", "bf16", "16"]
Activation = Literal["auto", "gelu", "quick_gelu"]


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run's numbers."""

    method: Method
    """What is learned, with its hyper-parameters."""
    data: str = "emoji"
    """emoji (bundled); your own as folder:PATH (one folder a class), csv:FILE, json:FILE (a split file) or
    hub:USER/NAME; or a public dataset's name with --root (cliptune data list)."""
    backbone: str = "tiny"
    """tiny (bundled), an open_clip name (ViT-B-16), ORG/REPO on Hugging Face, or a local file or folder."""
    pretrained: str = ""
    """Weights for an open_clip name: a tag (openai), a file, or random for untrained ones."""
    activation: Activation = "auto"
    """Of the backbone: auto follows tag, configuration and file. A plain weights file does not say it; OpenAI's weights
    need quick_gelu."""
    linear_backend: LinearBackend = "auto"
    """Of frozen linear layers on the CPU: torch; onednn, with packed weights; auto chooses by the processor. They
    differ by rounding only."""
    shots: int = 16
    """Training images a class; 0 takes all."""
    seed: int = 1
    """Decides the draw of shots, starts and views."""
    protocol: str = "few_shot"
    """few_shot trains and tests on all classes; base_to_novel trains on the first half; cross_dataset and
    domain_generalization test on other data too; data_efficient trains on a coreset."""
    targets: tuple[str, ...] = ()
    """Of cross_dataset and domain_generalization: what is tested on, as for --data, or styles of the bundled drawings;
    left empty, what the protocol has for the data."""
    fraction: float = 1.0
    """Share of the training pictures of each class that is chosen before training, once, from what the untrained model
    says of them."""
    selector: str = "uniform"
    """How they are chosen, where fraction is below 1: a file of `cliptune.coresets` by name."""
    selector_variant: Literal["paper", "dapt"] = "paper"
    """The selector as its paper defines it, or with what the code released with DAPT does otherwise."""
    joint: bool = False
    """Of base_to_novel: test on base and novel pictures also with all names to choose from, base/joint and novel/joint
    in one answer."""
    evaluate_at: tuple[int, ...] = ()
    """Also test after these epochs, counted from 1; it does not change the training."""
    training: TrainConfig = field(default_factory=TrainConfig)
    reading: DataConfig = field(default_factory=DataConfig)
    precision: Precision = "32"
    """32, or bf16/16 for the frozen towers where the hardware has it; learned tensors stay in 32."""
    device: str = "auto"
    """auto, cpu, cuda, mps."""
    devices: int = 1
    """How many of them train one run together."""

    def __post_init__(self):
        checks.seeds(self, "seed")
        checks.at_least(self, 0, "shots")
        checks.at_least(self, 1, "devices", "evaluate_at")
        checks.between(self, sys.float_info.min, 1, "fraction", said="above 0 and at most 1")


#: What a run is told of only under some protocols: recorded where it is not the default, or where the protocol is about
#: it, so that the records of others stay what they were.
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


def to_dict(run: RunConfig) -> dict[str, Any]:
    """Plain values; the method's name stands beside its fields, those of an inner method under `base`; of `reading` and
    of what is occasional, what differs from its defaults."""
    always = ALWAYS_RECORDED.get(run.protocol.replace("-", "_"), ())
    left = {f.name for f in dataclasses.fields(run) if f.name in OMITTED_AT_DEFAULT and f.name not in always}
    left = {name for name in left if getattr(run, name) == getattr(RunConfig, name)}
    held = {f.name: getattr(run, f.name) for f in dataclasses.fields(run) if f.name not in left}
    plain = {k: method_to_dict(v) if k == "method" else cattrs.unstructure(v) for k, v in held.items()}
    reading = non_default_fields(run.reading)
    return {k: reading if k == "reading" else v for k, v in plain.items() if k != "reading" or reading}


def method_to_dict(method: Method) -> dict[str, Any]:
    """A method's own name and fields."""
    held = {f.name: getattr(method, f.name) for f in dataclasses.fields(method)}  # type: ignore[arg-type]
    fields = {k: method_to_dict(v) if isinstance(v, Method) else cattrs.unstructure(v) for k, v in held.items()}
    return {"name": methods.name_of(method).split("+")[-1], **fields}


def from_dict(content: Mapping[str, Any], allow_code: external_code.AllowCode = False) -> RunConfig:
    """The run `to_dict` came from.

    allow_code: whether methods and selectors outside of cliptune may be imported, or the names of those that may.
    Raises `UserError` naming an unknown or ill-typed key.
    """
    content = dataclass_io.check_mapping("a run", content)
    selector = content.get("selector")
    if isinstance(selector, str):
        external_code.check_allowed(selector.partition(",")[0], "selector", allow_code)
    return dataclass_io.build_dataclass(
        RunConfig, content, method=method_from_dict(content.pop("method", {}), allow_code)
    )


def method_from_dict(content: Mapping[str, Any], allow_code: external_code.AllowCode = False) -> Method:
    """The method `method_to_dict` came from."""
    layers = [dataclass_io.check_mapping("a method", content)]
    while "base" in layers[-1]:  # as deep as it may be
        layers.append(dataclass_io.check_mapping("a method", layers[-1].pop("base")))
    built: dict[str, Method] = {}
    for fields in reversed(layers):
        name = fields.pop("name", "")
        if not isinstance(name, str):
            raise UserError(f"a method's name is text, got {shown(name)}")
        external_code.check_allowed(name, "method", allow_code)
        cls = methods.get(name)
        if built and not methods.is_wrapper(cls):
            raise UserError(f"method {name!r} does not wrap other methods, so it has no base")
        built = {"base": dataclass_io.build_dataclass(cls, fields, **built)}
    return built["base"]


def external_names(run: RunConfig) -> set[str]:
    """Names of methods and the selector of a run that are code outside of cliptune."""
    names = {methods.name_of(one).rpartition("+")[2] for one in nested_methods(run.method)} | {
        run.selector.partition(",")[0]
    }
    return {name for name in names if external_code.is_external(name)}


def to_yaml(run: RunConfig) -> str:
    """YAML of `run`."""
    return yaml.safe_dump(to_dict(run), sort_keys=False)


def fingerprint(run: RunConfig) -> str:
    """Short hash of all that decides the numbers; not of where they are computed."""
    content = {k: v for k, v in to_dict(run).items() if k not in ("device", "devices", "linear_backend")}
    content["training"] = {k: v for k, v in content["training"].items() if k != "workers"}
    decisive = {k: v for k, v in content.pop("reading", {}).items() if k not in LOCATION_FIELDS}
    content |= {"reading": decisive} if decisive else {}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def non_default_fields(reading: DataConfig) -> dict[str, Any]:
    """Fields that differ from their defaults."""
    held = ((f, getattr(reading, f.name)) for f in dataclasses.fields(reading))
    return {f.name: cattrs.unstructure(value) for f, value in held if value != f.default}


def nested_methods(method: Method) -> Iterator[Method]:
    """A method and the ones inside it, outermost first."""
    yield method
    if methods.is_wrapper(type(method)):
        yield from nested_methods(method.base)  # type: ignore[attr-defined]


def with_options(run: RunConfig, options: Mapping[str, Any]) -> RunConfig:
    """`run` with fields replaced by name, found in the run, its training, its reading or its method (the
    outermost first).

    Raises `UserError` with the nearest names for one that none of them has, or for a value of the wrong kind.
    """
    for key, value in options.items():
        layers = list(nested_methods(run.method))
        inside = (run, run.training, run.reading, *layers)
        known = [
            set(dataclass_io.field_types(type(part))) - {"base", "method", "training", "reading"} for part in inside
        ]
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
