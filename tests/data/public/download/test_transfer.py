"""Transfer of one URL to one file, with faults of server and disk."""

import errno
import hashlib
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from cliptune.data.public.download import transfer as module
from cliptune.data.public.download.transfer import NotAvailable, fetch
from cliptune.errors import UserError

CONTENT = os.urandom(700_000)
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


@pytest.fixture
def url(site):
    site.files["/a.tgz"] = CONTENT
    return f"{site.url}/a.tgz"


@pytest.fixture
def target(tmp_path):
    return tmp_path / "a.tgz"


def alone(target: Path) -> bool:
    return os.listdir(target.parent) == [target.name]


def spans(site) -> list[str]:
    return [span for _, _, span in site.asked]


def test_a_file_is_downloaded_and_verified(url, target):
    progress = []
    fetch(url, target, digest=MD5, progress=lambda *args: progress.append(args))
    assert target.read_bytes() == CONTENT and alone(target)
    assert ("a.tgz", 700_000, 700_000) in progress and progress[-1] == ("checking a.tgz", 700_000, 700_000)


def test_an_interrupted_connection_is_resumed_automatically(site, url, target):
    site.cuts = [300_000, 100_000, 0]
    fetch(url, target, digest=MD5)
    assert target.read_bytes() == CONTENT and alone(target)
    assert spans(site) == ["", "bytes=300000-", "bytes=400000-", "bytes=400000-"]


def test_a_partial_file_is_kept_for_the_next_call(site, url, target):
    site.cuts = [300_000] + [0] * 4
    with pytest.raises(
        NotAvailable, match="ended after 300,000 of 700,000 bytes; 300 kB are kept, and the same command resumes"
    ):
        fetch(url, target, digest=MD5)
    assert not target.exists() and len(site.asked) == module.TRIES
    site.cuts.clear()
    fetch(url, target, digest=MD5)
    assert target.read_bytes() == CONTENT and alone(target) and spans(site)[-1] == "bytes=300000-"


def test_an_interrupt_keeps_the_partial_file(site, url, target):
    def stop(what, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(url, target, progress=stop)
    part = target.with_name("a.tgz.part")
    assert part.read_bytes() == CONTENT[: part.stat().st_size] and not target.exists()
    fetch(url, target, digest=MD5)
    assert alone(target) and spans(site)[-1] == f"bytes={module.BLOCK}-"


def test_a_server_without_ranges_starts_over(site, url, target):
    site.ranges = False
    site.cuts = [300_000, 200_000]
    fetch(url, target, digest=MD5)
    assert target.read_bytes() == CONTENT and alone(target)


def test_a_server_without_progress_is_abandoned(site, url, target):
    site.ranges = False
    site.cuts = [300_000] * 50
    with pytest.raises(NotAvailable, match="ended after 300,000"):
        fetch(url, target)
    assert len(site.asked) == module.TRIES


def test_a_changed_file_is_downloaded_from_the_start(site, url, target):
    site.headers["/a.tgz"] = {"ETag": '"1"'}
    site.cuts = [300_000] + [0] * 4
    with pytest.raises(NotAvailable):
        fetch(url, target)
    site.cuts, site.headers["/a.tgz"], site.files["/a.tgz"] = [], {"ETag": '"2"'}, CONTENT[::-1]
    fetch(url, target)
    assert target.read_bytes() == CONTENT[::-1] and alone(target)


def test_a_complete_partial_file_is_renamed(site, url, target):
    target.with_name("a.tgz.part").write_bytes(CONTENT)
    fetch(url, target, digest=MD5)
    assert target.read_bytes() == CONTENT and alone(target)


def test_a_partial_file_longer_than_the_file_is_deleted(url, target):
    target.with_name("a.tgz.part").write_bytes(CONTENT + b"more")
    fetch(url, target, digest=MD5)
    assert target.read_bytes() == CONTENT


def test_a_wrong_digest(url, target):
    wrong = MD5[4:-1] + ("0" if MD5[-1] != "0" else "1")
    with pytest.raises(NotAvailable, match=rf"a\.tgz has md5 {MD5[4:]}, expected {wrong}; it was removed"):
        fetch(url, target, digest=f"md5:{wrong}")
    assert os.listdir(target.parent) == []


@pytest.mark.parametrize(
    ("status", "message"), [(404, "not found"), (403, "refused"), (410, "no longer"), (401, "login")]
)
def test_a_refusal_is_reported_at_once(site, url, target, status, message):
    site.statuses = [status] * 9
    with pytest.raises(NotAvailable, match=rf"a\.tgz: .*{message}.* \({status}\)"):
        fetch(url, target)
    assert len(site.asked) == 1 and os.listdir(target.parent) == []


def test_a_busy_server_is_retried(site, url, target):
    site.statuses = [503, 429, 500]
    fetch(url, target, digest=MD5)
    assert len(site.asked) == 4 and alone(target)


def test_a_web_page_in_place_of_the_file(site, url, target):
    site.kind = "text/html; charset=utf-8"
    with pytest.raises(NotAvailable, match="answers with a web page instead of the file"):
        fetch(url, target)
    assert os.listdir(target.parent) == []


def test_no_network(site, target, monkeypatch):
    with pytest.raises(NotAvailable, match="no answer .*Connection refused.*; is there a network"):
        fetch("http://127.0.0.1:9/a.tgz", target)
    with pytest.raises(NotAvailable, match="no answer .*; is there a network"):
        fetch("http://no-such-host.invalid/a.tgz", target)


def test_too_little_disk_space_is_reported_before_the_transfer(url, target, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 600_000))
    with pytest.raises(UserError, match=r"a\.tgz needs 700 kB, but the disk of .* has 600 kB free; make room"):
        fetch(url, target)
    assert os.listdir(target.parent) == []


def test_a_full_disk_keeps_the_partial_file(url, target, monkeypatch):
    real, room = Path.open, [400_000]

    def bounded(self, *args, **kwargs):
        file = real(self, *args, **kwargs)
        write = file.write

        def fill(block):
            room[0] -= len(block)
            if room[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(block)

        return _With(file, fill)

    monkeypatch.setattr(Path, "open", bounded)
    with pytest.raises(UserError, match="the disk of .* is full; make room, and the same command resumes"):
        fetch(url, target, digest=MD5)
    monkeypatch.undo()
    assert 0 < target.with_name("a.tgz.part").stat().st_size < 700_000 and not target.exists()
    fetch(url, target, digest=MD5)
    assert target.read_bytes() == CONTENT


class _With:
    """A file with a replaced `write`."""

    def __init__(self, file, write):
        self.file, self.write = file, write

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)


def test_a_folder_that_cannot_be_written(url, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write .*: not a directory; choose another folder with --root"):
        with module.disk_errors(tmp_path / "file" / "x"):
            (tmp_path / "file" / "x").mkdir()


@pytest.mark.parametrize(
    ("size", "message"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (39e9, "39 GB"), (4.2e12, "4200 GB")]
)
def test_sizes_are_formatted_for_people(size, message):
    assert module.format_bytes(size) == message
