"""Convert a checkpoint of the authors' code to a tuned model and the configuration of its run."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from cliptune import checks, methods
from cliptune.adapters.low_rank import LowRankTerms
from cliptune.backbones.backbone import Backbone
from cliptune.backbones.features import class_means
from cliptune.backbones.tokenized_text import name_templates
from cliptune.config import RunConfig, nested_methods, with_options
from cliptune.data.templates import read_table
from cliptune.errors import UserError
from cliptune.model.method import Method
from cliptune.model.teacher import TeacherModel
from cliptune.model.tuned_model import TunedModel
from cliptune.official.attributes import attribute_options, without_unused
from cliptune.official.checkpoint_file import OfficialCheckpoint
from cliptune.official.compatibility import check_class_features, check_compatible, decode_classname, suffix_tokens
from cliptune.official.detect import CLASSIFIER, CTX, TABLE, infer_sizes, layout_of
from cliptune.official.low_rank_file import named_by_module
from cliptune.official.sentences import read_sentences, warn_of_unseen
from cliptune.official.tensor_names import official_buffers, official_names
from cliptune.registry import nearest
from cliptune.user_warnings import warn_user

#: Returns a function that loads a method's teacher for a student's backbone, or None.
FindTeacher = Callable[[Method, Backbone], Callable[[], TeacherModel] | None]
#: The released code initialises from words only up to this number of vectors.
MAX_WORD_VECTORS = 4
DEFAULT_TEMPLATES = ("a photo of a {}.",)
DEFAULT_NAME_TEMPLATE = "{}."
#: Words that the released code of most methods initialises from.
RELEASED_WORDS = "a photo of a"
#: A class name for a test sentence, which shows the tokens around the name.
PROBE_NAME = "x"


def rebuild_model(
    saved: OfficialCheckpoint,
    name: str,
    backbone: Backbone,
    options: Mapping[str, Any],
    classnames: Sequence[str] = (),
    templates: Sequence[str] = DEFAULT_TEMPLATES,
    find_teacher: FindTeacher = lambda method, backbone: None,
) -> tuple[TunedModel, RunConfig]:
    """Rebuild the tuned model of a checkpoint, and a configuration of its run without the data, which are unknown.

    name: The method. options: Fields of the method that the tensors do not determine. classnames: By default, decoded
    from the sentences in the file. find_teacher: Returns the loader of a method's teacher on its backbone. Raises
    `UserError`.
    """
    for template in templates:
        checks.template("template", template)
    check_compatible(saved, backbone)
    method = methods.build(name)
    sizes = {key: value for key, value in infer_sizes(saved, backbone).items() if key in _field_names(method)}
    found = attribute_options(saved, backbone, options)
    method = _with_options(_with_options(method, sizes), {**options, **found})
    saved = without_unused(saved, found.get("attributes", ()))
    layout = layout_of(saved)
    for field, content in layout.needed if layout else ():
        if field not in options:
            raise UserError(f"{saved.path} does not contain {content}, which {name} needs to predict; set --{field}")
    if method.teacher_source() is not None and "teacher" not in options:
        raise UserError(
            f"{saved.path} does not contain its teacher, whose class features {name} needs: import the teacher's "
            f"checkpoint first, then name its run with --teacher"
        )
    tails = suffix_tokens(saved, backbone)
    method, templates = _fit_templates(saved, method, backbone, templates, tails or [])
    names: Sequence[str] = ()
    if CTX in saved.learned:  # else all sentences are fixed
        method, fixed = _fit_words(saved, method, backbone, "words" in options, tails)
        names = tuple(decode_classname(tail, fixed, backbone, _ending(method)) for tail in tails or ())
        if tails is not None and classnames and (saved.learned[CTX].ndim == 3 or CLASSIFIER in saved.learned):
            _check_class_order(saved, method, backbone, classnames, tails, names)
        if tails is not None and not classnames and _sentence_tails(method, backbone, names)[1] != tails:
            names = ()
    elif TABLE in saved.learned:
        templates, names = read_sentences(saved, backbone, templates, DEFAULT_TEMPLATES, _fits)
    unseen = [field for field in (layout.unseen if layout else ()) if field not in options]
    warn_of_unseen(saved, {field: getattr(method, field) for field in unseen})
    if not (classnames or names):
        raise UserError(
            f"{saved.path} does not contain its class names; list them in the order of training with --classes"
        )
    checks.classnames(classnames or names)
    try:
        teacher = find_teacher(method, backbone)
        model = TunedModel(backbone, method, classnames or names, templates, teacher=teacher)
    except UserError as error:
        raise UserError(f"{saved.path} does not fit backbone {backbone.name!r}: {error}") from None
    if isinstance(model.learner, LowRankTerms):
        saved = dataclasses.replace(saved, learned=named_by_module(saved.learned, model.learner))
    load_tensors(model, saved)
    if saved.class_features is not None:
        text = model.class_text
        check_class_features(saved, model.classnames, class_means(text.features(backbone), text.text))
    return model.eval(), RunConfig(method, data="")


@torch.no_grad()
def load_tensors(model: TunedModel, saved: OfficialCheckpoint) -> None:
    """Copy the learned tensors to the model. Raises `UserError` for missing or unexpected names and other shapes."""
    targets = official_names(model.learner) | official_buffers(model.learner)
    fit = f"{saved.path} does not fit {methods.name_of(model.method)} on {model.backbone.name!r}"
    for name in sorted(targets.keys() ^ saved.learned.keys()):
        raise UserError(f"{fit}: {name} is {'missing' if name in targets else 'unexpected'}")
    for name, target in targets.items():
        want, got = tuple(target.shape), tuple(saved.learned[name].shape)
        if want != got:
            raise UserError(f"{fit}: {name} is {got}, not {want}")
        target.copy_(saved.learned[name])


def _fit_words(
    saved: OfficialCheckpoint, method: Method, backbone: Backbone, chosen: bool, tails: list[list[int]] | None
) -> tuple[Method, list[int]]:
    """The method with the words of its sentences, and the fixed tokens before the name.

    Words beyond the learned vectors stay in the sentence ("v1 v2 of a cat."). The method's words are tried first, then
    no words; for a method without, the words of most released code come first if the file shows some. chosen: The user
    chose the words, so only these are tried. tails: Token ids after the context, per class. Raises `UserError` if no
    words fit.
    """
    own: str = next(getattr(layer, "words", "") for layer in nested_methods(method) if hasattr(layer, "words"))
    length, why = saved.learned[CTX].shape[-2], dict[str, str]()
    for words in (own,) if chosen else (own or RELEASED_WORDS, ""):
        if (
            words
            and not chosen
            and (length > MAX_WORD_VECTORS or len(backbone.prompt_tokenizer.word_ids(words)) < length)
        ):
            continue
        one = _with_options(method, {"words": words})
        vectors, (tail,) = _sentence_tails(one, backbone, [PROBE_NAME])
        fixed = tail[: len(tail) - len(backbone.prompt_tokenizer(f"{PROBE_NAME}{_ending(one)}")) + 1]
        if words != own and words and not (fixed and tails):
            continue
        if vectors != length:
            why[words] = f"they make {vectors} learned vectors, the file has {length}"
        elif tails is not None and any(tail[: len(fixed)] != fixed for tail in tails):
            text = backbone.tokenizer.decode(tails[0][:-1]).strip()
            why[words] = f"in the file, a sentence continues with {text!r} after the learned vectors"
        else:
            return one, fixed
    raise UserError(f"words={own!r} do not fit {saved.path}: {why[own if chosen else '']}")


def _fit_templates(
    saved: OfficialCheckpoint, method: Method, backbone: Backbone, templates: Sequence[str], tails: list[list[int]]
) -> tuple[Method, Sequence[str]]:
    """The method with the `name_template` of its table that fits all sentences, the longest first, and the dataset's
    templates that go with it, if none were chosen. A method without such a table stays as it is.

    tails: Token ids after the context, per class. Warns about a template of frozen features that is assumed.
    """
    table = list(read_table(method.template_table).values())
    if not table or not tails:
        return method, templates
    known = {name for row in table for name in name_templates(row)} | {DEFAULT_NAME_TEMPLATE}
    fits = (name for name in sorted(known, key=len, reverse=True) if _fits(name, backbone, tails))
    chosen = getattr(method, "name_template", "") or next(fits, DEFAULT_NAME_TEMPLATE)
    method = _with_options(method, {"name_template": chosen})
    if getattr(method, "template", "") or tuple(templates) != DEFAULT_TEMPLATES:
        return method, templates
    row = next((row for row in table if chosen in name_templates(row)), None)
    if row is None:
        warn_user(
            f"{saved.path} does not contain the template of its frozen class features, {DEFAULT_TEMPLATES[0]!r} is "
            f"assumed; set the field template for another, such as that of EuroSAT"
        )
    return method, row or templates


def _fits(name_template: str, backbone: Backbone, tails: list[list[int]]) -> bool:
    """Whether all sentences have the words of `name_template` around their names."""
    before, _, after = name_template.replace(" ", "").partition("{}")
    # Without spaces, since punctuation at the end of a name may be one token with that after it.
    texts = (backbone.tokenizer.decode(tail[:-1]).replace(" ", "") for tail in tails)
    return all(text.startswith(before) and text.endswith(after) for text in texts)


def _ending(method: Method) -> str:
    """The text after the name in the method's sentences."""
    layers = nested_methods(method)
    chosen = next((own for layer in layers if (own := getattr(layer, "name_template", ""))), DEFAULT_NAME_TEMPLATE)
    return chosen.partition("{}")[2]


def _check_class_order(
    saved: OfficialCheckpoint,
    method: Method,
    backbone: Backbone,
    classnames: Sequence[str],
    tails: list[list[int]],
    names: Sequence[str],
) -> None:
    """Raise `UserError` unless each name is the one that the context or the row of its class was learned for."""
    what = "a context" if saved.learned[CTX].ndim == 3 else "a row of its classifier"
    if len(classnames) != len(tails):
        raise UserError(f"{saved.path} has {what} for each of {len(tails)} classes, got {len(classnames)} names")
    for chosen, recorded, name, tail in zip(
        classnames, tails, names, _sentence_tails(method, backbone, classnames)[1], strict=True
    ):
        if recorded != tail:
            raise UserError(
                f"{saved.path} has {what} for each class, and its class {name!r} is at the position of {chosen!r}; "
                f"list the names in the order of training, or leave --classes out"
            )


def _sentence_tails(method: Method, backbone: Backbone, names: Sequence[str]) -> tuple[int, list[list[int]]]:
    """The number of learned vectors in the method's sentences, and the token ids after them for each name, which is at
    the end, as in the files."""
    if "position" in _field_names(method):
        method = _with_options(method, {"position": "end"})
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # about words that are several tokens
        sentences = method.class_prompts(backbone, names, DEFAULT_TEMPLATES)
    start, ends = sentences.context_start, sentences.pool_index.tolist()
    vectors = int((sentences.slots[0, start:] >= 0).sum())
    return vectors, [ids[start + vectors : 1 + end] for ids, end in zip(sentences.ids.tolist(), ends, strict=True)]


def _field_names(method: Method) -> set[str]:
    names = {field.name for layer in nested_methods(method) for field in dataclasses.fields(layer)}  # type: ignore[arg-type]
    return names - {"base"}


def _with_options(method: Method, options: Mapping[str, Any]) -> Method:
    """The method with fields replaced by name, also those of its base. Raises `UserError` for an unknown name."""
    names = sorted(_field_names(method))
    for key in options.keys() - {*names}:
        raise UserError(f"unknown option {key!r} for {methods.name_of(method)}; {nearest(key, names)}")
    return with_options(RunConfig(method), options).method
