"""Presets hold the settings that the papers and their code publish."""

from pathlib import Path

import pytest

from cliptune import methods, presets

FILES = sorted(Path(presets.__file__).parent.glob("*/*.yaml"))
LARGE = {"backbone": "ViT-B-16", "pretrained": "openai"}


def published(name, protocol, **more):
    return presets.get(name, protocol=protocol, **{**LARGE, **more})


@pytest.mark.parametrize("shots, epochs", [(1, 50), (2, 100), (4, 100), (8, 200), (16, 200), (0, 200)])
def test_coop_few_shot(shots, epochs):
    run = published("coop", "few_shot", shots=shots)
    training = run.training
    assert (training.lr, training.epochs, training.batch_size, training.keep) == (2e-3, epochs, 32, "last")
    assert (run.method.n_ctx, run.method.words, run.method.class_specific) == (16, "", False)


def test_coop_base_to_novel():
    run = published("coop", "base_to_novel")
    assert (run.training.lr, run.training.epochs, run.training.batch_size) == (2e-3, 200, 32)
    assert run.method.words == "a photo of a" and run.method.length == 4


@pytest.mark.parametrize("protocol", ["base_to_novel", "cross_dataset", "domain_generalization"])
def test_cocoop(protocol):
    run = published("cocoop", protocol)
    assert (run.training.lr, run.training.epochs, run.training.batch_size) == (2e-3, 10, 1)
    assert (run.method.n_ctx, run.method.words) == (4, "a photo of a")


@pytest.mark.parametrize(
    "name, protocol, shots, epochs, batch, fields",
    [
        ("kgcoop", "base_to_novel", 16, 100, 128, {"weight": 8.0, "words": "a photo of a"}),
        ("kgcoop", "cross_dataset", 16, 2, 4, {"weight": 1.0, "words": "a photo of a"}),
        ("prograd", "base_to_novel", 16, 10, 4, {"n_ctx": 16, "words": "", "temperature": 1.0, "lam": 1.0}),
        ("prograd", "few_shot", 1, 50, 32, {"n_ctx": 16, "words": "a photo of a"}),
        ("prograd", "few_shot", 16, 200, 32, {"n_ctx": 16, "words": "a photo of a"}),
        ("prograd", "domain_generalization", 16, 2, 4, {"n_ctx": 16, "words": ""}),
    ],
)
def test_methods_with_a_teacher(name, protocol, shots, epochs, batch, fields):
    run = published(name, protocol, shots=shots)
    assert (run.training.lr, run.training.epochs, run.training.batch_size) == (2e-3, epochs, batch)
    assert {key: getattr(run.method, key) for key in fields} == fields


@pytest.mark.parametrize("protocol", ["cross_dataset", "domain_generalization"])
def test_coop_on_imagenet(protocol):
    run = published("coop", protocol, data="imagenet")
    assert (run.training.lr, run.training.epochs, run.training.batch_size) == (2e-3, 50, 32)
    assert run.method.words == "a photo of a"


@pytest.mark.parametrize(
    "protocol, epochs, lr, depth",
    [
        ("base_to_novel", 5, 3.5e-3, 9),
        ("few_shot", 50, 3.5e-3, 9),
        ("cross_dataset", 2, 2.6e-3, 3),
        ("domain_generalization", 2, 2.6e-3, 3),
    ],
)
def test_maple(protocol, epochs, lr, depth):
    run = published("maple", protocol)
    assert (run.training.lr, run.training.epochs, run.training.batch_size) == (lr, epochs, 4)
    assert (run.method.n_ctx, run.method.depth, run.method.words) == (2, depth, "a photo of a")


@pytest.mark.parametrize("protocol, epochs, lr", [("few_shot", 40, 3.5e-3), ("cross_dataset", 2, 2.6e-3)])
def test_dpl(protocol, epochs, lr):
    run = published("dpl", protocol)
    assert (run.training.epochs, run.training.lr, run.method.search_epochs) == (epochs, lr, 80)


@pytest.mark.parametrize("name", ["coop", "promptsrc", "maple", "tip_adapter_f"])
def test_data_efficient_uses_the_settings_of_many_shots(name):
    run = published(name, "data_efficient", shots=0)
    few = published(name, "few_shot", shots=16)
    assert (run.method, run.training) == (few.method, few.training)


@pytest.mark.parametrize(
    "name, lr, tokens",
    [
        ("vpt", 2.5e-3, {"n_ctx": 8, "depth": 12, "template": "a photo of a {}."}),
        ("language", 2.5e-3, {"n_ctx": 4, "depth": 12}),
        ("ivlp", 3.5e-3, {"n_ctx_text": 2, "depth_text": 12, "n_ctx_image": 2, "depth_image": 12}),
    ],
)
def test_independent_prompts(name, lr, tokens):
    run = published(name, "base_to_novel")
    assert (run.training.lr, run.training.epochs, run.training.batch_size) == (lr, 5, 4)
    assert {key: getattr(run.method, key) for key in tokens} == tokens


@pytest.mark.parametrize(
    "protocol, epochs, depth, mean, std",
    [
        ("base_to_novel", 20, 9, 15, 1),
        ("few_shot", 50, 9, 30, 30),
        ("cross_dataset", 20, 3, 6, 10),
        ("domain_generalization", 20, 3, 6, 10),
    ],
)
def test_promptsrc(protocol, epochs, depth, mean, std):
    run = published("promptsrc", protocol)
    method = run.method
    assert (run.training.lr, run.training.epochs, run.training.batch_size) == (2.5e-3, epochs, 4)
    assert (method.n_ctx_text, method.n_ctx_image, method.depth_text, method.depth_image) == (4, 4, depth, depth)
    assert (method.aggregate_mean, method.aggregate_std) == (mean, std)
    assert (method.text_weight, method.image_weight, method.words) == (25, 10, "a photo of a")


@pytest.mark.parametrize(
    "name, optimizer, lr, epochs, batch",
    [("clip_adapter", "sgd", 2e-3, 200, 32), ("tip_adapter_f", "adamw", 1e-3, 20, 256)],
)
def test_adapters(name, optimizer, lr, epochs, batch):
    training = published(name, "few_shot").training
    assert (training.optimizer, training.lr, training.epochs, training.batch_size) == (optimizer, lr, epochs, batch)
    method = methods.build(name)
    wanted = {"ratio": 0.2, "reduction": 4, "text_ratio": 0.0, "alpha": 1.0, "beta": 5.5, "crops": 10}
    assert {key: getattr(method, key) for key in wanted if hasattr(method, key)}.items() <= wanted.items()


@pytest.mark.parametrize(
    "protocol, epochs, image_ratio",
    [("base_to_novel", 10, 0.1), ("few_shot", 10, 0.1), ("cross_dataset", 2, 0.01), ("domain_generalization", 2, 0.01)],
)
def test_restore(protocol, epochs, image_ratio):
    run = published("restore", protocol)
    method = run.method
    assert (run.training.lr, run.training.epochs, run.training.batch_size) == (3.5e-3, epochs, 4)
    assert (method.n_ctx, method.depth, method.words) == (2, 9, "a photo of a")
    assert (method.image_ratio, method.text_ratio, method.shift_weight) == (image_ratio, 0.1, 1)
    assert (method.text_growth, method.image_growth, method.shift) == (0.02, 0.005, "norms")


@pytest.mark.parametrize(
    "dataset, image_ratio, text_ratio, weight",
    [
        ("caltech101", 0.1, 0.1, 1),
        ("oxford_pets", 0.01, 0.1, 1),
        ("eurosat", 0.01, 0.1, 1),
        ("sun397", 0.05, 0.05, 1),
        ("imagenet", 0.05, 0.05, 1),
        ("dtd", 0.15, 0.1, 0.5),
    ],
)
def test_restore_has_ratios_per_dataset(dataset, image_ratio, text_ratio, weight):
    plain = published("restore", "base_to_novel", data=f"{dataset}:somewhere")
    for name in ("restore", "restore+dapt"):
        run = published(name, "base_to_novel", data=f"{dataset}:somewhere", preset="per_dataset")
        method = run.method if name == "restore" else run.method.base
        assert (method.image_ratio, method.text_ratio, method.shift_weight) == (image_ratio, text_ratio, weight)
        assert (method.depth, method.shift) == (9, "norms"), "laid over the protocol's"
    assert plain.method.image_ratio == plain.method.text_ratio == 0.1, "never unasked"
    assert plain.training == published("restore", "base_to_novel", preset="per_dataset").training


@pytest.mark.parametrize(
    "name, protocol, dataset, lr, epochs, batch, weight",
    [
        ("mmrl", "base_to_novel", "dtd", 1e-3, 10, 4, 1.0),
        ("mmrl", "base_to_novel", "imagenet", 1e-3, 5, 32, 1.0),
        ("mmrl", "few_shot", "dtd", 1e-3, 50, 32, 0.5),
        ("mmrl", "cross_dataset", "imagenet", 1e-3, 1, 32, 0.2),
        ("mmrlpp", "base_to_novel", "dtd", 1e-3, 10, 4, 1.0),
        ("mmrlpp", "few_shot", "dtd", 2e-3, 100, 32, 1.0),
        ("mmrlpp", "few_shot", "imagenet", 1e-3, 5, 32, 1.0),
        ("mmrlpp", "domain_generalization", "imagenet", 1e-3, 1, 32, 0.1),
    ],
)
def test_mmrl(name, protocol, dataset, lr, epochs, batch, weight):
    run = published(name, protocol, data=dataset)
    training, method = run.training, run.method
    assert (training.optimizer, training.weight_decay, training.crop_scale) == ("adamw", 5e-4, 0.5)
    assert (training.lr, training.epochs, training.batch_size) == (lr, epochs, batch)
    assert training.warmup_epochs == (protocol in ("base_to_novel", "few_shot"))
    assert (method.n_ctx, method.table_width, method.alpha, method.weight) == (5, 512, 0.7, weight)
    assert method.compat == ("release" if protocol == "domain_generalization" else "paper")
    assert getattr(method, "beta", 0.9) == 0.9


@pytest.mark.parametrize(
    "name, dataset, fields",
    [
        ("mmrl", "stanford_cars", {"weight": 7.0, "table_width": 512}),
        ("mmrl", "eurosat", {"weight": 0.01, "table_width": 2048}),
        ("mmrlpp", "eurosat", {"weight": 0.01, "beta": 0.2, "table_width": 512}),
        ("mmrlpp", "ucf101", {"weight": 3.0, "beta": 0.9}),
    ],
)
def test_mmrl_has_settings_per_dataset(name, dataset, fields):
    run = published(name, "base_to_novel", data=dataset, preset="per_dataset")
    assert {key: getattr(run.method, key) for key in fields} == fields


@pytest.mark.parametrize(
    "protocol, lr, epochs, batch, keep",
    [
        ("base_to_novel", 3.5e-3, 5, 1, "last"),
        ("few_shot", 3.5e-3, 10, 4, "best"),
        ("data_efficient", 3.5e-3, 10, 4, "best"),
        ("cross_dataset", 2.6e-3, 10, 4, "best"),
    ],
)
def test_dapt_around_maple(protocol, lr, epochs, batch, keep):
    run = published("maple+dapt", protocol)
    training, method = run.training, run.method
    assert (training.lr, training.epochs, training.batch_size, training.keep) == (lr, epochs, batch, keep)
    assert (method.pull_push, method.margin, method.foreground, method.background) == (0.8, 1.5, 0.1, 0.5)
    assert (method.base.n_ctx, method.base.depth) == (2, 3 if protocol == "cross_dataset" else 9)


def test_all_prompt_methods_use_the_same_optimiser():
    for file in FILES:
        if file.stem != "tiny" and file.parent.name not in methods.wrapper_names():
            training = published(file.parent.name, file.stem).training
            if training.optimizer == "adamw":
                continue
            assert (training.momentum, training.weight_decay) == (0.9, 5e-4)
            assert (training.warmup_epochs, training.warmup_lr) == (1, 1e-5)
            whole = file.parent.name == "coprompt" and file.stem != "per_dataset"  # which goes on top of the others
            assert training.augment == ("randaugment" if whole else "crop")


@pytest.mark.parametrize("protocol", ["base_to_novel", "few_shot", "cross_dataset", "domain_generalization"])
def test_tcp(protocol):
    run = published("tcp", protocol)
    training = run.training
    assert (training.optimizer, training.eps, training.lr, training.epochs) == ("adam", 1e-3, 2e-3, 50)
    assert (training.batch_size, training.weight_decay, training.warmup_epochs) == (32, 5e-4, 1)
    assert (run.method.n_ctx, run.method.words, run.method.block, run.method.weight) == (4, "", 8, 8.0)


@pytest.mark.parametrize("shots, epochs", [(1, 100), (4, 100), (8, 200), (16, 200)])
def test_taskres(shots, epochs):
    run = published("taskres", "few_shot", shots=shots, data="dtd")
    assert (run.training.optimizer, run.training.lr, run.training.batch_size) == ("adam", 2e-3, 256)
    assert run.training.epochs == epochs and run.method.alpha == 0.5
    assert published("taskres", "few_shot", data="oxford_flowers").method.alpha == 1.0
    assert published("taskres", "few_shot", data="imagenet").training.lr == 2e-4
