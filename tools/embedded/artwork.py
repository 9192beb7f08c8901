"""Fetches the emoji artwork, draws every class in every style to a 56 px sprite, and packs the atlases that ship.

    python artwork.py sprites --work BUILD      # npm pack, render, crop: BUILD/sprites.npz and BUILD/classes.json
    python artwork.py atlases --work BUILD      # the bundled classes and styles, into src/cliptune/data/emoji

Needs `npm` on the path and the Python package `resvg-py`; both are used here only, never when cliptune runs.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
import subprocess
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parents[1] / "src" / "cliptune" / "data" / "emoji"
SIZE = 56
PACKS = {
    "noto": "@iconify-json/noto@1.2.9",
    "noto-v1": "@iconify-json/noto-v1@1.2.5",
    "twemoji": "@iconify-json/twemoji@1.2.5",
    "fxemoji": "@iconify-json/fxemoji@1.2.2",
    "emojitwo": "@iconify-json/emojione@1.2.3",
    "fluent-flat": "@iconify-json/fluent-emoji-flat@1.2.6",
    "fluent-3d": "@lobehub/fluent-emoji-3d@1.1.0",
    "names": "emojibase-data@17.0.0",
}
BUNDLED = ("fluent-3d", "fluent-flat", "noto")
GROUPS = {3: "nature", 4: "food", 5: "travel", 6: "activities", 7: "objects"}
# Clock faces, moon phases and playing cards are near-duplicates of one another.
SKIPPED = re.compile(
    r"o’clock|-thirty|quarter moon|waxing|waning|new moon|moon face| suit$|joker|mahjong|playing cards|dvd"
)


def unpack(style: str, work: Path) -> Path:
    """The unpacked npm package of one style, fetched if it is not there."""
    folder = work / "packages" / style
    if not folder.exists():
        folder.mkdir(parents=True)
        named = subprocess.run(["npm", "pack", "--silent", PACKS[style]], cwd=folder, check=True, capture_output=True)
        archive = folder / named.stdout.decode().split()[-1]
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        archive.unlink()
    return folder / "package"


def hexcode(code: str) -> str:
    """A code point sequence with the variation selector dropped, so that vendors agree."""
    return "-".join(part for part in code.lower().split("-") if part != "fe0f")


def slug(label: str) -> str:
    """The icon name iconify gives a label."""
    return re.sub(r"[^a-z0-9]+", "-", label.lower().replace("’", "").replace("ñ", "n").replace("é", "e")).strip("-")


def classes(work: Path) -> list[dict]:
    """Every drawable thing of the five groups: hexcode, label, tags, group."""
    rows = json.loads((unpack("names", work) / "en" / "data.json").read_text())
    rows = []
    for row in sorted(rows, key=lambda r: r.get("order", 0)):
        if row.get("group") in GROUPS and not SKIPPED.search(row["label"]):
            rows.append(
                {
                    "hexcode": hexcode(row["hexcode"]),
                    "label": row["label"].lower().replace("’", "'"),
                    "tags": [t.lower().replace("’", "'") for t in row.get("tags", [])],
                    "group": GROUPS[row["group"]],
                }
            )
    return rows


class IconSet:
    """One iconify package: SVG bodies by icon name, found by code point or else by a form of the label."""

    def __init__(self, folder: Path) -> None:
        data = json.loads((folder / "icons.json").read_text())
        self.icons, self.aliases = data["icons"], data.get("aliases", {})
        self.side = data.get("width", 16), data.get("height", 16)
        chars = folder / "chars.json"
        self.chars = {hexcode(k): v for k, v in json.loads(chars.read_text()).items()} if chars.exists() else {}

    def resolve(self, name: str) -> dict | None:
        """The icon under `name`, following plain aliases."""
        while name in self.aliases and name not in self.icons:
            name = self.aliases[name]["parent"]
        return self.icons.get(name)

    def svg(self, row: dict) -> str | None:
        """The drawing of a class as an SVG document, or None."""
        label = slug(row["label"])
        names = [self.chars.get(row["hexcode"], ""), label, label.replace("-", ""), f"{label}-face", f"{label}face"]
        for icon in map(self.resolve, names):
            if icon is not None:
                w, h = icon.get("width", self.side[0]), icon.get("height", self.side[1])
                left, top = icon.get("left", 0), icon.get("top", 0)
                return (
                    f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
                    f'viewBox="{left} {top} {w} {h}" width="{w}" height="{h}">{icon["body"]}</svg>'
                )
        return None


def drawings(style: str, rows: list[dict], work: Path) -> dict[str, Image.Image]:
    """RGBA drawings of one style by hexcode, at whatever size the source has (SVG: 192 px high)."""
    folder = unpack(style, work)
    found = {}
    if style == "fluent-3d":
        files = {hexcode(f.stem): f for f in sorted((folder / "assets").glob("*.webp"))}
        for row in rows:
            if row["hexcode"] in files:
                found[row["hexcode"]] = Image.open(files[row["hexcode"]]).convert("RGBA")
        return found
    from resvg_py import svg_to_bytes

    icons = IconSet(folder)
    for row in rows:
        document = icons.svg(row)
        if document is None:
            continue
        png = svg_to_bytes(svg_string=document, height=192, skip_system_fonts=True)
        png = base64.b64decode(png) if isinstance(png, str) else bytes(png)
        found[row["hexcode"]] = Image.open(io.BytesIO(png)).convert("RGBA")
    return found


def sprite(drawing: Image.Image) -> np.ndarray | None:
    """Crop to what is visible, pad to a square, resize premultiplied: uint8 `(56, 56, 4)`, straight alpha."""
    alpha = np.asarray(drawing)[..., 3]
    ys, xs = np.nonzero(alpha > 16)
    if len(ys) < 64:
        return None
    crop = np.asarray(drawing.crop((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)), np.float32) / 255
    crop[..., :3] *= crop[..., 3:]
    h, w = crop.shape[:2]
    side = max(h, w)
    square = np.zeros((side, side, 4), np.float32)
    top, left = (side - h) // 2, (side - w) // 2
    square[top : top + h, left : left + w] = crop
    planes = [Image.fromarray(square[..., c]).resize((SIZE, SIZE), Image.Resampling.LANCZOS) for c in range(4)]
    small = np.stack([np.asarray(p) for p in planes], -1).clip(0, 1)
    a = small[..., 3:]
    small[..., :3] = np.where(a > 1 / 255, small[..., :3] / np.maximum(a, 1 / 255), 0).clip(0, 1)
    return np.round(small * 255).astype(np.uint8)


def make_sprites(work: Path) -> None:
    """Render everything; `sprites.npz` holds `<style>` `(n, 56, 56, 4)` and `<style>.index` into classes.json."""
    rows, arrays = classes(work), {}
    for style in PACKS:
        if style == "names":
            continue
        found = drawings(style, rows, work)
        made = [(i, sprite(found[r["hexcode"]])) for i, r in enumerate(rows) if r["hexcode"] in found]
        made = [(i, s) for i, s in made if s is not None]
        arrays[style] = np.stack([s for _, s in made])
        arrays[f"{style}.index"] = np.array([i for i, _ in made], np.int32)
        print(f"{style:12s} {len(made)} of {len(rows)} classes")
    np.savez_compressed(work / "sprites.npz", **arrays)
    (work / "classes.json").write_text(json.dumps(rows, indent=0, ensure_ascii=False))


def make_atlases(work: Path) -> None:
    """One lossless WebP per bundled style; tile k (12 a row) is row k of the shipped classes.json."""
    index = {r["hexcode"]: i for i, r in enumerate(json.loads((work / "classes.json").read_text()))}
    shipped = json.loads((PACKAGE / "classes.json").read_text())
    rows = shipped["benchmark"] + shipped["validation"]
    columns = 12
    with np.load(work / "sprites.npz") as arrays:
        for style in BUNDLED:
            tiles = dict(zip(arrays[f"{style}.index"].tolist(), arrays[style], strict=True))
            sheet = np.zeros((-(-len(rows) // columns) * SIZE, columns * SIZE, 4), np.uint8)
            for k, row in enumerate(rows):
                y, x = divmod(k, columns)
                sheet[y * SIZE : (y + 1) * SIZE, x * SIZE : (x + 1) * SIZE] = tiles[index[row["hexcode"]]]
            target = PACKAGE / f"{style}.webp"
            Image.fromarray(sheet).save(target, lossless=True, quality=100, method=6)
            print(f"{target.name}: {target.stat().st_size / 1024:.0f} KiB")


def main() -> None:
    """Parse the step and run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("sprites", "atlases"))
    parser.add_argument("--work", type=Path, required=True, help="build folder for packages and sprites (about 200 MB)")
    args = parser.parse_args()
    {"sprites": make_sprites, "atlases": make_atlases}[args.step](args.work)


if __name__ == "__main__":
    main()
