"""From a checkpoint of the authors' code to a tuned model and its run."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from cliptune import checks, methods
from cliptune.backbones.backbone import Backbone
from cliptune.config import RunConfig, nested_methods, with_options
from cliptune.errors import UserError
from cliptune.model.method import Method
from cliptune.model.tuned_model import TunedModel
from cliptune.official.checkpoint_file import OfficialCheckpoint
from cliptune.official.compatibility import check_compatible, decode_classname, suffix_tokens
from cliptune.official.detect import CTX, infer_sizes
from cliptune.official.tensor_names import official_buffers, official_names
from cliptune.registry import nearest

#: The releases that keep a length start from words only up to this many vectors.
MAX_WORD_VECTORS = 4
DEFAULT_TEMPLATES = ("a photo of a {}.",)
#: A class name to make a sentence with, to see what else stands in it.
PROBE_NAME = "x"


def rebuild_model(
    held: OfficialCheckpoint,
    name: str,
    backbone: Backbone,
    options: Mapping[str, Any],
    classnames: Sequence[str] = (),
    templates: Sequence[str] = DEFAULT_TEMPLATES,
) -> tuple[TunedModel, RunConfig]:
    """The tuned model that `held` was saved from, and a run that says what it is; the run's data stay unknown.

    name: its method. options: fields of the method that tensors do not tell. classnames: left out, they are read from
    the sentences in the file. Raises `UserError`.
    """
    for template in templates:
        checks.template("template", template)
    check_compatible(held, backbone)
    method = methods.build(name)
    told = {key: value for key, value in infer_sizes(held, backbone).items() if key in _field_names(method)}
    method = _with_options(_with_options(method, told), options)
    kept = suffix_tokens(held, backbone)
    names: Sequence[str] = ()
    if CTX in held.learned:  # else no sentence has anything learned in it
        method, fixed = _fit_words(held, method, backbone, "words" in options, kept)
        names = tuple(decode_classname(tail, fixed, backbone) for tail in kept or ())
        if kept is not None and classnames and held.learned[CTX].ndim == 3:
            _check_class_order(held, method, backbone, classnames, kept, names)
        if kept is not None and not classnames and _sentence_tails(method, backbone, names)[1] != kept:
            names = ()
    if not (classnames or names):
        raise UserError(f"{held.path} does not say its class names; give them in the order of training with --classes")
    checks.classnames(classnames or names)
    try:
        model = TunedModel(backbone, method, classnames or names, templates)
    except UserError as error:
        raise UserError(f"{held.path} does not fit backbone {backbone.name!r}: {error}") from None
    load_tensors(model, held)
    return model.eval(), RunConfig(method, data="")


@torch.no_grad()
def load_tensors(model: TunedModel, held: OfficialCheckpoint) -> None:
    """Put what was learned in its place. Raises `UserError` unless every tensor finds one of its shape."""
    places = official_names(model.learner) | official_buffers(model.learner)
    where = f"{methods.name_of(model.method)} on {model.backbone.name!r}"
    for name in sorted(places.keys() ^ held.learned.keys()):
        raise UserError(f"{held.path} does not fit {where}: it {'lacks' if name in places else 'also holds'} {name}")
    for name, place in places.items():
        want, got = tuple(place.shape), tuple(held.learned[name].shape)
        if want != got:
            raise UserError(f"{held.path} does not fit {where}: {name} is {got}, not {want}")
        place.copy_(held.learned[name])


def _fit_words(
    held: OfficialCheckpoint, method: Method, backbone: Backbone, given: bool, kept: list[list[int]] | None
) -> tuple[Method, list[int]]:
    """The method with the words its sentences were made with, and the tokens that they leave in front of the name.

    Words beyond the learned vectors stay ("v1 v2 of a cat."), so they count. The method's own are tried, then none,
    unless the user gave them. Raises `UserError` if they do not fit.
    """
    own: str = next(getattr(layer, "words", "") for layer in nested_methods(method) if hasattr(layer, "words"))
    length, why = held.learned[CTX].shape[-2], ""
    for words in (own,) if given else dict.fromkeys((own, "")):
        if (
            words
            and not given
            and (length > MAX_WORD_VECTORS or len(backbone.prompt_tokenizer.word_ids(words)) < length)
        ):
            continue
        one = _with_options(method, {"words": words})
        vectors, (tail,) = _sentence_tails(one, backbone, [PROBE_NAME])
        fixed = tail[: len(tail) - len(backbone.prompt_tokenizer(f"{PROBE_NAME}.")) + 1]
        if vectors != length:
            why = f"they make {vectors} learned vectors, the file has {length}"
        elif kept is not None and any(tail[: len(fixed)] != fixed for tail in kept):
            said = backbone.tokenizer.decode(kept[0][:-1]).strip()
            why = f"a sentence there goes on with {said!r} after the learned vectors"
        else:
            return one, fixed
    raise UserError(f"words={own!r} do not fit {held.path}: {why}")


def _check_class_order(
    held: OfficialCheckpoint,
    method: Method,
    backbone: Backbone,
    classnames: Sequence[str],
    kept: list[list[int]],
    names: Sequence[str],
) -> None:
    """Raise `UserError` unless the names are those that the contexts of their own were learned for."""
    if len(classnames) != len(kept):
        raise UserError(f"{held.path} has a context for each of {len(kept)} classes, got {len(classnames)} names")
    for given, there, name, tail in zip(
        classnames, kept, names, _sentence_tails(method, backbone, classnames)[1], strict=True
    ):
        if there != tail:
            raise UserError(
                f"{held.path} has a context for each class, and that of {given!r} stands where it keeps {name!r}; give "
                f"the names in the order of training, or leave --classes out"
            )


def _sentence_tails(method: Method, backbone: Backbone, names: Sequence[str]) -> tuple[int, list[list[int]]]:
    """The number of learned vectors in the method's sentences, and for each name the token ids after them, the name
    standing at the end as it does in files."""
    if "position" in _field_names(method):
        method = _with_options(method, {"position": "end"})
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of words that are not tokens
        sentences = method.class_prompts(backbone, names, DEFAULT_TEMPLATES)
    vectors = int(sentences.slots.max()) + 1
    ends = sentences.pool_index.tolist()
    return vectors, [ids[1 + vectors : 1 + end] for ids, end in zip(sentences.ids.tolist(), ends, strict=True)]


def _field_names(method: Method) -> set[str]:
    names = {field.name for layer in nested_methods(method) for field in dataclasses.fields(layer)}  # type: ignore[arg-type]
    return names - {"base"}


def _with_options(method: Method, options: Mapping[str, Any]) -> Method:
    """The method, or the one inside it, with fields by name. Raises `UserError` for one that it does not have."""
    names = sorted(_field_names(method))
    for key in options.keys() - {*names}:
        raise UserError(f"unknown option {key!r} for {methods.name_of(method)}; {nearest(key, names)}")
    return with_options(RunConfig(method), options).method
