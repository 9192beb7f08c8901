"""Check a sample of downloaded masks: headers against those of the images, and pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cliptune.errors import UserError
from cliptune.types import Example

#: Number of masks whose headers are read, and of those that are decoded.
HEADERS, DECODED = 1000, 100


def check_sample(folder: Path, masks: Mapping[str, str], examples: Sequence[Example]) -> list[str]:
    """Remarks about a sample of masks.

    Args:
        folder: The folder of masks.
        masks: Key of an example -> path of its mask in `folder`.
        examples: Images with a mask.

    Raises:
        UserError: If at least half of the masks cannot be used, or all are empty or all full.
    """
    from cliptune.masks.files import find_file_problems

    sample = spread([example for example in examples if example.key in masks], HEADERS)
    found = find_file_problems(sample, lambda example: folder / masks[example.key], "in the archive")
    remarks = []
    if found:
        count = f"{len(found):,} of {len(sample):,} sampled masks cannot be used; the first: {found[0].text}"
        if 2 * len(found) >= len(sample):
            raise UserError(count)
        remarks.append(count)
    bad = {problem.key for problem in found}
    return remarks + _check_pixels([folder / masks[e.key] for e in spread(sample, DECODED) if e.key not in bad])


def spread(examples: Sequence[Example], count: int) -> Sequence[Example]:
    """At most `count` examples, evenly spaced."""
    return examples[:: -(-len(examples) // count) or 1]


def _check_pixels(files: Sequence[Path]) -> list[str]:
    from cliptune.masks.decode import read_mask
    from cliptune.masks.validate import is_empty, is_full, uninformative_message

    empty = full = unreadable = 0
    for file in files:
        try:
            mask = read_mask(file)[0]
        except UserError:
            unreadable += 1
            continue
        empty, full = empty + is_empty(mask), full + is_full(mask)
    if message := uninformative_message(empty, full, len(files)):
        raise UserError(f"the masks were not put into place: in a sample, {message}")
    counts = {"without foreground": empty, "without background": full, "damaged": unreadable}
    return [f"{count} of {len(files)} sampled masks are {what}" for what, count in counts.items() if count]
