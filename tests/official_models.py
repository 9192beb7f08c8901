"""Models of every method that can be imported, and their state dicts as the authors' code would write them."""

import torch
from torch import Generator

from cliptune.adapters.surgery import SurgeryLearner
from cliptune.config import nested_methods
from cliptune.methods.atprompt import ATPrompt
from cliptune.methods.cocoop import CoCoOp
from cliptune.methods.coop import CoOp
from cliptune.methods.coprompt import CoPrompt
from cliptune.methods.dapt import Dapt
from cliptune.methods.dept import Dept
from cliptune.methods.dpl import Dpl
from cliptune.methods.hicropl import HiCroPl
from cliptune.methods.ivlp import Ivlp
from cliptune.methods.kgcoop import KgCoOp
from cliptune.methods.language import Language
from cliptune.methods.maple import Maple
from cliptune.methods.mmrl import Mmrl
from cliptune.methods.mmrlpp import MmrlPlusPlus
from cliptune.methods.prograd import ProGrad
from cliptune.methods.promptsrc import PromptSrc
from cliptune.methods.restore import Restore
from cliptune.methods.taskres import TaskRes
from cliptune.methods.tcp import Tcp
from cliptune.methods.vpt import Vpt
from cliptune.model.tuned_model import TunedModel
from cliptune.official.checkpoint_file import read_official
from cliptune.official.detect import detect_method
from cliptune.official.rebuild import rebuild_model
from cliptune.official.tensor_names import official_buffers, official_names
from official_files import CTX, learner_alone, second_tower, state_dict, unused_tensors, with_sentences
from tiny_clips import random_images
from tiny_tasks import DESCRIPTIONS

NAMES = ("cat", "boeing 737-200", "jack-o'-lantern", "tulip (red)", "washington d. c.", "sled dog")
#: Method, its name if the file does not contain it, further options.
METHODS = {
    "coop": (CoOp(5), "coop", {}),
    "coop per class": (CoOp(3, class_specific=True), "", {}),
    "coop middle": (CoOp(5, position="middle"), "coop", {"position": "middle"}),
    "coop front per class": (CoOp(3, position="front", class_specific=True), "", {"position": "front"}),
    "coop words": (CoOp(words="a photo of a"), "coop", {"words": "a photo of a"}),
    "cocoop": (CoCoOp(), "", {}),
    "cocoop random": (CoCoOp(6, ""), "", {}),
    "kgcoop": (KgCoOp(), "", {}),
    "kgcoop random": (KgCoOp(7, ""), "", {}),
    "prograd": (ProGrad(6), "prograd", {}),
    "taskres": (TaskRes(alpha=0.7), "", {"alpha": 0.7}),
    "tcp": (Tcp(3, block=2), "", {"block": 2, "template": "a photo of a {}."}),
    "tcp, words around the name": (
        Tcp(block=1, name_template="{}, a type of pet.", template="a photo of a {}, a type of pet."),
        "",
        {"block": 1},
    ),
    "tcp, words before the name": (
        Tcp(block=1, name_template="person doing {}.", template="a photo of a person doing {}."),
        "",
        {"block": 1},
    ),
    "dept, coop": (Dept(CoOp(5)), "", {}),
    "dept, cocoop": (Dept(CoCoOp()), "", {}),
    "dept, kgcoop": (Dept(KgCoOp()), "", {}),
    "dept, maple": (Dept(Maple(2, 2)), "", {}),
    "atprompt coop": (ATPrompt(CoOp(2)), "", {}),
    "atprompt coop, words of several tokens": (
        ATPrompt(CoOp(2), ("playfulness", "energy"), compat="release"),
        "",
        {"attributes": ("playfulness", "energy")},
    ),
    "atprompt cocoop": (ATPrompt(CoCoOp(3, ""), ("habitat",)), "", {}),
    "atprompt and dept": (Dept(ATPrompt(CoOp(2), ("color", "habitat", "growth"))), "", {}),
    "atprompt, maple": (ATPrompt(Maple(3, 2, ""), n_ctx_attribute=2), "", {}),
    "vpt": (Vpt(3, 2), "", {}),
    "language": (Language(2, 2), "", {}),
    "language, one layer": (Language(3, 1), "", {}),
    "language, other words": (Language(2, 2, "one of the many"), "", {"words": "one of the many"}),
    "ivlp": (Ivlp(2, 2, 3, 1), "", {}),
    "promptsrc": (PromptSrc(5, 2, 1, 2, words=""), "", {}),
    "maple": (Maple(2, 2), "maple", {}),
    "maple, one layer": (Maple(4, 1), "maple", {}),
    "dapt": (Dapt(Maple(3, 2)), "", {}),
    "dapt as released": (Dapt(Maple(3, 2), compat="release"), "dapt", {"compat": "release"}),
    "mmrl": (Mmrl(3, 20, (2,)), "", {"layers": (2,), "alpha": 0.7}),
    "mmrlpp": (
        MmrlPlusPlus(3, 20, (1, 2), beta=0.3, rank=2, projection_rank=5),
        "",
        {"layers": (1, 2), "alpha": 0.7, "beta": 0.3},
    ),
    "coprompt": (CoPrompt(2, 2), "", {}),
    "coprompt, one layer of random tokens": (CoPrompt(5, 1, ""), "", {}),
    "hicropl": (
        HiCroPl(3, 2, 1, descriptions=str(DESCRIPTIONS)),
        "",
        {"descriptions": str(DESCRIPTIONS), "compat": "paper"},
    ),
    "hicropl, words": (
        HiCroPl(2, 2, 1, "a photo of a", str(DESCRIPTIONS)),
        "",
        {"descriptions": str(DESCRIPTIONS), "compat": "paper"},
    ),
    "hicropl as released": (
        HiCroPl(3, 2, 1, descriptions=str(DESCRIPTIONS), compat="release"),
        "",
        {"descriptions": str(DESCRIPTIONS), "compat": "release"},
    ),
    "restore": (Restore(2, 2, text_ratio=0.25, image_ratio=0.4), "", {}),
    "dpl": (Dpl(lengths_text=(1, 0, 3), lengths_image=(0, 2, 1, 0)), "", {}),
    "dpl, words": (
        Dpl(lengths_text=(1, 0, 3), lengths_image=(0, 2, 1, 0), sentence="template"),
        "",
        {"sentence": "template"},
    ),
}
#: Methods that save the learner only.
ALONE = ("coop", "cocoop", "kgcoop", "prograd", "tcp", "taskres", "atprompt co")


def trained_model(method, of, names=NAMES, seed=0):
    """A model whose learner has moved from its initial values."""
    model = TunedModel(of, method, names, generator=Generator().manual_seed(seed)).eval()
    with torch.no_grad():
        for number, parameter in enumerate(model.learner.parameters()):
            noise = torch.randn(parameter.shape, generator=Generator().manual_seed(number))
            parameter += 0.02 * noise
        if isinstance(model.learner, SurgeryLearner):
            model.learner.text.ratio += 0.1
    return model


def official_state(key, model):
    """The state dict as the authors' code would write it."""
    of, method = model.backbone, model.method
    tensors = {name: tensor.detach().clone() for name, tensor in official_names(model.learner).items()}
    tensors |= {name: tensor.double() for name, tensor in official_buffers(model.learner).items()}
    if key.startswith("dpl"):  # always twelve rows, empty ones beyond the towers' depth
        for tower, width in (("txt", of.text_width), ("img", of.image_width)):
            for i in range(12):
                tensors.setdefault(f"prompt_learner.ctx_{tower}_lst.{i}", torch.empty(0, width))
    attributes: tuple[str, ...] = next((a for m in nested_methods(method) if (a := getattr(m, "attributes", ()))), ())
    attribute_vectors = [tensors[f"prompt_learner.ctx_att{i}"] for i in range(1, len(attributes) + 1)]
    if attributes:  # always three, unused ones as at first
        for i in (1, 2, 3):
            tensors.setdefault(f"prompt_learner.ctx_att{i}", torch.ones_like(attribute_vectors[0]))
    sentences = []
    if CTX in tensors:
        words: str = next(vars(layer)["words"] for layer in nested_methods(method) if hasattr(layer, "words"))
        length = tensors[CTX].shape[-2]
        phrase = words if len(words.split()) >= length else " ".join(["X"] * length)
        after = getattr(method, "name_template", "") or "{}."
        for vectors in attribute_vectors:
            phrase = " ".join(["X"] * len(vectors)) + f" {{}} {phrase}"
        phrase = phrase.format(*attributes)
        sentences = [f"{phrase} {after.format(name)}" for name in model.classnames]
    alone = key.startswith(ALONE)
    found = state_dict(tensors, of, sentences, whole=not alone, attributes=len(attributes))
    if key.startswith("mmrl"):
        found = with_sentences(found, of, [model.templates[0].replace("{}", name) for name in model.classnames])
    if "kgcoop" in key:
        found = unused_tensors(found, of.embed_dim)
    if key == "taskres":
        found["prompt_learner.base_text_features"] = model.class_text.features(of)
    if key.startswith("coprompt"):
        found = second_tower(found, "model_distill.visual") | {"model_distill.logit_scale": found["logit_scale"]}
    if key.startswith("hicropl"):
        found = {**found, "prompt_learner.cross_prompts_text.0": found[CTX].clone()}
    if key.startswith(("promptsrc", "hicropl")):
        found = second_tower(found, "prompt_learner.ZS_image_encoder")
    if key.startswith("dpl"):
        found = second_tower(found, "prompt_learner.ZS_image")
    if key == "dapt":
        found = second_tower(found, "image_encoder_ori")
    return learner_alone(found) if alone else found


def import_checkpoint(path, of, method="", options=None, names=()):
    content = read_official(path)
    return rebuild_model(content, detect_method(content, method), of, options or {}, names)


def logits(model):
    with torch.no_grad():
        return model({"image": random_images(model.backbone)}).logits
