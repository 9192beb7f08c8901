"""Class folders of single-colour images, and the class sizes of their splits."""

from PIL import Image


def write_class_folders(root, **counts):
    """Single-colour images: `write_class_folders(root, cat=3)` makes root/cat/0.png, 1.png, 2.png."""
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            Image.new("RGB", (8, 6), (i, 0, 0)).save(root / name / f"{i}.png")
    return root


def class_sizes(folder):
    return {
        part: [sum(e.label == i for e in folder.examples(part)) for i in range(len(folder.classnames))]
        for part in ("train", "val", "test")
    }
