"""Servers and their files for tests of downloads."""

from fake_download_sites import dtd, made, original, root  # noqa: F401
from http_servers import hub, site  # noqa: F401
