"""Messages about benchmarks whose split, images or lists are missing or differ from the published ones."""

import pytest

import mini_public_datasets
from cliptune.data import public
from cliptune.data.config import ROOT_VARIABLE
from cliptune.errors import UserError
from mini_public_datasets import miniature, open_dataset


def test_another_split_works_with_a_warning(pets):
    root, _ = pets
    with pytest.warns(UserWarning, match="is not the published split of OxfordPets .*4 classes, not 37") as error:
        open_dataset("oxford_pets", root)
    assert len(error) == 1 and "its sha256 begins with" in str(error[0].message)


def test_missing_images_are_counted_and_named(pets):
    root, split = pets
    lost = [item[0] for item in split["test"][:4]]
    for name in lost:
        (root / "oxford_pets" / "images" / name).unlink()
    with pytest.raises(UserError) as error:
        open_dataset("oxford_pets", root)
    assert str(error.value).startswith(
        f"4 of the 28 images of OxfordPets are not under {root}/oxford_pets/images, such as {', '.join(lost[:3])}; "
    )
    assert "https://" in str(error.value)


@miniature
def test_missing_images_can_be_skipped(pets):
    root, split = pets
    (root / "oxford_pets" / "images" / split["test"][0][0]).unlink()
    assert len(open_dataset("oxford_pets", root, skip_bad=True).examples("test")) == 8


def test_the_error_of_a_missing_split_contains_its_address(pets):
    root, _ = pets
    (root / "oxford_pets" / "split_zhou_OxfordPets.json").unlink()
    with pytest.raises(UserError, match=r"its split split_zhou_OxfordPets\.json is not.*https://huggingface\.co"):
        open_dataset("oxford_pets", root)
    assert not list(root.rglob("*.json")), "no split is drawn instead"


@pytest.mark.parametrize(
    "file, content, message",
    [
        ("variants.txt", None, r"variants\.txt; put them there"),
        ("images_variant_val.txt", None, r"fgvc_aircraft.* images_variant_val\.txt"),
        (
            "images_variant_val.txt",
            "0000001 Concorde\n",
            "the line '0000001 Concorde', which is not an image's number",
        ),
        ("images_variant_val.txt", "../x 707-320\n", "which is not an image's number"),
        ("images_variant_val.txt", "0000001 707-320\n", "an image is listed twice"),
        ("variants.txt", "707-320\nBoeing 717\nF-16A/B\nYak-42\nYak-42\n", "two classes have one name"),
        ("variants.txt", b"\xff\xfe", r"variants\.txt: byte 0 is not UTF-8"),
    ],
)
def test_aircraft_with_invalid_lists(tmp_path, file, content, message):
    card = public.specs()["fgvc_aircraft"]
    mini_public_datasets.write_dataset(card, tmp_path, split=mini_public_datasets.make_split(card))
    path = tmp_path / "fgvc_aircraft" / file
    path.unlink() if content is None else path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message):
        open_dataset("fgvc_aircraft", tmp_path)


@pytest.mark.parametrize(
    "flags, message",
    [
        ((), "oxford_pets is a public dataset, whose folder is not set: use --root FOLDER"),
        (("--root", "nowhere"), "no folder at nowhere; check --root"),
        (("--root", "empty"), "no OxfordPets under empty: looked for oxford_pets/images, oxford-iiit-pet/images"),
        (("--root", "bare"), "its split split_zhou_OxfordPets.json is not"),
    ],
)
def test_wrong_inputs_on_the_command_line(cli, tmp_path, monkeypatch, flags, message):
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "bare" / "oxford_pets" / "images").mkdir(parents=True)
    result = cli("train", "coop", "--data", "oxford_pets", "--out", "run", *flags)
    assert result.code == 2 and message in result.err and "Traceback" not in result.err
    assert not (tmp_path / "run").exists()
