"""A model's tensors under official names, in the authors' file format, rebuild the same model."""

from dataclasses import replace

import pytest
import torch

from cliptune.errors import UserError
from cliptune.methods.maple import Maple
from cliptune.methods.restore import Restore
from cliptune.official.checkpoint_file import read_official
from cliptune.official.rebuild import rebuild_model
from official_files import save
from official_models import METHODS, NAMES, import_checkpoint, logits, official_state, trained_model
from tiny_clips import backbone

pytestmark = pytest.mark.filterwarnings("ignore:the authors' CLIP has QuickGELU:UserWarning")


@pytest.mark.parametrize("shape", ["deep_image", "deep_text"])
@pytest.mark.parametrize("key", METHODS)
def test_the_same_model_again(file, key, shape):
    of = backbone(shape)
    _, name, options = METHODS[key]
    if shape == "deep_text" and key.startswith("dpl"):
        pytest.skip("lengths are for the other backbone's layers")
    path, model = file(key, of)
    names = () if key.startswith(("vpt", "dpl", "taskres")) else NAMES
    again, run = import_checkpoint(path, of, name, options, () if names else NAMES)
    assert torch.equal(logits(again), logits(model)) and len(again.classnames) == len(NAMES)
    if names:
        assert again.classnames == NAMES, "as written, in lower case"
    assert type(run.method) is type(model.method) and run.data == ""
    assert not again.training


@pytest.mark.parametrize("key", ["coop", "maple", "restore", "ivlp"])
def test_half_precision(file, key):
    of = backbone("deep_image")
    path, model = file(key, of)
    found = torch.load(path, weights_only=False)["state_dict"]
    save(path, {name: tensor.half() if tensor.ndim else tensor for name, tensor in found.items()})
    again, _ = import_checkpoint(path, of, METHODS[key][1])
    assert all(parameter.dtype == torch.float32 for parameter in again.learner.parameters())
    with torch.no_grad():
        for parameter in model.learner.parameters():
            parameter.copy_(parameter.half())
    assert torch.equal(logits(again), logits(model.train().eval())) and again.classnames == NAMES


def test_a_resnet_with_text_prompts_only(file):
    of = backbone("resnet")
    path, model = file("coop", of)
    assert torch.equal(logits(import_checkpoint(path, of, "coop")[0]), logits(model))


def test_ratios_are_those_of_the_file(file):
    of = backbone("deep_image")
    path, model = file("restore", of)
    again, run = import_checkpoint(path, of)
    assert float(again.learner.text.ratio) == pytest.approx(0.35) and float(again.learner.image.ratio) == pytest.approx(
        0.4
    )
    assert run.method == Restore(2, 2), "the ratios at first are not in the file"


def test_words_determine_the_fixed_part_before_the_name(file, tmp_path):
    """ "v1 v2 of a cat." or "v1 v2 cat.": the file's sentences tell; without them the released words are taken."""
    of = backbone("deep_image")
    random = replace(Maple(2, 2), words="")
    path = save(tmp_path / "random", official_state("maple", trained_model(random, of)))
    assert import_checkpoint(path, of, "maple")[1].method == random
    path, _ = file("maple", of)
    assert import_checkpoint(path, of, "maple")[1].method == Maple(2, 2)
    bare = {
        name: tensor
        for name, tensor in torch.load(path, weights_only=False)["state_dict"].items()
        if "token_" not in name
    }
    save(path, bare)
    assert import_checkpoint(path, of, "maple", names=NAMES)[1].method == Maple(2, 2)
    assert import_checkpoint(path, of, "maple", {"words": ""}, NAMES)[1].method == random


def test_words_that_do_not_fit(file):
    of = backbone("deep_image")
    path, _ = file("maple", of)
    with pytest.raises(
        UserError, match="words='one of the many' do not fit .*, a sentence continues with 'of a cat .'"
    ):
        import_checkpoint(path, of, "maple", {"words": "one of the many"})
    path, _ = file("coop", of)
    with pytest.raises(
        UserError, match="words='a photo of a' do not fit .*: they make 4 learned vectors, the file has 5"
    ):
        import_checkpoint(path, of, "coop", {"words": "a photo of a"})


def test_what_files_of_mmrl_do_not_show_is_said(file):
    of = backbone("deep_image")
    path, model = file("mmrlpp", of)
    with pytest.warns(UserWarning, match=r"layers and alpha and beta: layers=\(2, 3\), alpha=0.7, beta=0.9 assumed"):
        _, run = import_checkpoint(path, of)
    assert (run.method.n_ctx, run.method.table_width, run.method.rank, run.method.projection_rank) == (3, 20, 2, 5)
    with pytest.raises(UserError, match="layers=.* has layers beyond the 3"):
        import_checkpoint(path, of, options={"layers": (3, 4), "alpha": 0.7, "beta": 0.3})
    with pytest.raises(UserError, match="does not fit mmrlpp on 'deep_image': .* is unexpected"):
        import_checkpoint(path, of, options={"layers": (1,), "alpha": 0.7, "beta": 0.3})
    options = METHODS["mmrlpp"][2]
    state = torch.load(path, weights_only=False)["state_dict"]
    bare = save(path.with_name("bare"), {name: tensor for name, tensor in state.items() if "embeddings" not in name})
    with (
        pytest.raises(UserError, match="does not contain its class names"),
        pytest.warns(match="'a photo of a {}.' is"),
    ):
        import_checkpoint(bare, of, options=options)
    with pytest.warns(match="does not show the template"):
        again, _ = import_checkpoint(bare, of, options=options, names=NAMES)
    assert torch.equal(logits(again), logits(model))


@pytest.mark.parametrize(
    "template", ["a photo of a {}, a type of pet.", "{} texture.", "a photo of {}, a type of food."]
)
def test_templates_and_names_in_files_of_mmrl(tmp_path, template):
    of = backbone("deep_image")
    model = trained_model(METHODS["mmrl"][0], of)
    model = model.with_classes(NAMES, (template,))
    path = save(tmp_path / "model", official_state("mmrl", model))
    again, _ = import_checkpoint(path, of, options=METHODS["mmrl"][2])
    assert again.templates == (template,) and again.classnames == NAMES
    assert torch.equal(logits(again), logits(model.eval()))


def test_other_class_names_with_a_shared_context(file):
    of = backbone("deep_image")
    path, model = file("maple", of)
    again, _ = import_checkpoint(path, of, "maple", names=("mouse", "bear"))
    assert torch.equal(logits(again), logits(model.with_classes(("mouse", "bear"))))


def test_the_order_of_class_specific_contexts(file):
    of = backbone("deep_image")
    path, model = file("coop per class", of)
    assert torch.equal(logits(import_checkpoint(path, of, names=[name.upper() for name in NAMES])[0]), logits(model))
    swapped = ("boeing 737-200", "cat", *NAMES[2:])
    with pytest.raises(
        UserError, match="its class 'cat' is at the position of 'boeing 737-200'; list the names in the order"
    ):
        import_checkpoint(path, of, names=swapped)
    with pytest.raises(UserError, match="a context for each of 6 classes, got 2 names"):
        import_checkpoint(path, of, names=("cat", "dog"))


@pytest.mark.parametrize("key", ["vpt", "dpl"])
def test_files_without_sentences_need_names(file, key):
    of = backbone("deep_image")
    path, _ = file(key, of)
    with pytest.raises(
        UserError, match="does not contain its class names; list them in the order of training with --classes"
    ):
        import_checkpoint(path, of)
    with pytest.raises(UserError, match=r"at least two class names, got \['cat'\]"):
        import_checkpoint(path, of, names=("cat",))


def test_templates_of_frozen_features(file):
    """Words after the name show the dataset's; without them, a template is assumed and the warning says so."""
    of = backbone("deep_image")
    path, _ = file("tcp, words around the name", of)
    model, run = import_checkpoint(path, of, options={"block": 1})
    assert model.templates[0] == "a photo of a {}, a type of pet." and run.method.name_template == "{}, a type of pet."
    assert import_checkpoint(path, of, options={"block": 1, "template": "one {}"})[1].method.template == "one {}"
    path, _ = file("tcp", of)
    with pytest.warns(
        UserWarning, match="not contain the template of its frozen class features, 'a photo of a {}.' is"
    ):
        model, _ = import_checkpoint(path, of, options={"block": 2})
    assert model.templates == ("a photo of a {}.",)
    with pytest.raises(UserError, match="does not fit backbone 'deep_image': block=8 is not one of the layers 1 to 2"):
        import_checkpoint(path, of, options={"template": "a photo of a {}."})


def test_frozen_text_features_show_the_order_of_the_classes_and_the_templates(file):
    of = backbone("deep_image")
    path, _ = file("taskres", of)
    with pytest.raises(UserError, match="other frozen text features than '(cat|sled dog)' in these templates;"):
        import_checkpoint(path, of, names=(NAMES[-1], *NAMES[1:-1], NAMES[0]))
    with pytest.raises(UserError, match="text_feature_residuals is .*, not"):
        import_checkpoint(path, of, names=NAMES[1:])
    content = read_official(path)
    with pytest.raises(UserError, match="in these templates"):
        rebuild_model(content, "taskres", of, {}, NAMES, ("a completely different sentence about the {}",))
    assert content.class_features is not None
    for spoilt, sentence in (
        (content.class_features[1:], "has frozen text features of shape"),
        (content.class_features * float("nan"), "in these templates"),
    ):
        with pytest.raises(UserError, match=sentence):
            rebuild_model(replace(content, class_features=spoilt), "taskres", of, {}, NAMES)


def test_the_order_of_the_rows_of_a_classifier(file):
    of = backbone("deep_image")
    path, model = file("dept, coop", of)
    assert torch.equal(logits(import_checkpoint(path, of, names=[name.upper() for name in NAMES])[0]), logits(model))
    with pytest.raises(UserError, match="its class 'cat' is at the position of 'boeing 737-200'; list the names"):
        import_checkpoint(path, of, names=("boeing 737-200", "cat", *NAMES[2:]))
    with pytest.raises(UserError, match="a row of its classifier for each of 6 classes, got 2 names"):
        import_checkpoint(path, of, names=("cat", "dog"))


def test_attributes_are_those_of_the_file(file, tmp_path):
    of = backbone("deep_image")
    path, model = file("atprompt coop", of)
    again, run = import_checkpoint(path, of)
    assert run.method == model.method and again.classnames == NAMES
    assert import_checkpoint(path, of, options={"attributes": ("Color", "shape")})[0].classnames == NAMES
    for other in (("color",), ("shape", "color"), ("color", "shape", "size")):
        with pytest.raises(
            UserError, match=f"with the attributes {', '.join(other)}: at their places it has color, shape"
        ):
            import_checkpoint(path, of, options={"attributes": other})
    bare = {n: t for n, t in torch.load(path, weights_only=False)["state_dict"].items() if "token_" not in n}
    save(tmp_path / "bare", bare)
    with pytest.raises(UserError, match="does not contain its attributes as whole words; list them with --attributes"):
        import_checkpoint(tmp_path / "bare", of, names=NAMES)
    again, _ = import_checkpoint(tmp_path / "bare", of, options={"attributes": ("color", "shape")}, names=NAMES)
    assert torch.equal(logits(again), logits(model))


def test_cut_attributes_must_be_listed(file):
    path, _ = file("atprompt coop, words of several tokens", backbone("deep_image"))
    with pytest.raises(UserError, match="does not contain its attributes as whole words"):
        import_checkpoint(path, backbone("deep_image"))
