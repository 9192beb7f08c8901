"""Check which public datasets are on disk, and suggest how to fix or get the others."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cliptune.data import public
from cliptune.data.public.common.public_dataset import PublicDataset
from cliptune.data.public.common.spec import DatasetLocation, DatasetSpec, find_split, missing_lists
from cliptune.data.public.common.split_dataset import SplitDataset
from cliptune.data.public.doctor import completeness, layouts, missing, spot_check
from cliptune.data.public.doctor.status import Condition, DatasetStatus, ImageCount, RootStatus
from cliptune.data.split_file import read_split_file
from cliptune.errors import UserError, os_reason
from cliptune.registry import nearest


def check_datasets(
    root: str | Path, names: Sequence[str] = (), kinds: Mapping[str, type[PublicDataset]] | None = None
) -> RootStatus:
    """Check the public datasets called `names`, by default all, under `root`.

    Args:
        root: The folder that contains the datasets.
        names: Names of public datasets.
        kinds: Dataset classes by name; by default all public datasets.

    Raises:
        UserError: If the root is not a folder or may not be listed, or a name is unknown.
    """
    root = existing_root(root)
    kinds = kinds or public.classes()
    for name in names:
        if name not in kinds:
            raise UserError(f"no public dataset {name!r}; {nearest(name, kinds)}")
    specs = [kind.spec for kind in kinds.values()]
    reports = tuple(check_dataset(kinds[name], root, specs) for name in names or kinds)
    nothing = all(report.status == "absent" for report in reports)
    return RootStatus(root, reports, layouts.suggest_root(root, specs) if nothing else "")


def existing_root(root: str | Path) -> Path:
    """`root` as an absolute path. Raises `UserError` with the nearest folder if it is not a folder."""
    path = Path(root).expanduser().absolute()
    try:
        with os.scandir(path):
            return path
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(layouts.suggest_folder(path)) from None
    except OSError as error:
        raise UserError(f"cannot list {path} ({os_reason(error)}); check its permissions") from None


def check_dataset(
    kind: type[PublicDataset], root: Path, specs: Sequence[DatasetSpec] = (), *, sample: bool = True
) -> DatasetStatus:
    """Check one public dataset under `root`.

    Args:
        kind: The dataset's class.
        root: The folder that contains the datasets.
        specs: Specifications of all datasets, to tell their archives apart by name.
        sample: Whether to open a sample of the image files.
    """
    spec = kind.spec
    try:
        return _Check(kind, root, specs or [spec]).run(sample)
    except OSError as error:
        place = error.filename or root
        fix = f"cannot list {place} ({os_reason(error)}); check its permissions: ls -ld {place}"
        return DatasetStatus(spec.name, spec.title, "unreadable", fix)


class _Check:
    """One dataset under one root."""

    def __init__(self, kind: type[PublicDataset], root: Path, specs: Sequence[DatasetSpec]):
        self.kind, self.spec, self.root = kind, kind.spec, root
        self.split_file = find_split(self.spec, root)
        self.unpack = missing.suggest_unpack(self.spec, root, specs)
        self.download = f"cliptune data download {self.spec.name} --root {layouts.shell_command(root)}"

    def run(self, sample: bool) -> DatasetStatus:
        layout = next((x for x in self.spec.layouts if (self.root / x.marker_path).is_dir()), None)
        if layout is None:
            return self._not_located()
        home = self.root / layout.home
        location = DatasetLocation(layout, home, home / layout.images, self.split_file)
        found = self._located(location)
        broken = spot_check.check_sample(location.images, home) if sample else ""
        if not broken:
            return found
        status: Condition = "incomplete" if found.status == "ready" else found.status
        return replace(found, status=status, fix=broken, notes=(*found.notes, *filter(None, [found.fix])))

    def _not_located(self) -> DatasetStatus:
        """The status if no layout matches."""
        spec, root = self.spec, self.root
        if move := layouts.suggest_move(spec, root, self._sample_keys(elsewhere=True)):
            return self._status("wrong layout", move)
        partial = next((x for x in spec.layouts if x.home and (root / x.home).is_dir()), None)
        if partial is None and not self.unpack:
            return self._status("absent", self.download)
        folder = root / partial.marker_path if partial else root
        fix = self.unpack or f"{folder} with the images is missing: {self.download}"
        home = root / partial.home if partial else None
        return self._status("incomplete", fix, home=home, pictures=ImageCount(sum(spec.split_sizes), 0))

    def _located(self, location: DatasetLocation) -> DatasetStatus:
        """The status if a layout matches."""
        spec = self.spec
        lists = [spec.split_file] if spec.split_file and not self.split_file else []
        lists += missing_lists(spec, location.home)
        if lists:
            keys = self._sample_keys(elsewhere=True)
            if keys and (move := layouts.suggest_move(spec, self.root, keys)):
                return self._status("wrong layout", move, location)
            fix = f"put {', '.join(lists)} into {location.home}" + (f" ({spec.source})" if spec.source else "")
            notes = (f"{completeness.count_images(location.images):,} image files are there",)
            return self._status("no split", fix, location, notes=notes)
        try:
            found = completeness.count_files(self.kind, location, self.root)
        except UserError as error:
            if isinstance(error.__context__, PermissionError):
                return self._status("unreadable", str(error), location)
            if issubclass(self.kind, SplitDataset):
                return self._status("no split", str(error), location)
            expected = sum(spec.split_sizes)
            images = ImageCount(expected, min(completeness.count_images(location.images), expected))
            return self._status("incomplete", self.unpack or str(error), location, pictures=images)
        notes, counts = found.notes, {"pictures": found.images, "masks": found.masks}
        if found.mismatches:
            notes = (f"not the published split ({'; '.join(found.mismatches)}): results do not compare", *notes)
        if found.images.found >= found.images.expected:
            return self._status("ready", "", location, notes=notes, **counts)
        move = "" if found.images.found else layouts.suggest_move(spec, self.root, self._sample_keys())
        case = missing.suggest_case_fix(location.images, found.missing)
        fix = move or self.unpack or case or f"copy the rest, or download it: {self.download}"
        if folders := missing.missing_folders(location.images, found.missing):
            notes = (*notes, folders)
        return self._status("wrong layout" if move else "incomplete", fix, location, notes=notes, **counts)

    def _status(
        self, status: Condition, fix: str, location: DatasetLocation | None = None, **fields: Any
    ) -> DatasetStatus:
        """A status with further `fields`, and with those of `location` if the dataset was located."""
        if location is not None:
            split = completeness.split_status(self.spec, self.split_file)
            fields |= {"layout": location.layout.kind, "home": location.home, "split": split}
        return DatasetStatus(self.spec.name, self.spec.title, status, fix, **fields)

    def _sample_keys(self, elsewhere: bool = False) -> list[str]:
        """Some of the paths in the split file, from all over it. elsewhere: search for the split file if necessary."""
        file = self.split_file or (layouts.find_split_elsewhere(self.spec, self.root) if elsewhere else None)
        try:
            splits = read_split_file(file, self.root)[1] if file else {}
        except UserError:
            return []
        examples = [e for split in splits.values() for e in split]
        return [e.key for e in examples[:: max(1, len(examples) // 20)]]
