"""`cliptune data download` from the command line."""

import pytest

import mini_public_datasets
from cliptune.data import public
from http_servers import hub, site  # noqa: F401
from make_archives import zipped

DTD = public.specs()["dtd"]


@pytest.fixture
def download(cli, tmp_path):
    """A function that runs the command for a root and returns its result."""
    (tmp_path / "root").mkdir()
    return lambda *arguments: cli("data", "download", *arguments, "--root", tmp_path / "root")


@pytest.fixture
def dtd(hub, tmp_path):  # noqa: F811
    """A server that offers a miniature DTD."""
    mini_public_datasets.write_dataset(DTD, tmp_path / "made")
    files = {p.relative_to(tmp_path / "made").as_posix(): p for p in (tmp_path / "made").rglob("*") if p.is_file()}
    return hub("dtd.zip", zipped({path: file.read_bytes() for path, file in files.items()})).url


def test_a_dataset_is_downloaded_once(download, dtd, cli, tmp_path):
    result = download("dtd", "--mirror", dtd)
    assert result.code == 0, result
    assert result.out == f"dtd             {tmp_path / 'root' / 'dtd'}, 28 images\n"
    steps = [line.rpartition(",")[0] for line in result.err.splitlines()]
    assert steps == ["dtd.zip", "checking dtd.zip", "unpacking dtd.zip"]
    assert download("DescribableTextures", "--mirror", dtd).out.splitlines()[1].strip() == "already there"
    assert "ready" in cli("data", "check", tmp_path / "root", "dtd").out


def test_an_unavailable_dataset_does_not_stop_the_others(download, dtd):
    result = download("imagenet", "dtd", "--mirror", dtd)
    assert result.code == 2 and result.out.startswith("dtd ")
    first, *_, last = result.err.splitlines()
    assert first.startswith("imagenet: ImageNet's licence allows only its own site")
    assert last == "cliptune: 1 of 2 datasets were not downloaded: imagenet"


def test_a_dry_run_sends_no_request_and_writes_nothing(download, tmp_path):
    result = download("dtd", "sun397", "--from", "original", "--dry-run")
    assert result.code == 0 and result.err == ""
    assert result.out.splitlines()[0] == f"dtd             would go to {tmp_path / 'root' / 'dtd'}, about 0.63 GB, from"
    assert "https://www.robots.ox.ac.uk/~vgg/data/dtd/download/dtd-r1.0.1.tar.gz" in result.out
    assert "https://huggingface.co/zhengli97/prompt_learning_dataset" in download("dtd", "--dry-run").out
    assert (
        "http://me/files/dtd-r1.0.1.tar.gz"
        in download(*("dtd", "--from", "original", "--mirror", "http://me/files/", "--dry-run")).out
    )
    mini_public_datasets.write_dataset(DTD, tmp_path / "root")
    assert download("dtd", "--dry-run").out == "dtd             already there\n"


def test_the_message_of_an_interrupt_explains_how_to_resume(download, dtd, monkeypatch):
    from cliptune.data.public import download as module

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "unpack", stop)
    result = download("dtd", "--mirror", dtd)
    assert result.code == 130 and result.err.endswith("\ninterrupted; run the same command again to continue\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "data download takes names of datasets: caltech101"),
        (("dtdd",), "no public dataset 'dtdd'; nearest: dtd"),
        (("emoji",), "emoji is not a public dataset: there is nothing to download"),
        (("dtd", "--mirror", "/mnt/x"), "--mirror takes a URL that begins with https:// or http://, got '/mnt/x'"),
        (("dtd", "--from", "mars"), "from"),
        (("stanford_cars", "--from", "original"), "the site of StanfordCars is gone; use --from archive"),
        (("ucf101", "--from", "original"), "the original UCF101 is videos"),
        (("dtd", "--mirror", "http://127.0.0.1:9"), "Connection refused"),
    ],
)
def test_invalid_arguments(download, site, arguments, message):  # noqa: F811
    result = download(*arguments)
    assert result.code == 2 and result.out == "" and len(result.err.splitlines()) == 1
    assert message in result.err


def test_roots(cli, tmp_path, monkeypatch):
    monkeypatch.delenv("CLIPTUNE_DATA", raising=False)
    assert "use --root FOLDER, or set CLIPTUNE_DATA" in cli("data", "download", "dtd").err
    assert "is in no folder; check --root" in cli("data", "download", "dtd", "--root", tmp_path / "a" / "b").err
    (tmp_path / "file").write_text("")
    assert "is a file; check --root" in cli("data", "download", "dtd", "--root", tmp_path / "file").err
    assert "\n" not in cli("data", "download", "ucf101", "--from", "original", "--root", tmp_path / "new").err.strip()
    monkeypatch.setenv("CLIPTUNE_DATA", str(tmp_path))
    assert cli("data", "download", "dtd", "--dry-run").code == 0
