"""A wrapper has everything of its base but what it overrides."""

from dataclasses import dataclass

import pytest

from cliptune.methods.coop import CoOp
from cliptune.model import method
from cliptune.model.method import Method
from cliptune.model.wrapper import Wrapper

#: A wrapper needs a base that trains; fields without effect are each method's own.
OWN = {"trains", "unused_fields"}
MEMBERS = sorted(name for name in vars(Method) if not name.startswith("_") and name not in OWN)


@dataclass(frozen=True)
class Plain(Wrapper):
    base: Method


@pytest.mark.parametrize("name", MEMBERS)
def test_every_member_is_delegated(name):
    assert name in vars(Wrapper)


@pytest.mark.parametrize("name", [name for name in MEMBERS if not callable(getattr(Method, name))])
def test_attributes_are_those_of_the_base(name):
    class Other(CoOp):
        pass

    mark = object()
    setattr(Other, name, mark)
    assert getattr(Plain(Plain(Other())), name) is mark


def test_the_earlier_import():
    assert method.Wrapper is Wrapper
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = method.Nothing
