"""The model card of a run: `README.md` with front matter that the hub reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cliptune import methods
from cliptune.analysis.calibration import FittedTemperature
from cliptune.config import RunConfig, external_names, nested_methods
from cliptune.hub.client import endpoint
from cliptune.push.base_weights import BaseWeights
from cliptune.results.aggregate import display_name
from cliptune.results.summary import MARK_NOTES
from cliptune.text import listed
from cliptune.types import Result
from cliptune.version import __version__

#: Number of class names in the card; all are in the file of classes.
MAX_CLASSES = 60


@dataclass(frozen=True)
class CardFacts:
    """What a model card says.

    Args:
        repository: USER/MODEL.
        revision: The branch that is pushed to, "" for the main branch.
        run: The configuration.
        classnames: The class names of the model.
        result: The record of the run, if there is one.
        base: The weights of the backbone.
        kib: Size of the checkpoint in KiB.
        license: Licence of the learned tensors as an SPDX identifier, "" if the user named none.
        temperature: The fitted temperature, if there is one.
    """

    repository: str
    revision: str
    run: RunConfig
    classnames: Sequence[str]
    result: Result | None
    base: BaseWeights
    kib: float
    license: str = ""
    temperature: FittedTemperature | None = None

    @property
    def method(self) -> str:
        """The method's name."""
        return methods.name_of(self.run.method)


def model_card(facts: CardFacts) -> str:
    """The text of the card."""
    front = yaml.safe_dump(_front_matter(facts), sort_keys=False, allow_unicode=True)
    shots = f"{facts.run.shots} images per class" if facts.run.shots else "all training images"
    title = facts.repository.rpartition("/")[2]
    tuned = f"`{facts.method}` on the CLIP {escape(facts.base.name)}, tuned with cliptune for"
    trained = f"{len(facts.classnames)} classes of {describe_data(facts.run.data)} with {shots} (seed {facts.run.seed})"
    parts = [f"# {title}\n\n{tuned} {trained}.", _usage(facts), _classes(facts), _results(facts)]
    parts += [_files(facts), _citation(facts)]
    return f"---\n{front}---\n\n" + "\n\n".join(parts) + "\n"


def describe_data(data: str) -> str:
    """The data of a run in words, without the folders around it."""
    kind, colon, place = data.partition(":")
    if not colon:
        return f"the dataset {escape(kind)}"
    name = place.partition(",")[0]
    if kind == "hub" and re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        return f"the dataset {escape(name)} on Hugging Face"
    return f"the author's own images ({escape(kind)} {escape(Path(name).name)})"


def escape(text: str) -> str:
    """Text without characters that Markdown and HTML interpret."""
    text = re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", text.encode(errors="replace").decode())
    return text.replace("&", "&amp;").replace("\\<", "&lt;").replace("\\>", "&gt;")


def _front_matter(facts: CardFacts) -> dict[str, Any]:
    about: dict[str, Any] = {"library_name": "cliptune", "pipeline_tag": "image-classification"}
    if facts.license:
        about["license"] = facts.license
    if facts.base.repository:
        about["base_model"] = facts.base.repository
    about["tags"] = ["cliptune", "clip", "prompt-tuning", "few-shot", *facts.method.replace(":", ".").split("+")]
    measured = _measured(facts.result)
    if measured:
        data = {"name": facts.run.data.partition(":")[0], "type": facts.run.data.partition(":")[0]}
        metrics = [{"type": "accuracy", "name": f"accuracy ({name})", "value": round(v, 2)} for name, v in measured]
        task = {"type": "image-classification"}
        name = facts.repository.rpartition("/")[2]
        about["model-index"] = [{"name": name, "results": [{"task": task, "dataset": data, "metrics": metrics}]}]
    return about


def _usage(facts: CardFacts) -> str:
    name = f"hf:{facts.repository}" + (f"@{facts.revision}" if facts.revision else "")
    code = external_names(facts.run)
    flag, argument = (" --allow-code", ", allow_code=True") if code else ("", "")
    needs = (
        f"\n\nThe method is code outside of cliptune ({', '.join(f'`{one}`' for one in sorted(code))}), which must be "
        f"installed; it is not in this repository."
        if code
        else ""
    )
    local = (
        "" if facts.base.public else "\n\nThe backbone is not published; pass your copy: `ct.load(..., backbone=...)`."
    )
    return f"""## Use

```bash
pip install "cliptune[hub]"
cliptune predict {name} photo.jpg{flag}
```

```python
import cliptune as ct

run = ct.load("{name}"{argument})
print(run.predict("photo.jpg", top_k=3))
```{needs}{local}"""


def _classes(facts: CardFacts) -> str:
    names = listed(map(escape, facts.classnames), MAX_CLASSES)
    return f"## Classes\n\n{names}. All {len(facts.classnames)} are in `classes.txt`, in the order of the logits."


def _measured(result: Result | None) -> list[tuple[str, float]]:
    """Accuracy at the end of training by test set; earlier epochs have an @ in their name."""
    return [
        (display_name(name), value) for name, value in (result.metrics if result else {}).items() if "@" not in name
    ]


def _results(facts: CardFacts) -> str:
    measured, result = _measured(facts.result), facts.result
    if result is None or not measured:
        return "## Results\n\nNo accuracy was recorded for this model."
    images = result.provenance.get("test_images", {})
    counts = {display_name(name): str(count) for name, count in images.items()}
    rows = [f"| {escape(name)} | {counts.get(name, '')} | {value:.2f} |" for name, value in measured]
    notes = [note for entry, note in MARK_NOTES.items() if result.provenance.get(entry)]
    version = result.provenance.get("versions", {}).get("cliptune", "")
    notes.append(
        f"Accuracy of one training run (seed {result.seed}), measured by cliptune {escape(version)}; the whole record, "
        f"with losses per epoch and versions, is in `result.json`."
    )
    if facts.temperature is not None:
        notes.append(
            f"A temperature of {facts.temperature.temperature:.3g} was fitted on {facts.temperature.images} validation "
            f"images: `run.predict(..., calibrated=True)`."
        )
    table = "\n".join(["| test set | images | accuracy (%) |", "|---|--:|--:|", *rows])
    return f"## Results\n\n{table}\n\n{' '.join(notes)}"


def _files(facts: CardFacts) -> str:
    trained = facts.result.cost.get("parameters") if facts.result else None
    count = f"{trained:,.0f} trained parameters; " if trained else ""
    own = f"The files in this repository: {facts.license}. " if facts.license else ""
    page = f"{endpoint()}/{facts.base.repository}"
    base = f"[{facts.base.repository}]({page})" if facts.base.repository else escape(facts.base.name)
    return f"""## Files and licences

`checkpoint.safetensors` contains the learned tensors alone ({count}{facts.kib:,.0f} KiB), the configuration and the
class names, and `config.yaml` the configuration for reading; there is no code. `cliptune train --config
hf:{facts.repository} --data ...` trains with the same settings on other images.

{own}The frozen backbone is not included. Licence of its weights, {base}: {facts.base.licence}."""


def _citation(facts: CardFacts) -> str:
    papers = {methods.paper_of(type(method)) for method in nested_methods(facts.run.method)} - {""}
    lines = "\n".join(f"- {paper}" for paper in sorted(papers))
    cite = f"The method:\n\n{lines}\n\nThe software:" if papers else "The software:"
    return f"""## Citation

{cite}

```bibtex
@software{{cliptune,
  title   = {{cliptune: prompt tuning for CLIP-like vision-language models}},
  author  = {{{{The cliptune developers}}}},
  version = {{{__version__}}}
}}
```"""
