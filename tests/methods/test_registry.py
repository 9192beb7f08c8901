"""Methods by name: files, wrappers, and third-party classes."""

import inspect
from dataclasses import FrozenInstanceError, fields

import pytest
from torch import Generator

from cliptune import methods
from cliptune.errors import UserError
from cliptune.model.method import Method

WRAPPERS = methods.wrapper_names()
PLAIN = [name for name in methods.names() if name not in WRAPPERS]
TRAINED = [name for name in PLAIN if methods.get(name).trains]


def test_the_first_methods_are_there():
    assert {"zeroshot", "coop", "maple"} <= set(PLAIN) and "dapt" in WRAPPERS


@pytest.mark.parametrize("name", [name for name in PLAIN if "words" in {f.name for f in fields(methods.get(name))}])
def test_words_may_be_separated_by_underscores(name):
    """In the form of the research scripts: --words a_photo_of_a."""
    cls = methods.get(name)
    assert cls(words="a_photo_of_a") == cls(words="a photo of a") == cls(words=" a photo  of_a ")
    assert cls(words="a_photo_of_a").words == "a photo of a"


@pytest.mark.filterwarnings("ignore:.* words but 0 tokens")
def test_words_without_tokens_are_refused(tiny_backbone):
    """For example words that the tokenizer removes as a terminal's colour code."""
    with pytest.raises(UserError, match="the words .* have 0 tokens .*, fewer than 1; use others"):
        methods.get("coop")(words="\x1b[31m").learner(tiny_backbone, ["cat", "dog"], Generator())


@pytest.mark.parametrize("name", methods.names())
def test_a_method_is_a_frozen_dataclass_that_cites_its_paper(name):
    cls = methods.get(name)
    assert issubclass(cls, Method) and not inspect.isabstract(cls)
    assert cls.__doc__ and "http" in cls.__doc__ and "Checked against" in cls.__doc__
    method = cls()
    with pytest.raises(FrozenInstanceError):
        setattr(method, fields(cls)[0].name, None)
    assert method == cls()


@pytest.mark.parametrize("name", [*PLAIN, *(f"{inner}+{outer}" for inner in TRAINED for outer in WRAPPERS)])
def test_a_name_builds_the_method_of_that_name(name):
    assert methods.name_of(methods.build(name)) == name


def test_wrapping_puts_the_first_inside():
    for outer in WRAPPERS:
        for inner in TRAINED:
            built = methods.build(f"{inner}+{outer}")
            assert type(built) is methods.get(outer) and type(built.base) is methods.get(inner)


@pytest.mark.parametrize(
    "name, nearest",
    [("mapel", "maple"), ("cop", "coop"), ("zero-shot", "zeroshot"), ("DAPT", "known"), ("xyz", "known")],
)
def test_an_unknown_name_shows_the_nearest(name, nearest):
    with pytest.raises(UserError, match=f"unknown method '{name}'; .*{nearest}"):
        methods.build(name)


@pytest.mark.parametrize("name", ["maple+coop", "coop+zeroshot"])
def test_only_wrappers_can_wrap(name):
    reason = f"does not wrap other methods, so '{name.replace('+', '.')}' has no meaning; wrappers: "
    with pytest.raises(UserError, match=reason + ", ".join(WRAPPERS)):
        methods.build(name)


@pytest.mark.parametrize("inner", ["zeroshot", "tip_adapter"])
@pytest.mark.parametrize("outer", WRAPPERS)
def test_a_wrapper_needs_a_trainable_method(inner, outer):
    for make in (lambda: methods.build(f"{inner}+{outer}"), lambda: methods.get(outer)(base=methods.get(inner)())):
        with pytest.raises(UserError) as error:
            make()
        names = methods.get(outer).__name__, methods.get(inner).__name__
        assert "{} around {} has no meaning: its losses would change nothing".format(*names) in str(error.value)


@pytest.mark.parametrize(
    "name, reason",
    [
        ("no_such_package.mine:Mine", "cannot be imported: No module named 'no_such_package'"),
        ("cliptune.types:Mine", "cannot be imported: module 'cliptune.types' has no attribute 'Mine'"),
        ("cliptune.types:Task", "is not a subclass of cliptune.model.method.Method"),
        ("math:pi", "is not a subclass"),
    ],
)
def test_invalid_third_party_classes_are_refused(name, reason):
    with pytest.raises(UserError, match=f"{name}' .*{reason}|{name}' {reason}"):
        methods.build(name)


def test_a_third_party_class_has_its_path_as_name():
    method = methods.build("cliptune.methods.coop:CoOp")
    assert type(method) is methods.get("coop")
