"""Measures the shipped weights on images never trained on, zero-shot: `python measure.py --work PREPARED`; prints a
Markdown table."""

from __future__ import annotations

import argparse
from pathlib import Path

import open_clip
from photographs import TEMPLATES, Table, zero_shot

from cliptune.backbones.bundled import BUNDLED


def main() -> None:
    """Print accuracy, its standard error, images and classes of every evaluation set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="output of prepare.py")
    table, photo = Table(parser.parse_args().work), BUNDLED["photo"]
    model = open_clip.model.CLIP(**photo.config()).eval()
    model.load_state_dict(photo.state_dict())
    print(
        f'| images, "{TEMPLATES[0]}" | number | classes | chance | top-1 | standard error |\n|---|--:|--:|--:|--:|--:|'
    )
    for name, share, images, classes in zero_shot(table, model, open_clip.SimpleTokenizer()):
        error = (share * (1 - share) / images) ** 0.5
        print(f"| {name} | {images:,} | {classes} | {100 / classes:.1f} | {100 * share:.1f} | {100 * error:.1f} |")


if __name__ == "__main__":
    main()
