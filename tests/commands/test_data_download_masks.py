"""`cliptune data download masks`, then `masks check` and a training run with the downloaded masks."""

import json
import shlex

import pytest

from fake_mask_sites import FOREGROUND, archive_of, benchmark, mask_hub, mask_root, white_square  # noqa: F401
from http_servers import site  # noqa: F401
from make_archives import zipped
from mini_public_datasets import miniature
from tiny_tasks import BRIEFLY

pytestmark = miniature


@pytest.fixture
def download(cli, mask_root):  # noqa: F811
    """A function that runs the command for the root and returns its result."""
    return lambda *arguments: cli("data", "download", "masks", *arguments, "--root", mask_root)


@pytest.fixture
def dtd(mask_hub, benchmark) -> str:  # noqa: F811
    """A server with masks of a miniature DTD, whose images are under the root."""
    return mask_hub("dtd.zip", archive_of("dtd", benchmark("dtd"))).mirror


def test_from_nothing_to_a_training_run_in_two_commands(download, dtd, cli, mask_root, tmp_path):  # noqa: F811
    done = download("--mirror", dtd)
    assert done.code == 0, done
    counts = "masks of 12 of 12 training, 8 of 8 validation, 8 of 8 test images"
    assert done.out == f"dtd             {mask_root}/dtd/mask, {counts}\n"
    *steps, following = [line for line in done.err.splitlines() if not line.startswith("note: ")]
    assert [step.partition(",")[0] for step in steps] == [
        *("dtd.zip", "checking dtd.zip", "matching dtd.zip", "unpacking dtd.zip")
    ]
    command = f"cliptune train maple+dapt --data dtd --root {mask_root} --masks-from beside"
    assert following == f"next: {command}"
    data = ("--data", "dtd", "--root", mask_root)
    checked = cli("masks", "check", "beside", *data, "--format", "json")
    assert checked.code == 0, checked
    report = json.loads(checked.out)
    assert report["measured"] == 12 and report["faults"] == [] and 0.2 < report["foreground"]["mean"] < 0.3
    trained = cli(*shlex.split(command)[1:], *BRIEFLY, "--out", tmp_path / "run")
    assert trained.code == 0, trained
    assert "beside" in (tmp_path / "run" / "config.yaml").read_text()
    status = cli("data", "check", mask_root, "dtd")
    assert status.code == 0 and "masks of 12 of 12 training images" in status.out
    assert download("dtd", "--mirror", dtd).out.splitlines()[1].strip() == "already there"


def test_all_benchmarks_under_the_root_by_default(download, mask_hub, benchmark, site, mask_root):  # noqa: F811
    files = {FOREGROUND[name] + key: white_square() for name in ("dtd", "eurosat") for key in benchmark(name)}
    done = download("--mirror", mask_hub("masks.zip", zipped(files)).mirror)
    assert done.code == 0, done
    assert [line.split()[0] for line in done.out.splitlines()] == ["dtd", "eurosat"]
    assert not (mask_root / "downloads").exists()
    assert len([path for _, path, _ in site.asked if path.endswith(".zip")]) == 1


def test_archives_are_kept_on_request(download, dtd, mask_root):  # noqa: F811
    assert download("--mirror", dtd, "--keep-archives").code == 0
    assert (mask_root / "downloads" / "masks-foreground" / "dtd.zip").is_file()


def test_an_unavailable_dataset_does_not_stop_the_others(download, dtd, benchmark):  # noqa: F811
    benchmark("eurosat")
    done = download("eurosat", "DescribableTextures", "--mirror", dtd)
    assert done.code == 2 and done.out.startswith("dtd ")
    lines = [line for line in done.err.splitlines() if not line.startswith("note: ")]
    assert lines[0].startswith("eurosat: ") and "has no archive of masks of eurosat" in lines[0]
    assert lines[-1] == "cliptune: masks of 1 of 2 datasets are missing or incomplete: eurosat"


def test_archives_are_removed_if_masks_are_incomplete(download, mask_hub, benchmark, mask_root):  # noqa: F811
    files = {FOREGROUND["dtd"] + key: white_square() for key in benchmark("dtd")[1:]}
    options = mask_hub("masks.zip", zipped(files))
    for _ in range(2):
        done = download("--mirror", options.mirror)
        assert done.code == 2 and "so 1 training images have none" in done.err
        assert not (mask_root / "downloads").exists()


def test_a_dry_run_lists_sizes_and_writes_nothing(download, dtd, mask_root):  # noqa: F811
    before = sorted(mask_root.rglob("*"))
    done = download("--mirror", dtd, "--dry-run")
    first, second = done.out.splitlines()
    assert first == f"dtd             would go to {mask_root}/dtd/mask, from"
    assert second.strip().startswith(f"{dtd}/datasets/JREion/") and " kB, sha256:" in second
    assert "drive.usercontent.google.com" in download("dtd", "--from", "seem", "--dry-run").out
    assert sorted(mask_root.rglob("*")) == before
    download("--mirror", dtd)
    assert "already there" in download("--dry-run").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "masks are matched with images, and no benchmark is under "),
        (("dtd",), "no DescribableTextures under "),
        (("dtdd",), "no public dataset 'dtdd'; nearest: dtd"),
        (("pascal_voc",), "no archive has masks of VOC12: its annotations contain masks"),
        (("dtd", "--mirror", "/mnt/x"), "--mirror takes a URL that begins with https:// or http://, got '/mnt/x'"),
        (("dtd", "--from", "mars"), "from"),
    ],
)
def test_invalid_arguments(download, site, arguments, message):  # noqa: F811
    done = download(*arguments)
    assert done.code == 2 and done.out == "" and len(done.err.splitlines()) == 1
    assert message in done.err and site.asked == []


def test_the_word_masks_comes_first(cli, mask_root):  # noqa: F811
    done = cli("data", "download", "dtd", "masks", "--root", mask_root)
    assert done.code == 2 and "masks comes first: cliptune data download masks NAMES --root ROOT" in done.err


def test_help_names_the_sources(cli):
    assert "masks" in cli("data", "download", "--help").out
    assert "foreground,seem" in cli("data", "download", "masks", "--help").out
