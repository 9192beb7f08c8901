"""Files of Pascal VOC: lists of pictures, and the objects in them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path, PurePosixPath

from cliptune.errors import UserError
from cliptune.files import read_bytes, read_text

#: Name in the annotations -> name in sentences, in label order.
CLASSNAMES = {
    name: {"diningtable": "table", "pottedplant": "plant"}.get(name, name)
    for name in (
        "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant "
        "sheep sofa train tvmonitor"
    ).split()
}


def read_image_ids(file: Path) -> list[str]:
    """Names of pictures, without suffix, from the first word of each line: a name or a path. Raises `UserError`."""
    lines = read_text(file).splitlines()
    return [PurePosixPath(line.split()[0]).stem for line in lines if line.strip()]


def read_labels(file: Path) -> tuple[int, ...]:
    """Labels of the classes of which an annotation names objects, in order; of difficult ones too.

    Raises `UserError` for a file that is no annotation, and for objects of other classes.
    """
    try:
        found = {(node.text or "").strip() for node in ET.fromstring(read_bytes(file)).findall("object/name")}
    except ET.ParseError as error:
        raise UserError(f"the annotation {file} cannot be read ({type(error).__name__}); copy it anew") from None
    place = {name: label for label, name in enumerate(CLASSNAMES)}
    if found - set(place):
        raise UserError(f"the annotation {file} names {min(found - set(place))!r}, no class of Pascal VOC 2012")
    return tuple(sorted(place[name] for name in found))
