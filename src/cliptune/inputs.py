"""Digests of the files that a run reads from paths, to notice when their content changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from cliptune.config import RunConfig
from cliptune.errors import UserError
from cliptune.files import open_regular, read_text, write_json
from cliptune.local_paths import named_paths
from cliptune.types import Task

#: File in a run directory: path as named, or what else a run reads -> digest.
INPUTS = "inputs.json"
#: Largest size of that file.
MAX_INPUTS_BYTES = 1 << 20
#: Which files of a folder decide, by the field that names it; of other folders, the task's examples do.
FOLDER_FILES = {"teacher": (".safetensors",), "backbone": (".safetensors", ".bin", ".pt", ".json")}
#: Files up to this size are read whole; of larger ones, such as weights of backbones, blocks in regular distances.
WHOLE_BYTES, BLOCK_BYTES, BLOCKS = 64 << 20, 1 << 20, 32
#: Fields whose files a trained model still needs, apart from the backbone, whose weights checkpoints identify.
MODEL_FIELDS = ("descriptions", "teacher")
#: Names of what `example_digests` returns.
EXAMPLES, MASKS = "the training images", "the masks of the training images"


def file_digests(run: RunConfig, fields: Collection[str] = ()) -> dict[str, str]:
    """Path as named -> digest, for every existing file that a run names, and for the folders of teacher and backbone.

    Folders of images and masks are left out: see `example_digests`. fields: Only paths of these fields.
    """
    found: dict[str, str] = {}
    for field, path in named_paths(run):
        if fields and field not in fields:
            continue
        place = Path(path).expanduser()
        files = [place] if place.is_file() else []
        if place.is_dir():
            files = sorted(file for file in place.glob("*") if file.suffix in FOLDER_FILES.get(field, ()))
        try:
            digests = [[file.name, _file_digest(file)] for file in files]
        except OSError:
            continue  # reported where it is read
        if digests:
            found[path] = digests[0][1] if place.is_file() else _digest(digests)
    return found


def example_digests(run: RunConfig, task: Task) -> dict[str, str]:
    """Digests of the task's training images that are files, by keys, labels and file sizes, and of their mask files if
    the run's method reads any, by file sizes."""
    files = [(e, e.path) for e in task.train if e.path is not None and e.path.is_file()]
    content: dict[str, list[Any]] = {EXAMPLES: [[e.key, e.label, path.stat().st_size] for e, path in files]}
    if spec := run.method.mask_source():
        from cliptune import masks
        from cliptune.masks.file_masks import FileMasks

        source = masks.get("data" if spec == "auto" else spec, task.seed)
        found = [source.find(e) if isinstance(source, FileMasks) else e.mask for e, _ in files]
        content[MASKS] = [None if mask is None or not mask.is_file() else mask.stat().st_size for mask in found]
    return {name: _digest(rows) for name, rows in content.items() if rows}


def find_changed(folder: Path, now: Mapping[str, str]) -> str:
    """What has another digest in the record of the run directory, in words; "" for nothing, and for a directory without
    a record. A file that is missing now has not changed."""
    before = _read(folder)
    return next((name for name, digest in now.items() if before.get(name, digest) != digest), "")


def write_inputs(folder: Path, now: Mapping[str, str]) -> None:
    """Write the digests to the run directory; remove the record if there are none."""
    if now:
        write_json(folder / INPUTS, {**now})
    else:
        (folder / INPUTS).unlink(missing_ok=True)


def _read(folder: Path) -> dict[str, object]:
    path = folder / INPUTS
    if not path.is_file():
        return {}
    try:
        content = json.loads(read_text(path, MAX_INPUTS_BYTES))
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, UserError) else "it is not JSON"
        raise UserError(f"{path} cannot be read ({reason}); choose another folder with --out, or remove it") from None
    return content if isinstance(content, dict) else {}


def _file_digest(path: Path) -> str:
    """Digest of a file's size and content."""
    size, hashed = path.stat().st_size, hashlib.blake2b(digest_size=8)
    hashed.update(str(size).encode())
    with open_regular(path) as file:
        for start in _block_starts(size):
            file.seek(start)
            hashed.update(file.read(BLOCK_BYTES))
    return hashed.hexdigest()


def _block_starts(size: int) -> Iterator[int]:
    if size <= WHOLE_BYTES:
        yield from range(0, size, BLOCK_BYTES)
    else:
        yield from (i * (size - BLOCK_BYTES) // (BLOCKS - 1) for i in range(BLOCKS))


def _digest(content: object) -> str:
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=8).hexdigest()
