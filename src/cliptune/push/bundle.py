"""The files of a run as they are published: its own, without paths of this machine, and those for human readers."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from cliptune import calibration, local_paths
from cliptune.config import RunConfig, external_names, from_dict, nested_methods, to_yaml
from cliptune.engine import checkpoint, checkpoint_header
from cliptune.errors import UserError
from cliptune.external_code import AllowCode
from cliptune.files import write_text
from cliptune.push.base_weights import base_weights
from cliptune.push.card import CardFacts, model_card
from cliptune.results import store
from cliptune.run_dir import CHECKPOINT, CONFIG, DESCRIPTIONS, HUB_FILES
from cliptune.text import listed

README, CLASSES = "README.md", "classes.txt"
#: All files that a published run may have, the checkpoint first.
FILES = (*HUB_FILES, README, CLASSES)


def write_bundle(
    source: Path, out: Path, repository: str, *, revision: str = "", license: str = "", allow_code: AllowCode = False
) -> list[str]:
    """Write the files of a run to an empty folder.

    Args:
        source: A run directory, or a checkpoint file; in its folder, the record and the temperature are found if it
            has the usual name.
        out: The folder.
        repository: USER/MODEL, for the model card.
        revision: The branch, likewise.
        license: Licence of the learned tensors, an SPDX identifier, likewise.
        allow_code: As for `load`.

    Returns:
        What the user should know about the files, in sentences.

    Raises:
        UserError: If there is no checkpoint, it is damaged, or it names code that must not be imported.
    """
    path = source / CHECKPOINT if source.is_dir() else source
    tensors, about = checkpoint.read_checkpoint(path)
    header, places = checkpoint_header.read_header(about, path), about.pop("places", None)
    try:
        run = from_dict(header.config, allow_code)
    except UserError as error:
        raise UserError(f"the configuration in {path} cannot be used: {error}") from None
    remarks = _write_descriptions(run, local_paths.relocate_paths(run, places, path.parent), out)
    if (out / DESCRIPTIONS).is_file():
        about["places"] = {named: [DESCRIPTIONS] for named in _descriptions(run)}
    checkpoint.write_checkpoint(out / CHECKPOINT, tensors, about)
    write_text(out / CONFIG, to_yaml(run))
    write_text(out / CLASSES, "".join(f"{name}\n" for name in header.classnames))
    whole = path.name == CHECKPOINT
    record = path.parent / store.RESULT_FILE
    result = store.load_result(record) if whole and record.is_file() else None
    if result is not None:
        provenance = {key: value for key, value in result.provenance.items() if key not in ("places", "inputs")}
        store.save_result(dataclasses.replace(result, provenance=provenance), out)
    fitted = calibration.read_temperature(path.parent) if whole else None
    if fitted is not None:
        calibration.write_temperature(out, fitted)
    base = base_weights(run)
    kib = (out / CHECKPOINT).stat().st_size / 1024
    facts = CardFacts(repository, revision, run, header.classnames, result, base, kib, license, fitted)
    write_text(out / README, model_card(facts))
    if not base.public:
        remarks.append(f"the backbone {base.name} is a local file, which others need to load the model")
    if code := external_names(run):
        remarks.append(f"the method {', '.join(sorted(code))} is code of yours, which others need to load the model")
    return remarks + _path_remarks(run)


def _descriptions(run: RunConfig) -> set[str]:
    """The files with sentences about the classes that the methods of a run name."""
    named = (getattr(method, "descriptions", None) for method in nested_methods(run.method))
    return {path for path in named if isinstance(path, str) and path}


def _write_descriptions(run: RunConfig, here: RunConfig, out: Path) -> list[str]:
    """Copy the sentences that the run's method reads, from where they are now (`here`). Returns remarks."""
    files = [Path(path).expanduser() for path in _descriptions(here)]
    if not files:
        return []
    if len(files) > 1 or not files[0].is_file():
        return [f"the sentences about the classes ({', '.join(sorted(_descriptions(run)))}) are not included"]
    shutil.copyfile(files[0], out / DESCRIPTIONS)
    return []


def _path_remarks(run: RunConfig) -> list[str]:
    """A remark about absolute paths that the user typed, which everyone can read in the configuration."""
    typed = {path for _, path in local_paths.named_paths(run) if Path(path).expanduser().is_absolute()}
    if not typed:
        return []
    return [f"the configuration names {listed(sorted(typed), 3)} of this machine, as it was typed, for all to read"]
