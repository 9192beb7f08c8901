"""The template and the class names of the sentences in a checkpoint whose method learns nothing in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cliptune.backbones.backbone import Backbone
from cliptune.backbones.tokenized_text import format_template
from cliptune.data import public
from cliptune.official.checkpoint_file import OfficialCheckpoint
from cliptune.official.compatibility import decode_classname, sentence_tokens
from cliptune.user_warnings import warn_user


def read_sentences(
    saved: OfficialCheckpoint,
    backbone: Backbone,
    chosen: Sequence[str],
    default: Sequence[str],
    fits: Callable[[str, Backbone, list[list[int]]], bool],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The dataset's templates and the class names of the sentences, () for names that cannot be decoded.

    chosen: The user's templates. default: The templates if the user chose none; those of the public datasets are then
    compared with the sentences, the longest first. fits: Whether all sentences have the words of a template. Warns
    about a template that is assumed.
    """
    rows = sentence_tokens(saved, backbone)
    known = {template for spec in public.specs().values() for template in spec.templates}
    candidates = sorted(known, key=len, reverse=True) if tuple(chosen) == tuple(default) else list(chosen)[:1]
    template = next((one for one in candidates if rows and fits(one, backbone, rows)), None)
    if rows is None or template is None:
        if tuple(chosen) == tuple(default):
            warn_user(
                f"{saved.path} does not show the template of its dataset, {default[0]!r} is assumed; choose another "
                f"with --templates"
            )
        return tuple(chosen), ()
    before, _, after = template.partition("{}")
    fixed = backbone.prompt_tokenizer.word_ids(before.strip()) if before.strip() else []
    names = tuple(decode_classname(row, fixed, backbone, after) for row in rows)
    encoded = [backbone.prompt_tokenizer(format_template(template, name))[1:] for name in names]
    return (template,), names if encoded == rows else ()


def warn_of_unseen(saved: OfficialCheckpoint, fields: dict[str, object]) -> None:
    """Warn about fields that are assumed since the file does not show them."""
    if fields:
        values = ", ".join(f"{name}={value!r}" for name, value in fields.items())
        warn_user(
            f"{saved.path} does not show {' and '.join(fields)}: {values} assumed; set those that differ in its run"
        )
