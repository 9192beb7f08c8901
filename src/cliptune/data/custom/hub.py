"""Datasets of the Hugging Face hub, or saved on disk by its package: hub:USER/NAME, hub:PATH."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cliptune.data.config import DataConfig
from cliptune.data.custom.common.build import CustomDataset, LabeledExamples, build_splits, split_named
from cliptune.data.custom.common.multi_label import label_splitter
from cliptune.data.image_io import read_image, read_image_bytes
from cliptune.errors import UserError
from cliptune.types import DecodedImage, Example
from cliptune.user_warnings import warn_user

if TYPE_CHECKING:
    import datasets

#: Common column names, likeliest first; used if column types do not decide.
IMAGE = ("image", "img", "picture", "photo", "images", "pixel_values", "jpg", "png")
LABEL = ("label", "labels", "class", "category", "target", "fine_label", "class_name", "y", "cls")
#: Options after the name, separated by commas.
OPTIONS = ("config", "revision")


class Hub(CustomDataset):
    """Images and labels loaded by the `datasets` package; keys are split name and row number.

    Args:
        splits: Its splits by name. Those named train, validation (or val, valid, dev) and test are used as such;
            missing ones take a share of the training split, as with folders. A single split of another name is used
            for training.
        name: The dataset's name.
        config: Columns and label separator.

    Raises:
        UserError: If splits, columns or labels are missing or invalid.
    """

    def __init__(self, splits: Mapping[str, datasets.Dataset], name: str, config: DataConfig | None = None):
        config = config or DataConfig()
        self.name = name
        self._parts = _parts(splits, name)
        features = self._parts["train"][1].features
        self.image = _column(features, config.image_column, "Image", IMAGE, name, "--image-column")
        label = _column(features, config.label_column, "ClassLabel", LABEL, name, "--label-column")
        kind = features[label]
        self._images = {split: rows.select_columns(self.image) for split, rows in self._parts.values()}
        titles = getattr(kind, "names", None)
        found: dict[str, Any] = {part: self._found(part, label) for part in self._parts}
        cells = [cell for rows in found.values() for cell, _ in rows]
        split = None if titles is not None else label_splitter(cells, name, config.label_separator)
        if split is not None:
            found = {part: [(split(cell), example) for cell, example in rows] for part, rows in found.items()}
            cells = [label for cell in cells for label in split(cell)]
        whole = titles is not None or all(cell.lstrip("-").isdecimal() for cell in cells)
        values = sorted(set(cells), key=int if whole else str)
        if titles is not None:
            values = [str(i) for i in range(len(titles))]
        self.classnames, self._splits = build_splits(
            found,
            name,
            classes=values,
            titles=None if titles is None else dict(zip(values, titles, strict=True)),
            raw_names=config.raw_names,
        )

    @classmethod
    def from_spec(cls, argument: str, config: DataConfig) -> Hub:
        name, *rest = (part.strip() for part in argument.split(","))
        options = {option: value for option, _, value in (part.partition("=") for part in rest)}
        if not name or not all(options.values()) or not options.keys() <= set(OPTIONS):
            raise UserError(
                f"hub takes a dataset's name and, after commas, config=NAME and revision=NAME, got {argument!r}: "
                f"--data hub:USER/NAME"
            )
        return cls(load_splits(name, options.get("config"), options.get("revision")), name, config)

    def read(self, example: Example) -> DecodedImage:
        split, _, row = example.key.rpartition("/")
        value = self._images[split][int(row)][self.image]
        content: dict[str, Any] = (
            value if isinstance(value, dict) else {"path" if isinstance(value, str) else "bytes": value}
        )
        if content.get("bytes") is None and content.get("path"):
            return read_image(Path(content["path"]))
        return read_image_bytes(content.get("bytes") or b"", f"{example.key} of {self.name}")

    def _found(self, part: str, label: str) -> LabeledExamples:
        """Examples of a split with their labels as text, without decoding images."""
        name, rows = self._parts[part]
        labels = rows.select_columns(label).with_format("arrow")[:][label].to_pylist()
        unlabeled = [i for i, value in enumerate(labels) if value is None or value == "" or value == -1]
        if unlabeled:  # hidden labels of test sets are -1
            warn_user(f"{len(unlabeled)} of {len(labels)} {name} images of {self.name} have no label; ignored")
        odd = next((value for value in labels if not isinstance(value, (str, int, type(None)))), None)
        if odd is not None:
            raise UserError(f"column {label!r} of {self.name} contains {odd!r}; a label is a name or an integer")
        skipped = set(unlabeled)
        return [(str(value), Example(f"{name}/{i}", -1)) for i, value in enumerate(labels) if i not in skipped]


def load_splits(name: str, config: str | None = None, revision: str | None = None) -> Mapping[str, datasets.Dataset]:
    """Load the splits of a dataset of the hub, of one saved on disk, or of a folder or parquet file.

    Raises:
        UserError: If the package is not installed, or cannot load the dataset.
    """
    try:
        import datasets
    except ImportError:
        raise UserError('hub data needs the package datasets: pip install "cliptune[hub]"') from None
    path = Path(name).expanduser()
    try:
        if path.is_dir() and any((path / file).is_file() for file in ("dataset_dict.json", "state.json")):
            splits: Any = datasets.load_from_disk(str(path))
        elif path.is_file():
            splits = datasets.load_dataset("parquet", data_files=str(path))
        else:
            splits = datasets.load_dataset(str(path) if path.is_dir() else name, config, revision=revision)
    except Exception as error:  # whatever the package, its network or its parsers raise is part of the message
        cause = error.__cause__ if type(error).__name__.startswith("DatasetGeneration") else None
        reason = (str(cause or error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UserError(
            f"dataset {name!r} cannot be loaded: {reason}; check the name and the connection, or give the path of a "
            f"saved copy"
        ) from None
    return splits if isinstance(splits, Mapping) else {str(splits.split or "train"): splits}


def _parts(splits: Mapping[str, datasets.Dataset], name: str) -> dict[str, tuple[str, datasets.Dataset]]:
    """Split -> its name in the dataset, and its rows with images undecoded."""
    import datasets

    found = {part: split for split in reversed(list(splits)) if (part := split_named(split))}
    if len(splits) == 1 and not found:
        found = {"train": next(iter(splits))}
    if "train" not in found:
        raise UserError(f"{name} has no train split; it has {', '.join(splits)}")
    left = set(splits) - set(found.values())
    if left:
        warn_user(f"splits of {name} that are not used: {', '.join(sorted(left))}")
    parts = {}
    for part, split in found.items():
        rows = splits[split].with_format(None)
        for column, kind in rows.features.items():
            if isinstance(kind, datasets.Image):
                rows = rows.cast_column(column, datasets.Image(decode=False))
        parts[part] = split, rows
    return parts


def _column(features: Mapping[str, Any], asked: str, kind: str, names: tuple[str, ...], data: str, flag: str) -> str:
    """The requested column, or the only one of a type, or the one with the likeliest name. Raises `UserError`."""
    if asked:
        if asked not in features:
            raise UserError(f"{data} has no column {asked!r}; it has {', '.join(features)}")
        return asked
    typed = [column for column, feature in features.items() if type(feature).__name__ == kind]
    ranked = [name for name in names if name in typed] or typed or [name for name in names if name in features]
    if not ranked or (len(typed) > 1 and typed == ranked):
        what = "images" if kind == "Image" else "labels"
        raise UserError(f"which column of {data} contains the {what}? It has {', '.join(features)}; set {flag}")
    return ranked[0]
