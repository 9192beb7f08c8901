"""Example images: a prediction without Grad-CAM gives the reason."""

import pytest
import torch

from cliptune import train
from cliptune.backbones.backbone import Backbone
from cliptune.report.collect import panels
from cliptune.report.collect.models import restore_models
from cliptune.report.collect.panels import collect_panels
from cliptune.report.report_data import EMPTY_GRADCAM, NO_GRADCAM


@pytest.fixture(scope="module")
def runs(tmp_path_factory, photos):
    root = tmp_path_factory.mktemp("runs")
    train("coop", f"folder:{photos}", shots=2, epochs=1, out=root / "coop")
    return restore_models({"coop": root / "coop"})


def answers(runs):
    return [answer for panel in collect_panels(runs, 2) for answer in panel.answers]


def test_a_vision_transformer_has_a_saliency_map(runs):
    found = answers(runs)
    assert len(found) == 4 and all(answer.saliency is not None and answer.saliency.max() == 1 for answer in found)


def test_another_tower_reports_that_it_has_no_map(runs, monkeypatch):
    monkeypatch.setattr(Backbone, "has_vit", False)
    assert all(answer.saliency is None and answer.why == NO_GRADCAM for answer in answers(runs))


def test_a_zero_map_is_omitted(runs, monkeypatch):
    monkeypatch.setattr(panels, "gradcam", lambda model, images, labels: torch.zeros(len(images), 1, 4, 4))
    assert all(answer.saliency is None and answer.why == EMPTY_GRADCAM for answer in answers(runs))
