"""Runs of different settings have different labels, and methods are ordered."""

from cliptune.results.labels import label_methods, method_order, natural_sort_key, num_shots


def test_equal_settings_keep_the_name(record):
    results = [record(seed=1), record(seed=2, config={"device": "cpu", "devices": 2})]
    assert label_methods(results) == results


def test_what_differs_is_named(record):
    results = [record(seed=s, config={"method": {"name": "coop", "n_ctx": n}}) for n in (4, 16) for s in (1, 2)]
    names = [r.method for r in label_methods(results)]
    assert names == ["coop (n_ctx=4)"] * 2 + ["coop (n_ctx=16)"] * 2
    assert label_methods(label_methods(results)) == label_methods(results)


def test_keys_of_the_same_last_name_are_named_in_full(record):
    configs = [{"method": {"lr": a}, "training": {"lr": b}} for a, b in ((1, 2), (3, 4))]
    names = [r.method for r in label_methods([record(seed=i, config=c) for i, c in enumerate(configs)])]
    assert names[0] == "coop (method.lr=1, training.lr=2)"


def test_a_missing_setting_differs_from_a_given_one(record):
    names = [r.method for r in label_methods([record(seed=1), record(seed=2, config={"protocol": "few_shot"})])]
    assert names == ["coop (protocol=default)", "coop (protocol=few_shot)"]


def test_settings_may_differ_between_data_and_shots(record):
    results = [
        record(shots=1, config={"training": {"epochs": 50}}),
        record(shots=16, config={"training": {"epochs": 200}}),
        record(data="pets", config={"training": {"epochs": 5}}),
    ]
    assert label_methods(results) == results


def test_untrained_methods_come_first_then_each_base_with_its_wrappers(record):
    names = ["maple+dapt", "vpt", "coop+dapt", "zeroshot", "maple", "coop"]
    results = [record(name, parameters=0.0 if name == "zeroshot" else 1.0) for name in names]
    assert method_order(results) == ["zeroshot", "coop", "coop+dapt", "maple", "maple+dapt", "vpt"]


def test_numbers_in_names_are_counted():
    assert sorted(["n=16", "n=4", "n"], key=natural_sort_key) == ["n", "n=4", "n=16"]


def test_shots_are_read_from_the_configuration(record):
    assert num_shots(record(shots=4)) == 4
