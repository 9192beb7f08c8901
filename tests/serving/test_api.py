"""Answers of the HTTP API are those of the run itself, however requests are batched."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

import cliptune as ct
from cliptune import calibration
from cliptune.analysis.calibration import FittedTemperature
from http_forms import get, post, request

OTHERS = ["dog", "ship"]


@pytest.fixture(scope="module")
def files(photos):
    """Name and content of one image per class."""
    return [(f"{name}.png", (photos / name / "0.png").read_bytes()) for name in ("cat", "horse", "pig")]


def pairs(prediction):
    return [(c["name"], pytest.approx(c["probability"], abs=1e-5)) for c in prediction["classes"]]


def test_predictions_are_those_of_the_run(served, tuned, files):
    status, answer = post(f"{served}/predict", files, top_k=2)
    assert status == 200 and not answer["calibrated"] and answer["notes"] == []
    assert [p["image"] for p in answer["predictions"]] == [name for name, _ in files]
    expected = tuned.predict([content for _, content in files], top_k=2)
    assert [pairs(p) for p in answer["predictions"]] == expected


def test_other_classes_and_what_the_backbone_does_not_know(served, tuned, files):
    status, answer = post(f"{served}/predict", files[:1], classes=[*OTHERS, "ßxq"])
    assert status == 200 and "was not trained on" in answer["notes"][-1]
    other = tuned.with_classes([*OTHERS, "ßxq"])
    assert pairs(answer["predictions"][0]) == other.predict([files[0][1]], top_k=3)[0]


def test_features(served, tuned, files):
    status, answer = post(f"{served}/image-features", files)
    assert status == 200 and answer["images"] == [name for name, _ in files]
    expected = tuned.image_features([content for _, content in files]).flatten().tolist()
    assert sum(answer["features"], []) == pytest.approx(expected, abs=1e-5)
    status, answer = post(f"{served}/text-features")
    assert status == 200 and answer["classes"] == list(tuned.classnames)
    assert sum(answer["features"], []) == pytest.approx(tuned.text_features().flatten().tolist(), abs=1e-5)
    assert post(f"{served}/text-features", classes=["cat", "pig"])[1]["classes"] == ["cat", "pig"]


def test_concurrent_requests_share_batches(serving, tuned, files):
    with serving() as (url, service):
        started, allowed, sizes, compute = threading.Event(), threading.Event(), [], service.classifier.compute

        def slow(query, views):
            started.set()
            assert allowed.wait(30)
            sizes.append(len(views))
            return compute(query, views)

        service._batcher._compute = slow
        with ThreadPoolExecutor(4) as pool:
            first = pool.submit(post, f"{url}/predict", files[:1])
            assert started.wait(30)
            others = [pool.submit(post, f"{url}/predict", files[i:]) for i in (0, 1)]
            while service._batcher._queue.qsize() < 5:
                assert not any(f.done() for f in others)
            allowed.set()
            answers = [f.result() for f in (first, *others)]
        assert sizes == [1, 5]
    expected = tuned.predict([content for _, content in files], top_k=3)
    got = [[pairs(p) for p in answer["predictions"]] for _, answer in answers]
    assert got == [expected[:1], expected, expected[1:]]


def test_the_temperature_of_the_run_is_for_its_classes(serving, trained, files, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "calibrated")
    calibration.write_temperature(folder, FittedTemperature(2.5, (2.0, 3.0), 60, (1.0, 0.9)))
    run = ct.load(folder)
    with serving(run) as (url, _):
        assert get(f"{url}/model")[1]["temperature"] == 2.5
        _, answer = post(f"{url}/predict", files[:1], top_k=3)
        expected = run.predict([files[0][1]], top_k=3, calibrated=True)[0]
        assert answer["calibrated"] and pairs(answer["predictions"][0]) == expected
        assert post(f"{url}/predict", files[:1], classes=list(run.classnames))[1]["calibrated"]
        assert not post(f"{url}/predict", files[:1], classes=OTHERS)[1]["calibrated"]


def test_a_method_that_cannot_take_other_classes_says_so(serving, photos, files, tmp_path):
    probe = ct.train("linear_probe", data=f"folder:{photos}", shots=2, epochs=1, out=tmp_path / "probe")
    with serving(probe) as (url, _):
        assert get(f"{url}/model")[1]["accepts_other_classes"] is False
        status, answer = post(f"{url}/predict", files[:1], classes=OTHERS)
        assert status == 422 and "parameters per class" in answer["error"]
        assert post(f"{url}/predict", files[:1])[0] == 200


def test_an_assumed_range_is_said(served, tmp_path):
    deep = Image.new("I;16", (40, 30))
    deep.putdata([n * 3 for n in range(1200)])
    deep.save(tmp_path / "deep.png")
    _, answer = post(f"{served}/predict", [("deep.png", (tmp_path / "deep.png").read_bytes())])
    assert answer["predictions"][0]["note"]


def test_model_and_health(served, tuned):
    status, model = get(f"{served}/model")
    assert status == 200 and model["classes"] == list(tuned.classnames)
    assert (model["run"], model["method"], model["backbone"]) == ("my-model", "coop", "tiny")
    assert model["limits"]["max_images"] == 16 and model["temperature"] is None
    assert get(f"{served}/health") == (200, {"status": "ok", "images": 0, "max_queue": 128})


def test_the_openapi_document_describes_the_forms(served):
    status, document = get(f"{served}/openapi.json")
    assert status == 200
    routes = {path: [*verbs] for path, verbs in document["paths"].items()}
    forms = ("/predict", "/image-features", "/text-features")
    assert routes == {**dict.fromkeys(forms, ["post"]), "/model": ["get"], "/health": ["get"]}
    body = document["paths"]["/predict"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert [*body["properties"]] == ["images", "classes", "top_k"] and body["required"] == ["images"]
    assert {"400", "413", "422", "503"} <= document["paths"]["/predict"]["post"]["responses"].keys()


def test_unknown_paths_are_json_as_well(served):
    assert get(f"{served}/nothing") == (404, {"error": "GET /nothing: Not Found; see /docs"})
    assert request(f"{served}/predict", "GET")[0] == 405


def test_an_unexpected_error_is_a_sentence(serving, files):
    with serving() as (url, service):
        service.classifier.view = lambda _: 1 / 0
        status, answer = post(f"{url}/predict", files)
        assert status == 500 and answer == {"error": "unexpected ZeroDivisionError; the server's log has the details"}
