"""Images and labels that the estimator is given: all kinds, and those that are refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.sparse import csr_matrix

from cliptune.errors import UserError
from cliptune.sklearn.images import image_list


@pytest.fixture
def files(drawings, tmp_path):
    paths = []
    for i, pixels in enumerate(drawings[0]):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def objects(items):
    found = np.empty(len(items), dtype=object)
    found[:] = items
    return found


KINDS = {
    "paths": lambda paths, X: paths,
    "strings": lambda paths, X: [str(path) for path in paths],
    "array of strings": lambda paths, X: np.array([str(path) for path in paths]),
    "column of strings": lambda paths, X: np.array([[str(path)] for path in paths], dtype=object),
    "series": lambda paths, X: pd.Series([str(path) for path in paths], index=range(100, 100 + len(paths))),
    "data frame": lambda paths, X: pd.DataFrame({"path": list(map(str, paths))}),
    "generator": lambda paths, X: (path for path in paths),
    "bytes": lambda paths, X: [path.read_bytes() for path in paths],
    "pil": lambda paths, X: [Image.fromarray(x) for x in X],
    "opened": lambda paths, X: [Image.open(path) for path in paths],
    "arrays": lambda paths, X: list(X),
    "floats": lambda paths, X: X / np.float32(255),
    "tensors": lambda paths, X: torch.from_numpy(X).permute(0, 3, 1, 2),
    "objects": lambda paths, X: objects([paths[0], Image.fromarray(X[1]), *X[2:]]),
    "mixed": lambda paths, X: [str(paths[0]), Image.fromarray(X[1]), X[2] / 255, *paths[3:]],
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_images_predict_the_same(kind, quick, files, drawings):
    X, y = drawings
    expected = quick.fit(X, y).predict_proba(X)
    given = KINDS[kind](files, X)
    assert np.allclose(quick.predict_proba(given), expected, atol=1e-5)
    assert np.allclose(quick.fit(KINDS[kind](files, X), y).predict_proba(X), expected, atol=1e-4)


def test_sizes_may_differ(quick, drawings):
    X = [np.zeros((8 + i, 40, 3), np.uint8) + 10 * i for i in range(4)]
    assert quick.fit(X, ["cat", "dog"] * 2).predict(X).shape == (4,)


def test_images_may_be_given_twice_and_have_any_name(quick, files, drawings, monkeypatch):
    X, y = drawings
    monkeypatch.chdir(files[0].parent)
    files[0].rename("image 1")
    given = ["image 1", X[1], *files[2:], files[5], X[1]]
    plain = [*X, X[5], X[1]]
    labels = [*y, y[5], y[1]]
    expected = quick.fit(plain, labels).predict_proba(plain)
    assert np.allclose(quick.fit(given, labels).predict_proba(given), expected, atol=1e-4)


def test_grey_images(quick, drawings):
    X, y = drawings
    grey = X.mean(-1).astype(np.uint8)
    expected = quick.fit(X, y).predict_proba([Image.fromarray(x) for x in grey])
    assert np.allclose(quick.predict_proba(grey), expected, atol=1e-5)


@pytest.mark.parametrize(
    "X, match",
    [
        (np.zeros((5, 64)), r"\(5, 64\), but rows of numbers are no images; expected paths"),
        (np.zeros(5), "rows of numbers"),
        (pd.DataFrame({"a": [1.0], "b": [2.0]}), "rows of numbers"),
        (pd.DataFrame({"a": ["x"], "b": ["y"]}), r"\(1, 2\); give one column"),
        (np.zeros((2, 8, 8, 3), dtype=object), "objects or text in the shape .*a list of images"),
        ([[1.0, 2.0], [3.0, 4.0]], "image 0 is a list"),
        (["a.png", float("nan")], "image 1 is a float, nan"),
        (csr_matrix((2, 2)), "rows of numbers|csr_matrix|csr_array"),
        (np.zeros((8, 8, 3), np.uint8), "single image; give a list"),
        (torch.zeros(3, 8, 8), "single image; give a list"),
        ("a.png", "single image, 'a.png'; give a list"),
        (Path("a.png"), "single image"),
        (Image.new("RGB", (2, 2)), "single image"),
        ({"a.png"}, "X is a set"),
        ({"a.png": 1}, "X is a dict"),
        (3, "X is a int"),
        (None, "X is a NoneType"),
        ([], "no images"),
        (np.zeros((0, 8, 8, 3)), "no images"),
    ],
)
def test_what_is_no_list_of_images_is_refused(X, match):
    with pytest.raises(UserError, match=match):
        image_list(X)


@pytest.mark.parametrize(
    "wrong, match",
    [
        ("missing.png", "no image at missing.png"),
        ("http://a.b/c.png", "is a URL"),
        (np.full((8, 8, 3), 200.0), r"image 2 .*200.*floats are in \[0, 1\]"),
        (np.full((8, 8, 3), np.nan), r"floats are in \[0, 1\]"),
        (np.zeros((8, 8, 3), np.int64), "image 2 .*expected uint8, or float"),
        (np.zeros((8, 8, 7), np.uint8), "image 2 .*1, 3 or 4 channels"),
        (b"no image", "image 2.*is no image"),
    ],
)
def test_images_that_cannot_be_read_are_named(wrong, match, quick, drawings):
    X, y = drawings
    X = [*X[:2], wrong, *X[3:]]
    with pytest.raises(UserError, match=match) as caught:
        quick.fit(X, y)
    assert "\n" not in str(caught.value) and not hasattr(quick, "tuned_")
    quick.fit(drawings[0], y)
    with pytest.raises(UserError, match=match.replace("image 2 .*", "")):
        quick.predict(X)


def test_damaged_files_are_named_or_left_out(quick, files, drawings):
    files[3].write_bytes(files[3].read_bytes()[:500])
    with pytest.raises(UserError, match=r"1 of 24 images cannot be read: .*3\.png is cut short"):
        quick.fit(files, drawings[1])
    quick.set_params(options={"skip_bad": True})
    with pytest.warns(UserWarning, match="1 of 24 images cannot be read and are left out"):
        quick.fit(files, drawings[1])
    with pytest.raises(UserError, match=r"3\.png cannot be read: it is cut short"):
        quick.predict(files)
