"""Tokenizers are loaded without executing code; a missing one is reported in one sentence."""

import json
from pathlib import Path

import pytest
from open_clip.tokenizer import HFTokenizer

import tiny_tokenizers
from cliptune.backbones.tokenizer import ClipTokenizer, load_tokenizer
from cliptune.errors import UserError

EVIL = "from pathlib import Path\nPath({!r}).touch()\nclass Odd: pass\n"


def model(folder: Path, **text) -> str:
    """The name of a local model with this configuration of its text side."""
    config = {"embed_dim": 8, "vision_cfg": {}, "text_cfg": {"context_length": 20, **text}}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    return f"local-dir:{folder}"


def test_arguments_of_the_configuration_are_used(tmp_path):
    own = load_tokenizer(model(tmp_path, tokenizer_kwargs={"clean": "canonicalize", "reduction_mask": "simple"}))
    assert isinstance(own, ClipTokenizer) and own.context_length == 20
    assert own.encode("A Cat!") == own.encode("a cat") and own.reduction_fn is not None
    tiny_tokenizers.save("bert", tmp_path)
    arguments = {"clean": "lower", "strip_sep_token": True}
    open_clips = load_tokenizer(model(tmp_path, hf_tokenizer_name="x", tokenizer_kwargs=arguments))
    assert (
        isinstance(open_clips, HFTokenizer) and open_clips.strip_sep_token and open_clips.clean_fn("A  Cat") == "a cat"
    )


@pytest.mark.parametrize("option", ["trust_remote_code", "code_revision", "auto_map"])
def test_arguments_that_run_code_are_refused(tmp_path, option):
    name = model(tmp_path, hf_tokenizer_name="x", tokenizer_kwargs={option: True})
    with pytest.raises(UserError, match=f"sets '{option}' of its tokenizer, which runs code; remove it"):
        load_tokenizer(name)


def test_code_next_to_a_tokenizer_is_not_executed(tmp_path):
    (tmp_path / "odd.py").write_text(EVIL.format(str(tmp_path / "ran")))
    mapped = {"tokenizer_class": "Odd", "auto_map": {"AutoTokenizer": ["odd.Odd", None]}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(mapped))
    with pytest.raises(
        UserError, match=r"^the tokenizer of local-dir:.* nor downloaded: .* contains custom code"
    ) as refusal:
        load_tokenizer(model(tmp_path, hf_tokenizer_name="x"))
    assert not (tmp_path / "ran").exists() and "\n" not in str(refusal.value)


def test_a_missing_tokenizer_is_reported(tmp_path):
    with pytest.raises(
        UserError, match=r"^the tokenizer of local-dir:.* \(x\) can be neither loaded from this machine nor down"
    ) as no:
        load_tokenizer(model(tmp_path, hf_tokenizer_name="x"))
    assert "\n" not in str(no.value)
