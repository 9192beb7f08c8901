"""A disk cache of decoded images, which are mapped into memory.

Each entry is a file named by a hash of the image's source, so a changed image is another entry. Files are renamed into
place when complete; an entry that is damaged or of another version counts as missing and is overwritten.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import struct
import time
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import PIL
import torch
import torchvision
import xxhash
from torch import Tensor
from torch.utils.data import get_worker_info

from cliptune.errors import os_reason
from cliptune.files import CACHE_VARIABLE, cache_folder, open_regular
from cliptune.types import DecodedImage
from cliptune.user_warnings import warn_user

#: Largest size of all entries in bytes; never more than half of the free disk space.
MAX_CACHE_BYTES = 20 << 30
#: Bytes that a process adds before it measures the folder again, which other processes fill as well.
RECOUNT_BYTES = 256 << 20
#: Smaller images are not stored, nor what is made from them: decoding them is as quick as mapping.
MIN_ENTRY_BYTES = 1 << 15
#: Entries unused for this many seconds may be deleted to make room.
UNUSED_SECONDS = 24 * 3600.0
#: Header of an entry: magic number, key, height, width, whether a mask follows, hash of header and content.
HEADER = struct.Struct("<8s32sIIIQ4x")
MAGIC = b"clippic3"
#: Versions that determine the decoded pixels.
DECODER_VERSIONS = f"3/{PIL.__version__}/{torchvision.__version__}"


def cache_key(digest: bytes, kind: str = "") -> bytes:
    """Key of an image. digest: SHA-256 of its file's content. kind: how the image is made from the decoded file."""
    return hashlib.sha256(digest + f"{DECODER_VERSIONS}/{kind}".encode()).digest()


class DiskCache:
    """Decoded images in a folder. On a full or read-only disk it warns once and stores nothing more."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.room = 0
        self.closed = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError("permission denied")
        except OSError as error:
            self._close(os_reason(error))

    def get(self, key: bytes) -> DecodedImage | None:
        """The image of a key, mapped from disk, or None."""
        path = self._path(key)
        try:
            with open_regular(path) as file:
                stat = os.fstat(file.fileno())
                magic, stored_key, height, width, masked, hashed = HEADER.unpack(file.read(HEADER.size))
            size = (3 + bool(masked)) * height * width
            if (magic, stored_key, stat.st_size) != (MAGIC, key, HEADER.size + size) or not size:
                return None
            # A private map: writing into it changes a copy.
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

    def put(self, key: bytes, image: DecodedImage, decoded_bytes: int = 0) -> bool:
        """Store an image if there is room; whether it was stored.

        decoded_bytes: Size of the decoded image that `image` is made from, if that is larger.
        """
        parts = [image.image.permute(1, 2, 0), *([] if image.mask is None else [image.mask])]
        size = sum(part.numel() for part in parts)
        if self.closed or max(size, decoded_bytes) < MIN_ENTRY_BYTES:
            return False
        if self.room < size:
            self.room = self._counted()
            if self.room < size:
                self._close(f"no room: it may use {MAX_CACHE_BYTES >> 30} GiB, and half of the free disk space")
                return False
        content = [part.contiguous() for part in parts]
        height, width = image.image.shape[-2:]
        head = HEADER.pack(MAGIC, key, height, width, len(content) > 1, _hash(key, height, width, content))
        path = self._path(key)
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            with _create(temporary) as file:
                file.write(head)
                file.writelines(part.numpy().data for part in content)
            os.replace(temporary, path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            self._close(os_reason(error))
            return False
        self.room -= size
        return True

    def _path(self, key: bytes) -> Path:
        name = key.hex()
        return self.folder / name[0] / name[1:]

    def _counted(self) -> int:
        """Bytes that may be added before measuring again; deletes unused entries if there is no room."""
        entries, now = [], time.time()
        for file in self.folder.glob("?/*"):
            try:
                stat = file.stat()
            except OSError:  # deleted by another process
                continue
            if file.suffix == ".tmp" and now - stat.st_mtime > UNUSED_SECONDS:  # left by a killed process
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
                except OSError:  # mapped, on a system that forbids deleting
                    continue
                used -= size
        return min(RECOUNT_BYTES, limit - used)

    def _close(self, why: str) -> None:
        """Store nothing more. Worker processes do not warn."""
        if not self.closed and get_worker_info() is None:
            warn_user(
                f"decoded images are not kept in {self.folder} ({why}), so reading takes longer; set "
                f"{CACHE_VARIABLE} to another folder, or use --no-cache"
            )
        self.closed = True


def _hash(key: bytes, height: int, width: int, parts: Iterable[Tensor]) -> int:
    """XXH3 hash of an entry, 64 bits; it takes a twelfth of the time of a CRC."""
    found = xxhash.xxh3_64(key + struct.pack("<II", height, width))
    for part in parts:
        found.update(part.numpy().reshape(-1).data)
    return found.intdigest()


def _create(path: Path) -> BinaryIO:
    """Create a new file, and its folder if necessary."""
    try:
        return open(path, "xb")
    except FileNotFoundError:
        path.parent.mkdir(exist_ok=True)
        return open(path, "xb")


def user_cache() -> DiskCache:
    """The cache in the user's cache folder."""
    return DiskCache(cache_folder("pictures"))  # the folder of earlier versions, so that their entries stay valid
