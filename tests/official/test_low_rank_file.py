"""Files of CLIP-LoRA: imported with the same logits, or refused in a sentence."""

import pytest
import torch

import tiny_clips
from cliptune.errors import UserError
from cliptune.methods.clip_lora import ClipLora
from official_models import NAMES, import_checkpoint, logits, trained_model

MODULES = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "proj"}


def content(model):
    """What the authors' code saves."""
    method, weights = model.method, {}
    for tower in ("text", "image"):
        first, seen = len(weights), []
        for (block, layer), term in model.learner.terms(tower).items():
            seen += [block] * (block not in seen)
            own = weights.setdefault(f"layer_{first + seen.index(block)}", {})
            own[MODULES[layer]] = {"w_lora_A": term.down.detach().half(), "w_lora_B": term.up.detach().half()}
    encoder = {"image": "vision"}.get(method.encoder, method.encoder)
    settings = {"r": method.rank, "alpha": 1, "encoder": encoder, "params": list(method.params)}
    return {"weights": weights, "metadata": {**settings, "position": method.position}}


pytestmark = pytest.mark.filterwarnings("ignore:the authors' CLIP has QuickGELU")


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_image")


@pytest.mark.parametrize(
    "method",
    [ClipLora(), ClipLora(3, params=("q", "v", "o"), encoder="text"), ClipLora(encoder="image", position="half-up")],
    ids=["both", "text", "image"],
)
def test_a_file_is_imported(method, backbone, tmp_path):
    model = trained_model(method, backbone)
    torch.save(content(model), tmp_path / "lora.pt")
    imported, run = import_checkpoint(tmp_path / "lora.pt", backbone, names=NAMES)
    assert run.method == method
    torch.testing.assert_close(logits(imported), logits(model), rtol=0, atol=0.05)  # half precision
    for name, tensor in imported.learner.state_dict().items():
        assert torch.equal(tensor, model.learner.state_dict()[name].half().float())


def test_files_that_do_not_fit_are_refused(backbone, tmp_path):
    file = tmp_path / "lora.pt"

    def refused(saved, reason, names=NAMES):
        torch.save(saved, file)
        with pytest.raises(UserError, match=reason):
            import_checkpoint(file, backbone, names=names)

    whole = content(trained_model(ClipLora(), backbone))
    refused(whole, "does not contain its class names", names=())
    refused({**whole, "metadata": {}}, "has no settings r, alpha")
    refused({**whole, "weights": {}}, "contains no matrices")
    refused({**whole, "metadata": {**whole["metadata"], "position": "top9"}}, "position='top9' does not fit")
    refused({**whole, "metadata": {**whole["metadata"], "encoder": "text"}}, "does not fit clip_lora .* unexpected")
    refused({**whole, "metadata": {**whole["metadata"], "r": 3}}, r"does not fit clip_lora .* is \(2, ")
    short = {**whole, "weights": {k: v for k, v in whole["weights"].items() if k != "layer_1"}}
    refused(short, "does not fit clip_lora .* missing")


class Code:
    def __reduce__(self):
        return print, ("executed",)


def test_code_in_a_file_is_refused(backbone, tmp_path, capsys):
    saved = content(trained_model(ClipLora(), backbone))
    saved["metadata"]["note"] = Code()
    torch.save(saved, tmp_path / "lora.pt")
    with pytest.raises(UserError, match="needs code to load"):
        import_checkpoint(tmp_path / "lora.pt", backbone, names=NAMES)
    assert "executed" not in capsys.readouterr().out
