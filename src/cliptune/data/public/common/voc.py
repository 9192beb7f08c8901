"""Pascal VOC files: image lists and annotations."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path, PurePosixPath

from cliptune.errors import UserError
from cliptune.files import read_bytes, read_text

#: Class name in the annotations -> class name in prompts, in label order.
CLASSNAMES = {
    name: {"diningtable": "table", "pottedplant": "plant"}.get(name, name)
    for name in (
        "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant "
        "sheep sofa train tvmonitor"
    ).split()
}


def read_image_ids(file: Path) -> list[str]:
    """Read image names without suffix from the first word of each line, a name or a path. Raises `UserError`."""
    lines = read_text(file).splitlines()
    return [PurePosixPath(line.split()[0]).stem for line in lines if line.strip()]


def read_object_labels(file: Path) -> tuple[int, ...]:
    """Read the labels of all objects in an annotation, sorted; objects marked difficult count too.

    Raises:
        UserError: If the file is not an annotation, or names an object of another class.
    """
    try:
        found = {(node.text or "").strip() for node in ET.fromstring(read_bytes(file)).findall("object/name")}
    except ET.ParseError as error:
        raise UserError(f"cannot read the annotation {file} ({type(error).__name__}); copy it again") from None
    label_of = {name: label for label, name in enumerate(CLASSNAMES)}
    if found - set(label_of):
        raise UserError(f"the annotation {file} names {min(found - set(label_of))!r}, not a class of Pascal VOC 2012")
    return tuple(sorted(label_of[name] for name in found))
