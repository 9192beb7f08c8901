"""Write src/cliptune/methods/sizes.json: the number of trainable parameters of each method on ViT-B/16."""

from __future__ import annotations

import json
from pathlib import Path

from cliptune import methods
from cliptune.commands.list_ import count_parameters

if __name__ == "__main__":
    found = {name: count_parameters(name) for name in methods.names() if not methods.is_wrapper(methods.get(name))}
    path = Path(methods.__file__).with_name("sizes.json")
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
