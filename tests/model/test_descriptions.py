"""Sentences about classes from a JSON file: matching of names, and refusals."""

import json
import shutil

import pytest
import torch

import textbook
import tiny_clips
from cliptune import config
from cliptune.errors import UserError
from cliptune.methods.cupl import Cupl
from cliptune.model.descriptions import Descriptions
from cliptune.model.tuned_model import TunedModel
from cliptune.model_io import load_model, save_model

SENTENCES = {"CAT": ["a cat.", "it is small", "it has whiskers"], "steam engine": ["it moves on rails."]}


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_image")


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "sentences.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return str(path)

    return write


def expected(backbone, *sentences):
    ids = textbook.tokens(backbone.prompt_tokenizer, sentences)
    return textbook.unit(textbook.unit(textbook.text_features(backbone.model, ids)).mean(0))


def test_class_features_are_the_mean_of_unit_features(backbone, file):
    model = TunedModel(backbone, Cupl(file(SENTENCES)), ("Steam_Engine", "cat")).eval()
    with torch.no_grad():
        text, _ = model.encode_classes()
    assert model.class_text.text.owner.tolist() == [0, 1, 1, 1]
    want = [expected(backbone, "it moves on rails."), expected(backbone, *SENTENCES["CAT"])]
    torch.testing.assert_close(text, torch.stack(want), rtol=1e-4, atol=1e-5)


def test_equal_numbers_need_no_owner(backbone, file):
    text = Descriptions.read(file({"a": ["b", "c"], "d": ["e", "f"]})).tokenized(backbone.prompt_tokenizer, "ad", "{}")
    assert text.owner is None and text.per_class == 2


def test_a_name_without_sentences_gets_the_template(backbone, file):
    path = file(SENTENCES)
    with pytest.warns(UserWarning, match=r"has no sentences for dog, so that 'a {}.' is used instead; it has other"):
        model = TunedModel(backbone, Cupl(path), ("cat", "dog"), ("a {}.",)).eval()
    with torch.no_grad():
        torch.testing.assert_close(model.encode_classes()[0][1], expected(backbone, "a dog."), rtol=1e-4, atol=1e-5)
    with pytest.warns(UserWarning, match="no file of sentences about the classes is set"):
        TunedModel(backbone, Cupl(), ("cat",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1", "is not valid JSON"),
        (["a"], "must be a JSON object"),
        ({"cat": []}, "the entry of 'cat' is empty"),
        ({"cat": "a cat"}, "the entry of 'cat' must be a list of sentences, got 'a cat'"),
        ({"cat": {"a": 1}}, "the entry of 'cat' must be a list of sentences, got an object"),
        ({"cat": ["a", 3]}, "the entry of 'cat' must have sentences, got 3"),
        ({"cat": ["  "]}, "the entry of 'cat' must have sentences"),
        ({"sea_cat": ["a"], "Sea Cat": ["b"]}, "has 'Sea Cat' twice"),
        ('{"cat": ["a"], "cat": ["b"]}', "has 'cat' twice"),
        ({"cat": ["word " * 200]}, "sentence 1 of 'cat' in .* does not fit: the sentence 'word"),
    ],
)
def test_unusable_files_are_refused_in_one_sentence(backbone, file, content, message):
    with pytest.raises(UserError, match=message) as refused:
        Descriptions.read(file(content)).tokenized(backbone.prompt_tokenizer, ("cat",), "{}")
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*none\.json"):
        Descriptions.read(str(tmp_path / "none.json"))


def test_the_file_is_found_after_it_moved_with_the_run(backbone, tmp_path):
    folder = tmp_path / "one"
    (folder / "run").mkdir(parents=True)
    path = folder / "sentences.json"
    path.write_text(json.dumps(SENTENCES), encoding="utf-8")
    model = TunedModel(backbone, Cupl(str(path)), ("cat",))
    save_model(folder / "run" / "checkpoint.safetensors", config.RunConfig(model.method), model)
    shutil.move(folder, tmp_path / "other")
    _, run = load_model(tmp_path / "other" / "run", backbone)
    assert run.method.descriptions == str(tmp_path / "other" / "sentences.json")
    (tmp_path / "other" / "sentences.json").unlink()
    with pytest.raises(UserError, match=r"cannot read .*sentences\.json: no such file"):
        load_model(tmp_path / "other" / "run", backbone)
