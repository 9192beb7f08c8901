"""User errors in runs and their folders: exit code 2, one sentence, no traceback, no partial output."""

import re
import shutil

import pytest

from tiny_tasks import BRIEFLY, write_images


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_checkpoint(refused, trained, tmp_path, photos, command):
    image = (photos / "cat" / "0.png",) if command == "predict" else ()
    assert "no checkpoint at" in refused(command, tmp_path / "none", *image)
    whole = (trained / "checkpoint.safetensors").read_bytes()
    file = tmp_path / "checkpoint.safetensors"
    for content in (whole[:-40], whole[:100], b"", b"something else entirely"):
        file.write_bytes(content)
        assert "checkpoint.safetensors is damaged or truncated" in refused(command, tmp_path, *image)
    assert "comes first" in refused(command)


def test_checkpoint_of_another_backbone(refused, trained, tmp_path, photos):
    from cliptune.engine import checkpoint

    tensors, about = checkpoint.read_checkpoint(trained / "checkpoint.safetensors")
    about["backbone"] = {"name": "ViT-B-16/openai", "fingerprint": "0123456789abcdef"}
    checkpoint.write_checkpoint(tmp_path / "checkpoint.safetensors", tensors, about)
    result = refused("predict", tmp_path, photos / "cat" / "0.png")
    assert "was trained on backbone 'ViT-B-16/openai' (0123456789abcdef), not on 'tiny'" in result


def test_checkpoint_of_an_unknown_method(refused, trained, tmp_path):
    from cliptune.engine import checkpoint

    tensors, about = checkpoint.read_checkpoint(trained / "checkpoint.safetensors")
    about["config"]["method"]["name"] = "cocoop9"
    checkpoint.write_checkpoint(tmp_path / "checkpoint.safetensors", tensors, about)
    assert "unknown method 'cocoop9'" in refused("evaluate", tmp_path)


def without(key):
    return lambda about: about.pop(key)


def with_method(**fields):
    return lambda about: about["config"].update(method={"name": "coop", **fields})


HEADERS = {
    "no classes": (without("classnames"), "classnames is missing"),
    "no templates": (without("templates"), "templates is missing"),
    "no backbone": (without("backbone"), "backbone is missing"),
    "a backbone in a word": (lambda about: about.update(backbone="tiny"), "backbone is 'tiny'"),
    "no configuration": (without("config"), "is the state of unfinished training"),
    "classes in a word": (lambda about: about.update(classnames="cat"), "classnames is 'cat'"),
    "a blank class": (lambda about: about["classnames"].append(" "), "classnames has the entry ' '"),
    "a class twice": (lambda about: about["classnames"].append("cat"), "class 'cat' is listed 2 times"),
    "a class that ends a line": (lambda about: about["classnames"].append("a\nb"), "which is not a line of text"),
    "no name in a template": (lambda about: about.update(templates=["a photo."]), "needs exactly one {}"),
    "other fields in a template": (
        lambda about: about.update(templates=["a {0.__class__.__mro__} of {}"]),
        "no other braces",
    ),
    "a template of a gigabyte": (lambda about: about.update(templates=["{:>999999999}"]), "needs exactly one {}"),
    "a method as deep as can be": (
        lambda about: about["config"].update(method=nested(30)),
        "does not wrap other methods, so it has no base",
    ),
    "a base in what wraps nothing": (with_method(base={"name": "coop"}), "'coop' does not wrap other methods"),
    "a learning rate of NaN": (
        lambda about: about["config"]["training"].update(lr=float("nan")),
        "lr=nan does not fit TrainConfig",
    ),
    "a billion tokens": (with_method(n_ctx=10**9), "n_ctx=1000000000 exceeds the size of its tensors"),
    "other sizes": (with_method(n_ctx=7), "does not fit CoOp"),
    "half a character": (lambda about: about["config"].update(data="\ud800"), "a lone surrogate"),
}


def nested(depth):
    return {"name": "coop", "base": nested(depth - 1)} if depth else {"name": "coop"}


@pytest.mark.parametrize("case", HEADERS)
def test_checkpoint_headers_are_checked(refused, trained, tmp_path, photos, case):
    from cliptune.engine import checkpoint

    change, message = HEADERS[case]
    tensors, about = checkpoint.read_checkpoint(trained / "checkpoint.safetensors")
    change(about)
    checkpoint.write_checkpoint(tmp_path / "checkpoint.safetensors", tensors, about)
    result = refused("predict", tmp_path, photos / "cat" / "0.png")
    assert message in result and str(tmp_path) in result, result


def test_nan_and_infinite_logits_are_refused(refused, trained, tmp_path, photos):
    """Not printed as "nan %"; values so large that the towers overflow are found in the logits."""
    import torch

    from cliptune.engine import checkpoint

    tensors, about = checkpoint.read_checkpoint(trained / "checkpoint.safetensors")
    for value, message in ((float("nan"), "values that are not finite"), (3e38, "logits are not finite")):
        checkpoint.write_checkpoint(
            tmp_path / "checkpoint.safetensors", {"text": torch.full_like(tensors["text"], value)}, about
        )
        assert message in refused("predict", tmp_path, photos / "cat" / "0.png")
        assert message in refused("evaluate", tmp_path)


def test_a_run_of_another_configuration(cli, trained, photos):
    before = {p.name: p.read_bytes() for p in trained.iterdir()}
    result = cli("train", "maple", "--data", f"folder:{photos}", *BRIEFLY, "--out", trained)
    assert result.code == 2 and "contains a run of another configuration" in result.err
    assert {p.name: p.read_bytes() for p in trained.iterdir()} == before


def test_images(refused, trained, tmp_path, photos):
    assert "no image at" in refused("predict", trained, tmp_path / "none.png")
    assert "no images given" in refused("predict", trained)
    assert "no images in" in refused("predict", trained, tmp_path)
    (tmp_path / "x.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    assert re.search(r"cannot be read: .*x\.jpg is cut short", refused("predict", trained, tmp_path / "x.jpg"))
    assert "top_k must be at least 1" in refused("predict", trained, photos / "cat" / "0.png", "--top-k", 0)
    assert "at least two class names" in refused("predict", trained, photos / "cat" / "0.png", "--classes", "cat")


def test_a_missing_training_folder_is_reported(refused, tmp_path):
    from cliptune import train

    root = write_images(tmp_path / "p", each=4)
    train("coop", data=f"folder:{root}", shots=1, epochs=1, out=tmp_path / "r")
    shutil.rmtree(root)
    assert "move it back, or name another" in refused("evaluate", tmp_path / "r")


def test_a_report_without_runs_is_refused(refused, tmp_path):
    assert "no result.json under" in refused("report", tmp_path)
    assert "no result.json under" in refused("report", tmp_path / "none")
    (tmp_path / "result.json").write_text("{")
    assert "is not JSON" in refused("report", tmp_path)


def test_more_shots_than_images_is_reported(cli, tmp_path):
    root = write_images(tmp_path / "p", each=6)
    result = cli("train", "coop", "--data", f"folder:{root}", "--shots", 16, "--epochs", 1, "--out", tmp_path / "r")
    assert result.code == 0
    assert "note: class 'cat' has 3 images, fewer than shots=16: all 3 are used (as for 2 more classes)\n" in result.err
