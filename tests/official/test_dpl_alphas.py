"""The prompt lengths found by DPL's search."""

import numpy as np
import pytest

from cliptune.errors import UserError
from cliptune.official.dpl_alphas import read_lengths

TEXT, IMAGE = np.eye(4, 3)[[2, 0, 1, 1]], np.eye(4)[[3, 3, 0, 1]]


@pytest.fixture
def files(tmp_path):
    """As released: each file has the content that the other's name suggests."""
    np.save(tmp_path / "alpha_e80_txt.npy", IMAGE.astype(np.float32))
    np.save(tmp_path / "alpha_e80_img.npy", TEXT.astype(np.float16))
    return tmp_path


@pytest.mark.parametrize("kind", ["img", "txt"])
def test_contents_are_swapped_back(files, kind):
    assert read_lengths(files / f"alpha_e80_{kind}.npy") == ((2, 0, 1, 1), (3, 3, 0, 1))
    assert read_lengths(str(files / f"alpha_e80_{kind}.npy"), swapped=False) == ((3, 3, 0, 1), (2, 0, 1, 1))


def test_invalid_files(files):
    with pytest.raises(UserError, match="no file at .*alpha_e79_txt.npy; both files of an epoch are needed"):
        read_lengths(files / "alpha_e79_img.npy")
    with pytest.raises(UserError, match="scores.npy is not named like DPL's files"):
        read_lengths(files / "scores.npy")
    np.save(files / "alpha_e80_txt.npy", np.ones(3))
    with pytest.raises(UserError, match=r"alpha_e80_txt.npy has shape \(3,\), not one finite score for each layer"):
        read_lengths(files / "alpha_e80_img.npy")
    np.save(files / "alpha_e80_txt.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="alpha_e80_txt.npy is damaged or not a plain array"):
        read_lengths(files / "alpha_e80_img.npy")
    (files / "alpha_e80_txt.npy").write_bytes(b"")
    with pytest.raises(UserError, match="alpha_e80_txt.npy is damaged"):
        read_lengths(files / "alpha_e80_img.npy")
