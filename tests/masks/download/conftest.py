"""Servers and their files for tests of downloads."""

from fake_mask_sites import benchmark, mask_hub, mask_root  # noqa: F401
from http_servers import site  # noqa: F401
