"""Real photographs from two sources, end to end, with the bundled backbone and with one from a file."""

from pathlib import Path

import open_clip
import pytest
import torch

from tiny_tasks import BRIEFLY

PHOTOS = Path(__file__).parents[2].parent / "shared" / "data" / "photos" / "cifar10"
pytestmark = pytest.mark.skipif(not PHOTOS.is_dir(), reason="../shared/data/photos/cifar10 is not here")


@pytest.fixture(scope="module")
def ten_each(tmp_path_factory):
    """Links to ten photographs per class in each split."""
    root = tmp_path_factory.mktemp("photos")
    for part, count in (("train", 4), ("test", 3)):
        for folder in sorted((PHOTOS / part).iterdir()):
            (root / part / folder.name).mkdir(parents=True)
            for image in sorted(folder.iterdir())[:count]:
                (root / part / folder.name / image.name).symlink_to(image)
    return root


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """A file of random weights with OpenAI's tensor names."""
    torch.manual_seed(0)
    text = {"width": 64, "heads": 1, "layers": 2}
    model = open_clip.model.CLIP(32, {"width": 64, "layers": 2, "patch_size": 32, "image_size": 64}, text)
    path = tmp_path_factory.mktemp("weights") / "vit.pt"
    torch.save(model.state_dict(), path)
    return path


@pytest.mark.filterwarnings("ignore:backbone 'tiny' was not trained on")
@pytest.mark.parametrize(
    "method, backbone", [("coop", "tiny"), ("maple+dapt", "tiny"), ("maple", None), ("coop+dapt", None)]
)
def test_train_evaluate_predict(cli, tmp_path, ten_each, generated, method, backbone):
    depth = ("--depth", 2) if "maple" in method else ()
    weights = ("--backbone", backbone or generated)
    result = cli("train", method, "--data", f"folder:{ten_each}", *weights, *BRIEFLY, *depth, "--out", tmp_path / "r")
    assert result.code == 0, result.err
    assert cli("evaluate", tmp_path / "r").out == result.out
    images = sorted((ten_each / "test").rglob("*.*"))[:3]
    answers = cli("predict", tmp_path / "r", *images)
    assert answers.code == 0 and answers.out.count("\n") == 3
