"""A damaged or foreign cache entry counts as missing."""

import os

import numpy as np
import pytest

from cliptune.data import disk_cache

HARMS = ["cut", "empty", "noise", "flipped", "swapped", "turned", "older", "other", "longer", "folder", "pipe"]


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_entry_is_overwritten(store, make_image, harm):
    key, other = b"k" * 32, b"o" * 32
    store.put(key, make_image())
    store.put(other, make_image(1))
    path = store._path(key)
    whole = path.read_bytes()
    middle = len(whole) - 20
    path.unlink()
    match harm:
        case "cut":
            path.write_bytes(whole[:middle])
        case "empty":
            path.write_bytes(b"")
        case "noise":
            path.write_bytes(np.random.default_rng(0).bytes(len(whole)))
        case "flipped":
            path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        case "swapped":  # swapped blocks, which a sum does not notice
            one, two = slice(-64, -32), slice(-32, None)
            path.write_bytes(whole[:-64] + whole[two] + whole[one])
        case "turned":  # height and width
            mark, version, height, width, *rest = disk_cache.HEADER.unpack(whole[: disk_cache.HEADER.size])
            path.write_bytes(
                disk_cache.HEADER.pack(mark, version, width, height, *rest) + whole[disk_cache.HEADER.size :]
            )
        case "older":
            path.write_bytes(b"clippic2" + whole[8:])
        case "pipe":
            os.mkfifo(path)
        case "other":
            path.write_bytes(store._path(other).read_bytes())
        case "longer":
            path.write_bytes(whole + b"x")
        case "folder":
            path.mkdir()
    assert store.get(key) is None
    if harm == "folder":
        with pytest.warns(UserWarning, match="are not kept"):
            assert store.put(key, make_image()) is False
    else:
        assert store.put(key, make_image()) is True
        assert store.get(key).image.equal(make_image().image)
