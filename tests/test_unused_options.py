"""Options without effect are refused with the reason; options with an effect pass."""

import warnings

import pytest

from cliptune import methods, unused_options
from cliptune.config import RunConfig, with_options
from cliptune.errors import UserError


@pytest.mark.parametrize(
    "method, options, named",
    [
        ("coop", {"words": "a photo of a", "n_ctx": 9}, "n_ctx"),
        ("coop", {"words": "a photo of a", "class_specific": True}, "class_specific"),
        ("cocoop", {"n_ctx": 9}, "n_ctx"),
        ("kgcoop", {"n_ctx": 9}, "n_ctx"),
        ("zeroshot", {"ensemble": "eighty", "template": "a {}."}, "template"),
        ("tip_adapter", {"search": True, "alpha": 2.0}, "alpha"),
        ("tip_adapter_f", {"search": True, "beta": 2.0}, "beta"),
        ("restore", {"shift_weight": 0.0, "shift": "norms"}, "shift"),
        ("dpl", {"lengths_text": (1,), "search_lr": 1.0}, "search_lr"),
        ("dpl", {"lengths_text": (1,), "words": "a sketch of a"}, "words"),
        ("maple+dapt", {"compat": "release", "switch": 0.5}, "switch"),
        ("maple+copypaste", {"instead": True, "pasted": 2.0}, "pasted"),
        ("coop+dapt", {"words": "a photo of a", "n_ctx": 9}, "n_ctx"),
        ("coop", {"optimizer": "adamw", "momentum": 0.5}, "momentum"),
        ("coop", {"optimizer": "adam", "momentum": 0.5}, "momentum"),
        ("coop", {"eps": 1e-3}, "eps"),
        ("coop", {"augment": "flip", "crop_scale": 0.5}, "crop_scale"),
        ("coop", {"steps": 100, "epochs": 3}, "epochs"),
        ("coop", {"steps_per_shot": 100, "epochs": 3}, "epochs"),
        ("coop", {"warmup_epochs": 0, "warmup_lr": 0.1}, "warmup_lr"),
        ("coop", {"selector": "herding"}, "selector"),
        ("coop", {"joint": True}, "joint"),
        ("coop", {"evaluate_at": (11,)}, "evaluate_at"),
        ("coop", {"image_column": "x"}, "image_column"),
    ],
)
def test_options_without_effect_are_refused(method, options, named):
    run = with_options(RunConfig(methods.build(method)), options)
    with pytest.raises(UserError, match=f"^{named} has no effect: "):
        unused_options.check_unused_options([run], [named])
    unused_options.check_unused_options([run], [name for name in options if name != named])


@pytest.mark.parametrize(
    "method, options",
    [
        ("coop", {"words": "a photo of a", "n_ctx": 4}),
        ("coop", {"words": "", "n_ctx": 9, "class_specific": True}),
        ("dpl", {"search_lr": 1.0, "words": "a sketch of a", "evaluate_at": (85,)}),
        ("maple+dapt", {"switch": 0.5, "n_ctx": 3}),
        ("coop", {"fraction": 0.5, "selector": "herding"}),
        ("coop", {"protocol": "base_to_novel", "joint": True, "evaluate_at": (10,)}),
        ("coop", {"data": "csv:x", "image_column": "x"}),
        ("coop", {"optimizer": "adam", "eps": 1e-3, "schedule": "step", "min_lr": 1e-4, "crop_scale": 0.5}),
        ("coop", {"steps": 100, "evaluate_at": (99,)}),
    ],
)
def test_options_with_an_effect_pass(method, options):
    unused_options.check_unused_options([with_options(RunConfig(methods.build(method)), options)], options)


def test_an_option_of_a_sweep_must_affect_one_of_its_runs():
    runs = [with_options(RunConfig(methods.build(name)), {"lr": 0.1}) for name in ("zeroshot", "coop")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        unused_options.check_unused_options(runs, ["lr"])
    with pytest.warns(UserWarning, match="lr has no effect: zeroshot trains nothing"):
        unused_options.check_unused_options(runs[:1], ["lr"])
    mixed = [with_options(RunConfig(methods.build(name)), {"n_ctx": 9}) for name in ("cocoop", "maple")]
    with pytest.warns(UserWarning, match="n_ctx has no effect on cocoop: 'a photo of a' starts one vector per word"):
        unused_options.check_unused_options(mixed, ["n_ctx"])
