"""Write benchmarks/descriptions.json: sentences about the bundled sprites, for methods that read descriptions.

    .venv/bin/python benchmarks/descriptions.py BUILD/packages/names/package/en/data.json

The argument is the file of keywords in the package `emojibase-data` (MIT), see `tools/embedded/artwork.py`. A class has
one sentence with its name alone, and one for each keyword that other classes have too, such as fruit.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from importlib import resources
from pathlib import Path

from cliptune.files import write_text

#: Relative to the repository, as it is part of the records.
FILE = "benchmarks/descriptions.json"


def describe(names: dict[str, str], keywords: dict[str, list[str]]) -> dict[str, list[str]]:
    """Sentences by class name. names: code point of each class name. keywords: by code point."""
    own = {name: [tag for tag in keywords[code] if tag not in name.split()] for name, code in names.items()}
    count = Counter(tag for tags in own.values() for tag in tags)
    return {
        name: [f"a drawing of a {name}.", *(f"a drawing of a {name}, {tag}." for tag in tags if count[tag] > 1)]
        for name, tags in own.items()
    }


def main(source: Path) -> None:
    """Write the sentences of all bundled classes."""
    rows = json.loads(source.read_text(encoding="utf-8"))
    keywords = {row["hexcode"].lower().replace("-fe0f", ""): row.get("tags", []) for row in rows}
    classes = json.loads((resources.files("cliptune.data.emoji") / "classes.json").read_text(encoding="utf-8"))
    names = {row["name"]: row["hexcode"] for part in classes.values() for row in part}
    text = json.dumps(describe(names, keywords), indent=1)
    write_text(Path(__file__).parents[1] / FILE, text + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
