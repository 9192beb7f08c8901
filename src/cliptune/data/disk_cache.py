"""Decoded pictures on disk, mapped into memory: decoded once, by whichever process comes first.

A file holds one picture under the hash of what it was made from, so that a changed picture is another entry. It gets
its name when it is whole; one that is torn, foreign or of another version is left alone until it is written anew.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import struct
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import PIL
import torch
import torchvision
import xxhash
from torch import Tensor
from torch.utils.data import get_worker_info

from cliptune.files import CACHE_VARIABLE, cache_folder, open_regular
from cliptune.types import DecodedImage

#: Bytes of all entries at most; never more than half of what the disk has left.
MAX_CACHE_BYTES = 20 << 30
#: Bytes a process adds before it counts again what others added.
RECOUNT_BYTES = 256 << 20
#: Below this many bytes a picture is decoded as quickly as it is mapped.
MIN_ENTRY_BYTES = 1 << 15
#: Entries unused for this many seconds go when there is no room.
UNUSED_SECONDS = 24 * 3600.0
#: What an entry says of itself: mark, key, height, width, whether a mask follows, hash of all this and the rest.
HEADER = struct.Struct("<8s32sIIIQ4x")
MAGIC = b"clippic3"
#: What else decides the pixels of a file.
DECODER_VERSIONS = f"3/{PIL.__version__}/{torchvision.__version__}"


def cache_key(digest: bytes, kind: str = "") -> bytes:
    """Key of an image. digest: SHA-256 of its file's content. kind: how the image is made from the decoded file."""
    return hashlib.sha256(digest + f"{DECODER_VERSIONS}/{kind}".encode()).digest()


class DiskCache:
    """The entries of a folder. Makes no exception of a full or read-only disk: it then just keeps nothing more."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.room = 0
        self.closed = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError("permission denied")
        except OSError as error:
            self._close((error.strerror or str(error)).lower())

    def get(self, key: bytes) -> DecodedImage | None:
        """The picture of a key, mapped from disk, or None."""
        path = self._path(key)
        try:
            with open_regular(path) as file:
                stat = os.fstat(file.fileno())
                mark, held, height, width, masked, hashed = HEADER.unpack(file.read(HEADER.size))
            size = (3 + bool(masked)) * height * width
            if (mark, held, stat.st_size) != (MAGIC, key, HEADER.size + size) or not size:
                return None
            # Private: whoever writes into it changes a copy of his own.
            body = torch.from_file(str(path), shared=False, size=stat.st_size, dtype=torch.uint8)[HEADER.size :]
            area = 3 * height * width
            parts = [body[:area], body[area:]][: 1 + bool(masked)]
            if _hash(key, height, width, parts) != hashed:
                return None
            if time.time() - stat.st_mtime > UNUSED_SECONDS / 2:
                os.utime(path)
        except (OSError, RuntimeError, struct.error):
            return None
        image = parts[0].view(height, width, 3).permute(2, 0, 1)
        return DecodedImage(image, parts[1].view(1, height, width) if masked else None)

    def put(self, key: bytes, picture: DecodedImage) -> bool:
        """Keep a picture on disk, if there is room; whether it is there."""
        parts = [picture.image.permute(1, 2, 0), *([] if picture.mask is None else [picture.mask])]
        size = sum(part.numel() for part in parts)
        if self.closed or size < MIN_ENTRY_BYTES:
            return False
        if self.room < size:
            self.room = self._counted()
            if self.room < size:
                self._close(
                    f"no room: it takes {MAX_CACHE_BYTES >> 30} GiB at most, and half of what the disk has left"
                )
                return False
        held = [part.contiguous() for part in parts]
        height, width = picture.image.shape[-2:]
        head = HEADER.pack(MAGIC, key, height, width, len(held) > 1, _hash(key, height, width, held))
        path = self._path(key)
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            with _create(temporary) as file:
                file.write(head)
                file.writelines(part.numpy().data for part in held)
            os.replace(temporary, path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            self._close((error.strerror or str(error)).lower())
            return False
        self.room -= size
        return True

    def _path(self, key: bytes) -> Path:
        name = key.hex()
        return self.folder / name[0] / name[1:]

    def _counted(self) -> int:
        """Bytes that may be added before counting again, after what is unused made room if there is none."""
        entries, now = [], time.time()
        for file in self.folder.glob("?/*"):
            try:
                stat = file.stat()
            except OSError:  # another process was quicker
                continue
            if file.suffix == ".tmp" and now - stat.st_mtime > UNUSED_SECONDS:  # of a process that was killed
                file.unlink(missing_ok=True)
            entries.append((stat.st_mtime, stat.st_size, file))
        used = sum(size for _, size, _ in entries)
        limit = min(MAX_CACHE_BYTES, used + shutil.disk_usage(self.folder).free // 2)
        if used + RECOUNT_BYTES > limit:
            for modified, size, file in sorted(entries, key=lambda entry: entry[0]):
                if now - modified < UNUSED_SECONDS or used < 0.8 * limit:
                    break
                try:
                    file.unlink(missing_ok=True)
                except OSError:  # mapped, on a system that minds
                    continue
                used -= size
        return min(RECOUNT_BYTES, limit - used)

    def _close(self, why: str) -> None:
        """Keep nothing more; said once, by the process the user sees."""
        if not self.closed and get_worker_info() is None:
            warnings.warn(
                f"decoded pictures are not kept in {self.folder} ({why}): reading takes "
                f"longer; set {CACHE_VARIABLE} to "
                f"another folder, or say --no-cache",
                stacklevel=2,
            )
        self.closed = True


def _hash(key: bytes, height: int, width: int, parts: Iterable[Tensor]) -> int:
    """XXH3 of an entry, 64 bits: as quick as a sum of its words, and a twelfth of a CRC's time."""
    found = xxhash.xxh3_64(key + struct.pack("<II", height, width))
    for part in parts:
        found.update(part.numpy().reshape(-1).data)
    return found.intdigest()


def _create(path: Path) -> BinaryIO:
    """A new file; its folder is there but for the first time."""
    try:
        return open(path, "xb")
    except FileNotFoundError:
        path.parent.mkdir(exist_ok=True)
        return open(path, "xb")


def user_cache() -> DiskCache:
    """The cache in the user's cache folder."""
    return DiskCache(cache_folder("pictures"))
