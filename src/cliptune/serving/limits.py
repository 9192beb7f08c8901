"""Limits on what is sent to a server."""

from __future__ import annotations

from dataclasses import dataclass

from cliptune import checks

MIB = 1 << 20
#: Form fields other than class names, with room for mistakes that a message should name.
OTHER_FIELDS = 8


@dataclass(frozen=True)
class Limits:
    """Limits on images and class names; what exceeds them is refused with a sentence."""

    max_file_mib: float = 20
    """Largest image file in MiB."""
    max_megapixels: float = 50
    """Largest image in million pixels. It is compared with the size in the file's header, before decoding."""
    max_images: int = 16
    """Largest number of images per request."""
    max_classes: int = 200
    """Largest number of class names per request."""

    def __post_init__(self):
        checks.positive(self, "max_file_mib", "max_megapixels")
        checks.at_least(self, 1, "max_images")
        checks.at_least(self, 2, "max_classes")

    @property
    def file_bytes(self) -> int:
        return int(self.max_file_mib * MIB)

    @property
    def pixels(self) -> int:
        return int(self.max_megapixels * 1_000_000)


@dataclass(frozen=True)
class RequestLimits(Limits):
    """Limits on the requests of a server, and on what they contain."""

    max_queue: int = 128
    """Largest number of images of all requests that are being received, waiting or computed at a time. Further requests
    are answered with status 503."""
    upload_seconds: float = 60
    """Longest time that a request may take to arrive."""

    def __post_init__(self):
        super().__post_init__()
        checks.positive(self, "upload_seconds")
        checks.at_least(self, self.max_images, "max_queue", hint="a request of max_images would never fit")

    @property
    def request_bytes(self) -> int:
        """Largest request: its files, and room for class names and headers."""
        return self.max_images * self.file_bytes + MIB
