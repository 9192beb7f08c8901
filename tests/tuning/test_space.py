"""The search space: what can be written, and what is refused."""

import pytest

from cliptune import presets
from cliptune.errors import UserError
from cliptune.tuning.space import default_space, parse_space, setting


def run_of(method="coop", **options):
    from cliptune.config import with_options

    return with_options(presets.get(method, backbone="photo", data="folder:photos"), options)


def parsed(space, method="coop", **options):
    return [str(one) for one in parse_space(space, run_of(method, **options))]


@pytest.mark.parametrize(
    "word, expected",
    [
        ("lr=log:1e-4:1e-1", "lr=log:0.0001:0.1"),
        ("--weight-decay=0:0.01", "weight_decay=uniform:0:0.01"),
        ("momentum=uniform:0.5:0.9", "momentum=uniform:0.5:0.9"),
        ("batch-size=8:32", "batch_size=int:8:32"),
        ("n_ctx=2, 4,8", "n_ctx=2,4,8"),
        ("optimizer=sgd,adamw", "optimizer=sgd,adamw"),
        ("class_specific=true,false", "class_specific=true,false"),
    ],
)
def test_ranges_and_lists(word, expected):
    assert parsed([word], words="") == [expected]


def test_values_have_the_type_of_the_setting():
    space = parse_space({"lr": "0.1,0.2", "n_ctx": "2,4", "class_specific": "true,false"}, run_of(words=""))
    assert [one.values for one in space] == [(0.1, 0.2), (2, 4), (True, False)]
    assert space[1].value(space[1].parameter(4)) == 4 and space[1].contains(2) and not space[1].contains(3)
    assert parse_space(["depth=int:1:3"], run_of("maple"))[0].ends() == (1, 3)


def test_a_setting_of_a_wrapped_method():
    run = run_of("coop+dapt", words="")
    assert parsed(["n_ctx=2,4", "margin=log:0.5:3"], "coop+dapt", words="") == ["n_ctx=2,4", "margin=log:0.5:3"]
    assert setting(run, "margin") == run.method.margin and setting(run, "n_ctx") == run.method.base.n_ctx


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["lr"], "--space takes NAME=log:LOW:HIGH.*got 'lr'"),
        (["n_cxt=2,4"], "unknown setting 'n_cxt' in --space; nearest: n_ctx"),
        (["shots=2,4"], "shots is not searched: .* set it with --shots"),
        (["lr=log:0:1"], "must begin above 0"),
        (["lr=1:0.1"], "the smaller one first"),
        (["lr=log:a:b"], "is no range of numbers"),
        (["lr=int:1:2"], "takes decimals"),
        (["n_ctx=log:2:8"], "give a list"),
        (["n_ctx=2.5:8"], "takes whole numbers"),
        (["optimizer=1:2"], "optimizer is not a number"),
        (["lr=0.1"], "at least two different values; fix a value with --lr"),
        (["lr=0.1,0.1"], "at least two different values"),
        (["lr=0.1,high"], "lr='high' does not fit TrainConfig; it takes float"),
        (["lr=-1:1"], "lr must be positive"),
        (["optimizer=sgd,adma"], "optimizer='adma' does not fit TrainConfig"),
        (["n_ctx=2,4"], "n_ctx has no effect: .*words="),
        (["eps=log:1e-9:1e-7"], "eps has no effect: optimizer is sgd"),
        (["lr=0.1,0.2", "lr=log:0.1:1"], "lr twice"),
    ],
)
def test_refusals(words, sentence):
    with pytest.raises(UserError, match=sentence):
        parse_space(words, run_of())


def test_settings_of_several_values_and_methods_that_train_nothing():
    with pytest.raises(UserError, match="layers takes several values at once.*set it with --layers"):
        parse_space(["layers=1,2"], run_of("mmrl"))
    with pytest.raises(UserError, match="lr has no effect: the method trains nothing"):
        parse_space(["lr=0.1,0.2"], run_of("zeroshot"))
    with pytest.raises(UserError, match="no default space.*add --space"):
        default_space(run_of("zeroshot"))


def test_default_spaces_surround_the_preset():
    assert list(map(str, default_space(run_of()))) == ["lr=log:0.01:1"]
    space = {one.name: one for one in default_space(run_of("coop+dapt"))}
    assert list(space) == ["lr", "pull_push", "margin", "foreground", "background", "switch"]
    assert all(one.contains(setting(run_of("coop+dapt"), one.name)) for one in space.values())
    assert space["switch"].high <= 1, "narrower, as ten times the value is not allowed"
    assert [one.name for one in default_space(run_of("tip_adapter"))] == ["alpha", "beta"]
