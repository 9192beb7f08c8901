"""`cliptune import` turns an authors' checkpoint into a run; each error is one sentence and leaves no files."""

import json
import os
import warnings

import numpy as np
import pytest
import torch
from torch import Generator

import cliptune as ct
from cliptune.methods.coop import CoOp
from cliptune.methods.maple import Maple
from cliptune.methods.vpt import Vpt
from cliptune.model.tuned_model import TunedModel
from cliptune.official.tensor_names import official_names
from official_files import learner_alone, save, state_dict

NAMES = ("cat", "horse", "pig")


@pytest.fixture(scope="module")
def files(tmp_path_factory, tiny_backbone):
    """Official checkpoint files of small models on the bundled backbone, by name, and the models."""
    folder, models = tmp_path_factory.mktemp("official"), {}
    for name, method in {
        "maple": Maple(2, 2),
        "coop": CoOp(4),
        "csc": CoOp(3, class_specific=True),
        "vpt": Vpt(2, 1),
    }.items():
        model = models[name] = TunedModel(tiny_backbone, method, NAMES, generator=Generator().manual_seed(3)).eval()
        tensors = {key: tensor.detach() for key, tensor in official_names(model.learner).items()}
        words = [f"a photo of a {one}." if name == "maple" else f"{'X ' * method.n_ctx}{one}." for one in NAMES]
        state = state_dict(tensors, tiny_backbone, () if name == "vpt" else words, whole=name in ("maple", "vpt"))
        save(folder / name, learner_alone(state) if name in ("coop", "csc") else state)
    return folder, models


@pytest.fixture
def refuse(refused):
    return lambda path, *more: refused("import", path, "--backbone", "tiny", "--out", "OUT", *more)


def test_an_imported_run_predicts_and_evaluates(cli, files, photos, tmp_path):
    folder, models = files
    out = tmp_path / "run"
    result = cli("import", folder / "maple", "--method", "maple", "--backbone", "tiny", "--out", out)
    assert result.code == 0, result.err
    assert result.out == "maple (depth=2) on tiny, 3 classes: cat, horse, pig\n"
    assert f"saved in {out}" in result.err and f"next: cliptune predict {out} IMAGE..." in result.err
    assert {path.name for path in out.iterdir()} == {"checkpoint.safetensors", "config.yaml"}
    run = ct.load(out)
    images = [photos / name / "0.png" for name in NAMES]
    model = ct.Tuned(models["maple"], run.run)
    assert torch.equal(run.logits(images), model.logits(images))
    result = cli("predict", out, *images, "--json")
    assert result.code == 0 and {row["name"] for row in json.loads(result.out.splitlines()[0])["classes"]} == set(NAMES)
    result = cli("evaluate", out, "--data", f"folder:{photos}")
    assert result.code == 0 and result.out.startswith("test ")
    result = cli("evaluate", out)
    assert result.code == 2 and "the checkpoint does not name its data" in result.err
    assert cli("import", folder / "maple", "--method", "maple", "--backbone", "tiny", "--out", out).code == 0, "again"


def test_settings_are_set_by_flags(cli, files, tmp_path):
    folder, _ = files
    out = ("--backbone", "tiny", "--out")
    result = cli("import", folder / "coop", "--method", "coop", "--position", "front", *out, tmp_path / "a")
    assert result.code == 0 and result.out.startswith("coop (n_ctx=4, position='front') on tiny, 3 classes"), result
    result = cli("import", folder / "maple", "--method", "dapt", "--compat=release", *out, tmp_path / "b")
    assert result.code == 0 and result.out.startswith("maple+dapt (compat='release', depth=2) on tiny"), result
    assert ct.load(tmp_path / "b").logits(_image()).shape == (1, 3)
    result = cli("import", folder / "csc", *out, tmp_path / "c")
    assert (
        result.code == 0
        and "class_specific=True" in result.out
        and not ct.load(tmp_path / "c").model.accepts_new_classes
    )


def _image():
    from PIL import Image

    return Image.new("RGB", (32, 32))


@pytest.mark.parametrize("how", ["words", "commas", "file"])
def test_class_names(cli, files, tmp_path, how):
    folder, _ = files
    (tmp_path / "names.txt").write_text("tabby cat\n\n zebra \n")
    given = {"words": ("tabby cat", "zebra"), "commas": ("tabby cat, zebra",), "file": (tmp_path / "names.txt",)}[how]
    with warnings.catch_warnings(action="ignore"):  # words unknown to the bundled backbone
        result = cli("import", folder / "vpt", "--backbone", "tiny", "--out", tmp_path / "r", "--classes", *given)
        assert result.code == 0 and "2 classes: tabby cat, zebra" in result.out
        assert ct.load(tmp_path / "r").classnames == ("tabby cat", "zebra")


def test_mistakes(refuse, files, tmp_path):
    folder, _ = files
    assert "no file at" in refuse(tmp_path / "none")
    assert (
        "may be of coop, kgcoop or prograd, which save the same tensors; choose one, such as --method coop"
        in refuse(folder / "coop")
    )
    assert "contains the tensors of vpt, not those of maple" in refuse(folder / "vpt", "--method", "maple")
    assert "unknown method 'mapel'; nearest: maple" in refuse(folder / "maple", "--method", "mapel")
    assert "does not contain its class names" in refuse(folder / "vpt")
    assert "at least two class names, got ['names.txt']" in refuse(folder / "vpt", "--classes", "names.txt")
    assert "unknown option --wrods; nearest: --words" in refuse(folder / "maple", "--method", "maple", "--wrods", "x")
    assert "cliptune import FILE --help" in refuse(folder / "maple", "--method", "maple", "--epochs", 3)
    assert "left" in refuse(folder / "coop", "--method", "coop", "--position", "left")
    assert "words='one of the many' do not fit" in refuse(
        folder / "maple", "--method", "maple", "--words", "one of the many"
    )
    (tmp_path / "names.txt").write_bytes(b"\xff\xfe\x00")
    assert "class names cannot be read from" in refuse(folder / "vpt", "--classes", tmp_path / "names.txt")


def test_broken_and_dangerous_files(refuse, files, tmp_path):
    folder, _ = files
    whole = (folder / "maple").read_bytes()
    (tmp_path / "half").write_bytes(whole[: len(whole) // 2])
    assert "is damaged, truncated or not a file of torch.save" in refuse(tmp_path / "half", "--method", "maple")

    class Code:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"state_dict": {"ctx": Code()}}, tmp_path / "code")
    assert "needs code to load" in refuse(tmp_path / "code") and not (tmp_path / "ran").exists()


def test_a_checkpoint_of_another_backbone_is_refused(refuse, tmp_path):
    from tiny_clips import backbone

    of = backbone("deep_image")
    model = TunedModel(of, CoOp(4), NAMES)
    tensors = {key: tensor.detach() for key, tensor in official_names(model.learner).items()}
    path = save(tmp_path / "m", learner_alone(state_dict(tensors, of, [f"X X X X {name}." for name in NAMES])))
    assert "was trained on another CLIP than 'tiny': " in refuse(path, "--method", "coop")
    assert "unknown backbone 'tinny'; nearest: tiny" in refuse(path, "--method", "coop", "--backbone", "tinny")


def test_a_folder_with_another_run_is_refused(cli, files, trained):
    before = {path: path.read_bytes() for path in trained.iterdir()}
    result = cli("import", files[0] / "maple", "--method", "maple", "--backbone", "tiny", "--out", trained)
    assert result.code == 2 and "contains a run of another configuration" in result.err
    assert before == {path: path.read_bytes() for path in trained.iterdir()}


def test_prompt_lengths_found_by_dpl(cli, tmp_path, refuse):
    np.save(tmp_path / "alpha_e80_txt.npy", np.eye(3)[[0, 2]])
    np.save(tmp_path / "alpha_e80_img.npy", np.eye(3)[[1, 1]])
    result = cli("import", tmp_path / "alpha_e80_img.npy")
    assert (result.code, result.out) == (0, "--lengths-text 1 1 --lengths-image 0 2\n")
    assert "next: cliptune train dpl with these" in result.err
    result = cli("import", tmp_path / "alpha_e80_txt.npy", "--no-swapped")
    assert result.out == "--lengths-text 0 2 --lengths-image 1 1\n"
    assert "no file at" in refuse(tmp_path / "alpha_e79_txt.npy")
    assert "comes first: cliptune import" in refuse("--out")
