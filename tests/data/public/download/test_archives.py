"""Unpacking: everything or nothing, and nothing outside the folder."""

import errno
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from cliptune.data.public.download import archives
from cliptune.data.public.download.archives import unpack
from cliptune.errors import UserError
from make_archives import link, tarred, zipped

FILES = {"dtd/images/banded/x.jpg": b"x" * 5000, "dtd/labels/all.txt": b"all", "__MACOSX/dtd/._x": b"no"}


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def opened(tmp_path):
    """A function that writes an archive, unpacks it and returns the target folder."""

    def call(name: str, content: bytes, **more) -> Path:
        (tmp_path / name).write_bytes(content)
        unpack(tmp_path / name, tmp_path / "out", **more)
        return tmp_path / "out"

    return call


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.zip", zipped(FILES)), ("a.tar", tarred(FILES, "w")), ("a.tar.gz", tarred(FILES)), ("a.tgz", tarred(FILES))],
)
def test_every_kind(opened, tmp_path, name, content):
    steps = []
    out = opened(name, content, progress=lambda *args: steps.append(args))
    assert tree(out) == {k: v for k, v in FILES.items() if not k.startswith("__")}
    assert steps[-1][0] == f"unpacking {name}" and steps[-1][1] <= steps[-1][2]
    assert sorted(os.listdir(tmp_path)) == [name, "out"]


def test_links_are_replaced_by_files(opened):
    out = opened("a.tgz", tarred({"a/x": b"1", "a/soft": link("a/soft", "x"), "h": link("h", "a/x", tarfile.LNKTYPE)}))
    assert tree(out) == {"a/x": b"1", "a/soft": b"1", "h": b"1"}
    assert not any(p.is_symlink() for p in out.rglob("*"))


def id_of(value):
    """The id of a parameter; the bytes of archives contain the time."""
    return value if isinstance(value, str) else "content"


@pytest.mark.parametrize(
    ("name", "content", "member"),
    [
        ("a.zip", zipped({"ok": b"", "../out.txt": b"!"}), "'../out.txt', which is outside"),
        ("a.zip", zipped({"a/..\\..\\b": b"!"}), "is outside"),
        ("a.zip", zipped({"/etc/cliptune": b"!"}), "'/etc/cliptune', which is outside"),
        ("a.zip", zipped({"C:/x": b"!"}), "'C:/x', which is outside"),
        ("a.tgz", tarred({"ok": b"", "a/../../out.txt": b"!"}), "is outside"),
        ("a.tgz", tarred({"/etc/cliptune": b"!"}), "'/etc/cliptune', which is outside"),
        ("a.tgz", tarred({"x": link("x", "/etc/passwd")}), "'x', a link to a file outside, '/etc/passwd'"),
        ("a.tgz", tarred({"x": link("x", "../../y", tarfile.LNKTYPE)}), "a link to a file outside"),
        ("a.tgz", tarred({"x": link("x", "", tarfile.FIFOTYPE)}), "'x', which is neither a file nor a folder"),
    ],
    ids=id_of,
)
def test_members_outside_the_folder_are_refused(opened, tmp_path, name, content, member):
    with pytest.raises(UserError, match=member.replace("\\", "\\\\")) as refusal:
        opened(name, content)
    assert str(tmp_path / name) in str(refusal.value)
    assert os.listdir(tmp_path) == [name], "the archive stays, nothing else"


def test_a_link_in_a_zip(opened):
    import io

    out = io.BytesIO()
    info = zipfile.ZipInfo("x")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(UserError, match="contains a link, 'x'"):
        opened("a.zip", out.getvalue())


BROKEN = bytearray(zipped({"x": os.urandom(3000)}))
BROKEN[1000] ^= 255


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.zip", zipped(FILES)[:-30]),
        ("a.zip", bytes(BROKEN)),
        ("a.zip", b"<html>moved</html>"),
        ("a.zip", b""),
        ("a.tar.gz", tarred({"x": os.urandom(50_000)})[:-3000]),
        ("a.tgz", b"<html>moved</html>"),
        ("a.tar", tarred({"x": os.urandom(50_000)}, "w")[:30_000]),
    ],
    ids=id_of,
)
def test_a_damaged_archive_is_renamed(opened, tmp_path, name, content):
    with pytest.raises(UserError, match=f"{name} is damaged or not an archive .*; it was renamed to .*damaged, and"):
        opened(name, content)
    assert os.listdir(tmp_path) == [f"{name}.damaged"]


def test_a_full_disk_leaves_only_the_archive(opened, tmp_path, monkeypatch):
    real = Path.open

    def full(self, mode="r", *args, **kwargs):
        if mode == "wb" and self.name == "all.txt":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(UserError, match="the disk of .* is full; make room, and the same command resumes"):
        opened("a.zip", zipped(FILES))
    assert os.listdir(tmp_path) == ["a.zip"]


def test_too_little_disk_space_is_reported_first(opened, tmp_path, monkeypatch):
    def little(folder, needed, what):
        raise UserError(f"{what} needs {needed}")

    monkeypatch.setattr(archives, "check_free_space", little)
    with pytest.raises(UserError, match=r"the content of a\.zip needs 5005"):
        opened("a.zip", zipped(FILES))
    assert os.listdir(tmp_path) == ["a.zip"]


def test_leftovers_of_a_stopped_run_are_removed(opened, tmp_path):
    (tmp_path / "out.unpacking").mkdir()
    (tmp_path / "out.unpacking" / "half").write_text("x")
    assert "half" not in tree(opened("a.zip", zipped(FILES)))
