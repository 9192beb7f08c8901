from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import narrow_configs
import tiny_clips
from cliptune import methods
from cliptune.backbones.load import load_backbone
from cliptune.backbones.tokenized_text import tokenize_templates
from cliptune.errors import UserError
from cliptune.methods.cocoop import CoCoOp
from cliptune.methods.coop import CoOp
from cliptune.methods.dapt import Dapt
from cliptune.methods.dept import Dept
from cliptune.methods.promptsrc import PromptSrc
from cliptune.methods.restore import Restore
from cliptune.methods.two_stage_fs import TwoStageFs
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, State
from tiny_tasks import QUICK, learned, model, same, task, trained

COOP = CoOp(n_ctx=2)
NAMES = ("cat", "sled dog", "x", "cathedral")


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_image")


def tuned(method, backbone, names=NAMES):
    return tiny_clips.moved(TunedModel(backbone, method, names), 0.05)


def images(n=4):
    return tiny_clips.normal(n, 3, 32, 32, seed=2)


BATCH = Batch(images(), torch.tensor([2, 0, 2, 3]))


def outputs(made, batch=BATCH, state=None):
    state = state or State(0, 10)
    out = made.train()(made.method.views(batch), state)
    return out, made.method.losses(out, batch, state)


def by_hand(made, out, image, text_of, label):
    """The classifier's loss of one image of one class, from its image row and its text row."""
    head, rows = made.learner.head, []
    for own, feature in ((head.image, out.raw_image["image"][image]), (head.text, text_of(image, label))):
        rows.append(F.linear(feature * own.scale + own.bias, head.linear.weight, head.linear.bias))
    return [F.cross_entropy(row, torch.tensor(label)) for row in rows]


@pytest.mark.parametrize("base", [COOP, CoCoOp(n_ctx=2, words="")])
def test_the_loss_is_the_mean_over_text_rows_and_image_rows(base, backbone):
    made = tuned(Dept(base, linear=0.6), backbone)
    out, losses = outputs(made)
    text = out.raw_text
    pick = (lambda i, c: text[c]) if text.ndim == 2 else lambda i, c: text[i, c]
    rows = [row for i, c in enumerate(BATCH.labels.tolist()) for row in by_hand(made, out, i, pick, c)]
    torch.testing.assert_close(losses["linear"], 0.6 * torch.stack(rows).mean())
    plain = base.logits(out)
    torch.testing.assert_close(losses["ce"], 0.4 * F.cross_entropy(plain, BATCH.labels))


def test_several_classes_per_image_and_weights(backbone):
    made = tuned(Dept(COOP), backbone)
    targets = torch.tensor([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 1, 1]]).float()
    weights = torch.tensor([0.5, 2.0, 1.0])
    batch = Batch(images(3), torch.tensor([0, 1, 2]), targets=targets, weights=weights)
    out, losses = outputs(made, batch)
    total = sum(
        weights[i] * sum(by_hand(made, out, i, lambda i, c: out.raw_text[c], c)) / 2
        for i, c in targets.nonzero().tolist()
    )
    torch.testing.assert_close(losses["linear"], 0.7 * total / 3)


def test_several_texts_per_class(backbone):
    class Two(CoOp):
        def learner(self, backbone, classnames, generator):
            from cliptune.adapters.bottleneck import FeatureAdapters

            return FeatureAdapters(None, torch.nn.Linear(backbone.embed_dim, backbone.embed_dim))

        def class_prompts(self, backbone, classnames, templates):
            return tokenize_templates(backbone.prompt_tokenizer, ("a photo of a {}.", "a {}."), classnames)

    made = tuned(Dept(Two()), backbone)
    out, losses = outputs(made)
    assert out.raw_text.shape == (4, backbone.embed_dim) and all(loss.isfinite() for loss in losses.values())


def test_trained_classes_get_both_logits_and_others_the_methods(backbone):
    made = tuned(Dept(COOP), backbone).eval()
    alone = TunedModel(backbone, COOP, NAMES, learner=made.learner.base).eval()
    views = {"image": images()}

    def logits(of, names, **more):
        with torch.no_grad():
            return of.with_classes(names, **more)(views)

    out, plain = logits(made, NAMES), logits(alone, NAMES)
    own = 0.3 * plain.logits + 0.7 * made.learner.head.image_logits(out.raw_image["image"])
    torch.testing.assert_close(out.logits, own)
    for some in (("cathedral", "cat"), NAMES[::-1]):
        torch.testing.assert_close(logits(made, some).logits, own[:, [NAMES.index(name) for name in some]])
    for others in (("house", "tree"), ("cat", "house"), (*NAMES, "house")):
        for novel in (None, False):  # False: classes of other data
            torch.testing.assert_close(logits(made, others, novel=novel).logits, logits(alone, others).logits)
    torch.testing.assert_close(logits(made, NAMES, novel=True).logits, plain.logits)


def test_training_leaves_the_base_its_own_logits_and_learner(backbone):
    made, history = trained(Dept(Restore(depth=2, n_ctx=2, words="")), backbone, QUICK)
    assert made.learner.base.text_norms.all() and "shift" in history[0]
    made, _ = trained(
        Dept(PromptSrc(depth_text=2, depth_image=2, n_ctx_text=2, n_ctx_image=2, words="")), backbone, QUICK
    )
    last, _ = trained(Dept(replace(made.method.base, aggregate_mean=1e9)), backbone, QUICK)
    assert same(made.learner.head.state_dict(), last.learner.head.state_dict()), "prompts alone are averaged"


def test_around_and_inside_dapt(backbone):
    masks = torch.zeros(4, 1, 32, 32)
    masks[..., 8:20] = 1
    batch = replace(BATCH, masks=masks)
    for method in (Dapt(Dept(COOP)), Dept(Dapt(COOP))):
        made = tuned(method, backbone)
        early, late = (set(outputs(made, batch, State(epoch, 10))[1]) for epoch in (0, 9))
        assert early == {"ce", "linear", "pull_push"} and late == {"ce", "linear", "foreground", "background"}
    made = tuned(Dapt(Dept(COOP), compat="release"), backbone)
    assert outputs(made, batch)[0].logits.shape == (4, 4 + 7)
    with pytest.raises(UserError, match="which have 11 columns; wrap the method with dept first, such as coop"):
        outputs(tuned(Dept(Dapt(COOP, compat="release")), backbone), batch)


def test_what_it_cannot_wrap(backbone):
    class Elsewhere(CoOp):
        def text_features(self, model, extra):
            return torch.eye(len(model.classnames), model.backbone.embed_dim), None

    class NoLabels(CoOp):
        def losses(self, out, batch, state):
            return {"distance": out.logits.mean()}

    with pytest.raises(UserError, match="takes class features from elsewhere"):
        outputs(tuned(Dept(Elsewhere()), backbone))
    two = Dept(TwoStageFs())
    with pytest.raises(UserError, match="takes class features from elsewhere"):
        two.prepare(tuned(two, backbone), task())
    with pytest.raises(UserError, match="NoLabels has only distance"):
        outputs(tuned(Dept(NoLabels()), backbone))
    with pytest.raises(UserError, match="dept around dept has no meaning"):
        methods.build("coop+dept+dapt+dept")


@pytest.mark.parametrize("fields, message", [({"linear": 1.5}, "linear must be"), ({"rate": 0}, "rate must be")])
def test_bad_values(fields, message):
    with pytest.raises(UserError, match=message):
        Dept(**fields)


def test_the_number_of_parameters(backbone):
    made = model(Dept(COOP), backbone, task())
    own = sum(p.numel() for p in made.learner.head.parameters())
    assert own == 4 * backbone.embed_dim + (backbone.embed_dim + 1) * 3


def test_the_classifier_has_its_own_learning_rate():
    method = Dept(COOP, rate=5.0)
    assert method.rates() == {"head.": 5.0} == Dapt(method).rates()


@pytest.mark.parametrize("name", ["ViT-B-16-SigLIP", "RN50"])
def test_other_towers(name, tmp_path):
    with narrow_configs.narrow_timm():
        backbone = load_backbone(str(narrow_configs.folder(name, tmp_path / name)), linear_backend="torch")
    made, history = trained(Dept(COOP), backbone, replace(QUICK, epochs=1))
    assert history and all(x.isfinite().all() for x in learned(made).values())
