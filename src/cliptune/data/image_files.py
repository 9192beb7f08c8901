"""The image files of a dataset: facts found when reading them, and the disk cache of decoded images."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from cliptune.data import image_io
from cliptune.data.read_errors import UnreadableImageError
from cliptune.files import open_regular
from cliptune.types import DecodedImage

if TYPE_CHECKING:
    from cliptune.data.disk_cache import DiskCache

#: Smaller files have no tail digest: they contain a few pixels of one colour at most.
MIN_FILE_BYTES = 80
#: Bytes at the end of a file that its tail digest covers.
TAIL_BYTES = 1 << 16


@dataclass(frozen=True)
class FileFacts:
    """Facts about an image file.

    Args:
        error: Why it cannot be read, continuing its name ("is empty"); "" for a readable file.
        assumed_range: What was assumed about the value range of a deep image, or "".
        tail: Eight bytes of file size and a digest of the last `TAIL_BYTES`; empty for unreadable or tiny files.
        digest: SHA-256 of the content; empty until the file is read as a whole with the disk cache in use.
        checked: Whether the other facts are known, and not the digest alone.
    """

    error: str = ""
    assumed_range: str = ""
    tail: bytes = b""
    digest: bytes = b""
    checked: bool = True


class ImageFiles:
    """Facts about image files, valid while the files' size and modification time stay the same, and the disk cache.

    Each dataset owns one instance, shared by all runs on the dataset. Safe to use from several threads.

    Args:
        cached: Store decoded images on disk.
    """

    def __init__(self, cached: bool):
        self._cached = cached
        self._facts: dict[str, tuple[tuple[int, int], FileFacts]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """State for a worker process that is not forked; it reads its own files."""
        return {"_cached": self._cached, "_facts": {}}

    @cached_property
    def disk_cache(self) -> DiskCache | None:
        from cliptune.data.disk_cache import user_cache

        return user_cache() if self._cached else None

    def inspect(self, path: Path) -> FileFacts:
        """Facts from the header and the end of a file. A file without an error may still be damaged in between."""
        version, known = self._known(path)
        if known is not None and known.checked:
            return known
        digest = b"" if known is None else known.digest
        try:
            with image_io.open_image(path) as file:
                return self._remember(path, version, FileFacts("", image_io.inspect(file), tail_digest(file), digest))
        except UnreadableImageError as error:
            return self._remember(path, version, FileFacts(error.reason))

    def load(
        self, path: Path, kind: str, prepare: Callable[[DecodedImage], DecodedImage], check: bool = False
    ) -> tuple[DecodedImage, Literal["mapped", "stored", "decoded"]]:
        """`prepare(image)` of the image in a file, and its origin: mapped from the disk cache, decoded and now stored
        there, or decoded only. The file is opened at most once.

        Args:
            kind: Identifies `prepare` in the disk cache.
            check: Collect all facts while the file is open.

        Raises:
            UnreadableImageError: The image cannot be read.
        """
        from cliptune.data.disk_cache import cache_key

        version, known = self._known(path)
        cache, found = self.disk_cache, None
        digest = known.digest if known is not None else b""
        if cache is not None and digest:
            found = cache.get(cache_key(digest, kind))
            if found is not None:
                return found, "mapped"
        with image_io.open_image(path, buffered=True) as file:
            if cache is not None:
                digest = hashlib.file_digest(file, "sha256").digest()
                found = cache.get(cache_key(digest, kind))
            image, assumed = image_io.decode(file) if found is None else (found, None)
            if known is not None and known.checked:
                facts = replace(known, digest=digest)
            elif check:  # the cache does not store what was assumed about the range of a deep image
                assumed = image_io.inspect(file) if assumed is None else assumed
                facts = FileFacts("", assumed, tail_digest(file), digest)
            else:
                facts = FileFacts(digest=digest, checked=False)
            self._remember(path, version, facts)
        if found is not None:
            return found, "mapped"
        decoded_bytes, image = image.image.numel(), prepare(image)
        stored = cache is not None and cache.put(cache_key(digest, kind), image, decoded_bytes)
        return image, "stored" if stored else "decoded"

    def digest(self, path: Path) -> bytes:
        """SHA-256 of a file's content, empty if it cannot be read."""
        _, known = self._known(path)
        if known is not None and known.digest:
            return known.digest
        try:
            with open_regular(path) as file:
                return hashlib.file_digest(file, "sha256").digest()
        except OSError:
            return b""

    def _known(self, path: Path) -> tuple[tuple[int, int] | None, FileFacts | None]:
        """The version of a file (None if there is none) and what is known about this version."""
        try:
            stat = os.stat(path)
        except OSError:
            return None, None
        version = stat.st_mtime_ns, stat.st_size
        seen, facts = self._facts.get(os.fspath(path), (None, None))
        return version, facts if seen == version else None

    def _remember(self, path: Path, version: tuple[int, int] | None, facts: FileFacts) -> FileFacts:
        if version is not None:
            self._facts[os.fspath(path)] = version, facts
        return facts


def tail_digest(file: BinaryIO) -> bytes:
    """The size of a file in eight bytes and a digest of its last `TAIL_BYTES`; empty below `MIN_FILE_BYTES`."""
    size = file.seek(0, os.SEEK_END)
    if size < MIN_FILE_BYTES:
        return b""
    file.seek(max(0, size - TAIL_BYTES))
    return size.to_bytes(8) + hashlib.blake2b(file.read(), digest_size=16).digest()
