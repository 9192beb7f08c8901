"""Unreadable images that a run tolerates: 1 % of custom data, none of a public dataset."""

import pytest
from PIL import Image

import cliptune as ct
from cliptune.data.custom.folder import Folder
from cliptune.data.validate import drop_unreadable
from cliptune.protocols.few_shot import few_shot


def many(root, bad):
    """120 small images of two classes, `bad` of which are empty."""
    for i in range(120):
        path = root / ("cat" if i % 2 else "dog") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (i, 0, 0)).save(path)
        if i < bad:
            path.write_bytes(b"")
    return next(iter(few_shot(Folder(root), shots=0, seeds=(1,))))


def total(task):
    return len(task.train) + len(task.val) + len(task.tests["test"].examples)


def test_custom_data_tolerates_one_unreadable_image_in_a_hundred(tmp_path):
    chosen = many(tmp_path / "one", 1)
    with pytest.warns(UserWarning, match=r"^1 of \d+ images cannot be read and are left out \(.*0.png is empty\)"):
        rest, bad = drop_unreadable(chosen)
    assert list(bad) == ["dog/0.png"]
    assert total(rest) == total(chosen) - 1
    with pytest.raises(ct.UserError, match=r"^2 of \d+ images cannot be read"):
        drop_unreadable(many(tmp_path / "two", 2))


def test_public_data_tolerates_no_unreadable_image(tmp_path, monkeypatch):
    chosen = many(tmp_path, 1)
    monkeypatch.setattr(Folder, "is_public", True)
    with pytest.raises(ct.UserError, match=r"^1 of \d+ images cannot be read"):
        drop_unreadable(chosen)
