"""Custom templates: from the command line to sentences, checkpoints and predictions."""

import json

import pytest

import cliptune as ct
from cliptune.cli import main

TEMPLATES = "a drawing of a {} on a background."


def test_templates_reach_sentences_checkpoints_and_predictions(photos, tmp_path, capsys):
    image = str(photos / "cat" / "0.png")
    shares = {}
    for name, more in (("own", ["--templates", TEMPLATES]), ("plain", [])):
        run = tmp_path / name
        main(["train", "zeroshot", "--data", f"folder:{photos}", "--shots", "1", "--out", str(run), *more])
        capsys.readouterr()
        main(["predict", str(run), image, "--json"])
        shares[name] = json.loads(capsys.readouterr().out)["classes"]
    assert shares["own"] != shares["plain"]
    own = ct.load(tmp_path / "own")
    assert own.model.templates == (TEMPLATES,) and own.run.reading.templates == (TEMPLATES,)
    assert own.with_classes(["mouse", "bear"]).model.templates == (TEMPLATES,)


def test_templates_may_differ_at_evaluation(photos, tmp_path):
    run = ct.train("zeroshot", data=f"folder:{photos}", shots=1, out=tmp_path / "run")
    other = ct.train("zeroshot", data=f"folder:{photos}", shots=1, templates=["{}"])
    seen = run.model.with_classes(run.classnames, ["{}"]).encode_classes()[0]
    assert seen.equal(other.text_features()) and not seen.equal(run.text_features())
    assert run.evaluate(templates=["{}"]) == other.evaluate()


@pytest.mark.parametrize("template", ["a drawing", "a {} and a {}", "a {} in {place}", "{0}", "{} }"])
def test_invalid_templates_are_refused(photos, tmp_path, capsys, template):
    with pytest.raises(SystemExit) as stop:
        main(["train", "coop", "--data", f"folder:{photos}", "--templates", template, "--out", str(tmp_path / "run")])
    output = capsys.readouterr().err
    assert stop.value.code == 2 and "Traceback" not in output and not (tmp_path / "run").exists()
    assert f"template {template!r} needs exactly one {{}} where the class name goes" in output
    with pytest.raises(ct.UserError, match="needs exactly one {} where"):
        ct.train("coop", data=f"folder:{photos}", templates=[template])
