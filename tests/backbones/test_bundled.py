"""The bundled weights are complete and far above chance."""

from pathlib import Path

import open_clip
import pytest
import torch
import torch.nn.functional as F

from bundled_backbones import CONFIG, add_backbone
from cliptune import presets
from cliptune.backbones import bundled
from cliptune.backbones.load import list_backbones, load_backbone
from cliptune.backbones.resolve import resolve_backbone
from cliptune.data.emoji.atlas import CLASS_LISTS, list_sprites
from cliptune.data.emoji.background import BACKGROUND_NAMES, paint_background
from cliptune.data.emoji.dataset import Emoji
from cliptune.data.public.common.wnids import read_classnames, wnids
from cliptune.errors import UserError
from cliptune.teachers import split_backbone

tiny = bundled.BUNDLED["tiny"]
FILL = [0.00526254, 0.00263709, -0.00733035, 0.00695241]


@pytest.fixture(scope="module")
def model():
    model = open_clip.model.CLIP(**tiny.config()).eval()
    model.load_state_dict(tiny.state_dict(), strict=True)
    return model


@pytest.fixture(scope="module")
def tokenizer():
    return open_clip.SimpleTokenizer()


def image_features(model, pixels):
    """Unit features of images in [0, 1]."""
    mean, std = (
        torch.tensor(t).view(1, 3, 1, 1) for t in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    return F.normalize(model.encode_image((pixels - mean) / std), dim=-1)


def text_features(model, tokenizer, names):
    """Unit features of the names in the first template."""
    return F.normalize(model.encode_text(tokenizer([f"a photo of a {name}." for name in names])), dim=-1)


@pytest.mark.parametrize("name, width", [("tiny", 128), ("photo", 128)])
def test_everything_is_float32_and_finite(name, width):
    state = bundled.BUNDLED[name].state_dict()
    assert all(t.dtype == torch.float32 and t.isfinite().all() for t in state.values())
    assert state["token_embedding.weight"].shape == (49408, width)


@pytest.mark.parametrize("name", bundled.BUNDLED)
def test_the_towers_differ_in_width_and_depth(name):
    """So that a transposed projection or the depth of the other tower fails."""
    config = bundled.BUNDLED[name].config()
    vision, text = config["vision_cfg"], config["text_cfg"]
    assert vision["width"] != text["width"] and vision["layers"] != text["layers"]


@pytest.mark.parametrize("name", bundled.BUNDLED)
def test_packages_stay_small(name):
    folder = Path(bundled.__file__).parent / name
    assert sum(file.stat().st_size for file in folder.iterdir()) < 15 * 2**20


def test_callers_get_independent_copies():
    first = tiny.state_dict()
    before = {k: t.clone() for k, t in first.items()}
    for tensor in first.values():
        tensor.fill_(7)
    assert all(torch.equal(before[k], t) for k, t in tiny.state_dict().items())


def test_untrained_rows_are_filled_reproducibly():
    table = tiny.state_dict()["token_embedding.weight"]
    untrained = sorted(tiny.untrained_tokens(range(49408)))
    rows = table[untrained]
    assert abs(rows.mean()) < 1e-4 and abs(rows.std() - 0.02) < 1e-4
    fill = bundled._random_rows(49408, 128)
    assert torch.equal(rows, fill[untrained])
    # Sums of 16-bit integers: equal on every machine to the rounding of the last step.
    assert fill[0, :4].tolist() == pytest.approx(FILL, abs=1e-7)


@pytest.mark.parametrize(
    "words",
    [
        [r.name for c in CLASS_LISTS for r in list_sprites(c)],
        BACKGROUND_NAMES,
        ("a photo of a", "sky.", "an image of the"),
    ],
)
def test_every_name_was_seen_in_pretraining(words, tokenizer):
    for text in words:
        assert not tiny.untrained_tokens(tokenizer.encode(text)), text


def test_photo_knows_the_names_of_photographs(tokenizer):
    photo = bundled.BUNDLED["photo"]
    for name in [*read_classnames(wnids()), "airplane", "automobile", "pizza", "sunflower"]:
        assert not photo.untrained_tokens(tokenizer.encode(f"a photo of a {name}.")), name


@torch.no_grad()
def test_photo_recognises_painted_places(tokenizer):
    """It was trained on photographs of them, not on these paintings."""
    photo, names = bundled.BUNDLED["photo"], ("forest", "sea", "mountain", "street")
    model = open_clip.model.CLIP(**photo.config()).eval()
    model.load_state_dict(photo.state_dict(), strict=True)
    pixels = torch.stack([paint_background(name, seed, 64) for name in names for seed in range(8)]).float() / 255
    guesses = (image_features(model, pixels) @ text_features(model, tokenizer, names).T).argmax(1)
    right = (guesses == torch.arange(4).repeat_interleave(8)).float().mean()
    assert right > 0.7  # chance is 0.25


def test_untrained_tokens_are_reported(tokenizer):
    ids = tokenizer.encode("photo of a carburettor")
    missing = tiny.untrained_tokens(ids)
    assert missing and missing < set(ids)
    assert not tiny.untrained_tokens([0, 49406, 49407])


def test_damaged_weights_are_refused(tmp_path, monkeypatch):
    add_backbone(monkeypatch, tmp_path, "damaged")
    (tmp_path / "damaged" / "weights.safetensors").write_bytes(b"not these")
    with pytest.raises(UserError, match="the weights of the bundled damaged backbone are damaged: SHA-256"):
        load_backbone("damaged")


def test_another_bundled_backbone(tmp_path, monkeypatch, tiny_backbone, tokenizer):
    """Its widths, its image size and its words are its own; its settings are those of small backbones."""
    stored = add_backbone(monkeypatch, tmp_path, "sketch")
    backbone, images = load_backbone("sketch"), torch.zeros(1, 3, 48, 48)
    assert (backbone.name, backbone.image_size, backbone.embed_dim) == ("sketch", 48, 24)
    state = {name: tensor.float() for name, tensor in stored.items() if not name.startswith("token_embedding")}
    state["token_embedding.weight"] = bundled.BUNDLED["sketch"].state_dict()["token_embedding.weight"]
    ids = stored["token_embedding.ids"].long()
    assert torch.equal(state["token_embedding.weight"][ids], stored["token_embedding.rows"].float())
    plain = open_clip.model.CLIP(**CONFIG).eval()
    plain.load_state_dict(state)
    assert torch.allclose(backbone.encode_image(images), plain.encode_image(images), atol=1e-5)
    horse, sled = tokenizer.encode("horse"), tokenizer.encode("sled")
    assert [backbone.prompt_tokenizer.unknown_ids(ids) for ids in (horse, sled)] == [set(), set(sled)]
    assert [tiny_backbone.prompt_tokenizer.unknown_ids(ids) for ids in (horse, sled)] == [set(), set()]
    with pytest.warns(UserWarning, match="backbone 'sketch' was not trained on 'sled' in the class name 'sled'"):
        backbone.prompt_tokenizer.check_names(["horse", "sled"])
    for method in ("maple", "coop+dapt"):
        assert presets.get(method, backbone="sketch").training == presets.get(method, backbone="tiny").training
    assert {"tiny", "sketch"} <= set(list_backbones()) and split_backbone("sketch") == ("sketch", "")
    with pytest.raises(UserError, match="the bundled sketch backbone includes its weights"):
        resolve_backbone("sketch", "openai")


@torch.no_grad()
def test_zero_shot_is_far_above_chance_and_below_ceiling(model, tokenizer):
    data = Emoji(test_per_class=1, styles=("fluent-flat",))
    examples = data.examples("test")
    images = image_features(model, torch.stack([data.read(e).image for e in examples]) / 255)
    classes = text_features(model, tokenizer, data.classnames)
    scenes = text_features(model, tokenizer, BACKGROUND_NAMES)
    right = ((images @ classes.T).argmax(1) == torch.tensor([e.label for e in examples])).float().mean()
    assert 0.12 < right < 0.9  # chance is 0.008
    named = (
        ((images @ scenes.T).argmax(1) == torch.tensor([BACKGROUND_NAMES.index(e.background) for e in examples]))
        .float()
        .mean()
    )
    assert named > 0.12  # chance is 0.042
