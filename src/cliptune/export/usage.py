"""Lines of Python that use an export: in its README, and as the program `classify.py`."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SCRIPT = "classify.py"
#: Reads the pixels of the PIL image `image` as a batch of one.
PIXELS = "np.asarray(image).transpose(2, 0, 1)[None]"
_PILLOW = ("import numpy as np", "from PIL import Image, ImageOps")
_CLASSES = 'classes = json.load(open("classifier.json", encoding="utf-8"))["classes"]'
_HEIC = """
try:
    import pillow_heif

    pillow_heif.register_heif_opener()
except ImportError:
    pass  # without pillow-heif, HEIC images cannot be read
"""


@dataclass(frozen=True)
class Usage:
    """How to use the file of an export, in its folder.

    Attributes:
        needs: What to install.
        imports: Imports besides json, numpy and Pillow.
        setup: Lines that open the file.
        logits: Lines that compute `logits` `(1, C)` of the PIL image `image`, which has the size of the backbone.
    """

    needs: str
    imports: tuple[str, ...]
    setup: tuple[str, ...]
    logits: tuple[str, ...]


def readme_lines(usage: Usage, resize: Sequence[str], about: dict[str, Any]) -> str:
    """Lines that print the class of one image and its probability.

    resize: Lines that read `file` as `image`. about: The content of `classifier.json`.
    """
    head = ("import json", *sorted(usage.imports), *_PILLOW, "", 'file = "photo.jpg"')
    body = (*resize, *usage.setup, *usage.logits, _CLASSES, *_odds(about))
    return "\n".join((*head, *body, "print(classes[odds.argmax()], odds.max() / odds.sum())"))


def script(usage: Usage, resize: Sequence[str], about: dict[str, Any]) -> str:
    """A program that prints a line with file, class and probability for each image that its arguments name."""
    imports = "\n".join((*sorted(("import json", "import os", "import sys", *usage.imports)), *_PILLOW))
    loop = "\n".join((*resize, *usage.logits, *_odds(about)))
    return f'''"""Classify images: python {SCRIPT} IMAGE ... Needs: pip install {usage.needs}"""

{imports}
{_HEIC}
files = [(name, os.path.abspath(name)) for name in sys.argv[1:]] or sys.exit(__doc__)
os.chdir(os.path.dirname(os.path.abspath(__file__)))
{chr(10).join(usage.setup)}
{_CLASSES}
for name, file in files:
{textwrap.indent(loop, "    ")}
    print(name, classes[odds.argmax()], f"{{odds.max() / odds.sum():.4f}}", sep="\\t")
'''


def _odds(about: dict[str, Any]) -> tuple[str, ...]:
    """Lines that compute `odds`, in proportion to the probabilities; calibrated if a temperature was fitted."""
    fitted = about.get("temperature")
    calibrate = (f"logits = logits / {fitted['temperature']!r}  # calibrated on validation images",) if fitted else ()
    return (*calibrate, "odds = np.exp(logits[0] - logits[0].max())")
