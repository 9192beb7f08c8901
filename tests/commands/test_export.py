"""`cliptune export RUN`."""

from typing import Any

import open_clip
import pytest
import torch
from PIL import Image

import cliptune as ct


@pytest.fixture(scope="module")
def lora(tmp_path_factory, photos):
    """The folder of a small run of CLIP-LoRA."""
    folder = tmp_path_factory.mktemp("lora")
    ct.train("clip_lora", data=f"folder:{photos}", shots=2, epochs=1, lr=0.01, out=folder)
    return folder


def test_open_clip_loads_the_folder_and_gives_the_features(cli, lora, photos, tmp_path):
    result = cli("export", lora, "--out", tmp_path / "clip")
    assert result.code == 0 and result.out == f"{tmp_path / 'clip' / 'open_clip_model.safetensors'}\n"
    where = f"local-dir:{tmp_path / 'clip'}"
    assert f'open_clip.create_model_and_transforms("{where}")' in result.err
    model: Any
    transform: Any
    model, _, transform = open_clip.create_model_and_transforms(where)
    run, image = ct.load(lora), photos / "cat" / "0.png"
    with torch.no_grad():
        got = model.eval().encode_image(transform(Image.open(image))[None], normalize=True)
        texts = open_clip.get_tokenizer(where)([f"a photo of a {name}." for name in run.classnames])
        text = model.encode_text(texts, normalize=True)
    assert torch.allclose(got, run.image_features(image), atol=1e-5)
    assert torch.allclose(text, run.text_features(), atol=1e-5)
    assert torch.allclose(model.logit_scale.exp() * got @ text.T, run.logits(image), atol=1e-3)
    again = ct.train("zeroshot", data=f"folder:{photos}", shots=1, backbone=str(tmp_path / "clip"))
    assert torch.allclose(again.text_features(), text, atol=1e-5), "cliptune takes it as a backbone"


def test_a_file_is_the_weights_alone(cli, lora, tmp_path):
    result = cli("export", lora, "--out", tmp_path / "clip.safetensors")
    assert result.code == 0 and [p.name for p in tmp_path.iterdir()] == ["clip.safetensors"]
    assert f'pretrained="{tmp_path / "clip.safetensors"}"' in result.err


def test_what_cannot_be_exported_is_refused(refused, trained, lora, tmp_path):
    assert "(CoOp) cannot be exported: it has learned text tokens" in refused("export", trained, "--out", "OUT")
    assert "no folder was named: cliptune export RUN --to onnx --out FOLDER" in refused("export", lora)
    assert "2 folders were named" in refused("export", lora, "OUT", "--out", "OUT", "--to", "torch")
    assert "open_clip" in refused("export", lora, "OUT", "--to", "onyx")
    assert "no checkpoint at" in refused("export", tmp_path / "none", "--out", "OUT")
    kept = (lora / "checkpoint.safetensors").read_bytes()
    message = refused("export", lora, "--out", lora / "checkpoint.safetensors")
    assert "is the name of a run's checkpoint" in message
    assert (lora / "checkpoint.safetensors").read_bytes() == kept


def test_a_classifier_is_written_and_described(cli, lora, photos, tmp_path):
    result = cli("export", lora, "--to", "torch", tmp_path / "out", "--half")
    assert result.code == 0 and result.out == f"{tmp_path / 'out' / 'model.pt2'}\n"
    assert "float16: on 6 test images: accuracy" in result.err and str(tmp_path / "out" / "README.md") in result.err
    named = cli("export", lora, "--to", "numpy", "--out", tmp_path / "out")
    assert named.code == 2 and "(ClipLora) tunes the image tower" in named.err
