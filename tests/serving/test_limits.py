"""What exceeds a limit, or is no image, is refused with a status and a sentence, and the server goes on."""

import socket
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from cliptune.errors import UserError
from cliptune.serving.limits import RequestLimits
from http_forms import form, get, post, request


def png(side: int) -> bytes:
    """A black PNG with one bit per pixel: a hundred million pixels are 12 kB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((side // 8 + 1) * side), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def image(photos):
    return (photos / "cat" / "0.png").read_bytes()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no image at all", "is no image"),
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "has the format EPS, which is not read"),
        (png(8000), "has 64 million pixels, more than the 50 million that are read"),
        (png(20000), "has 400 million pixels"),
        (bytes(3 << 20), "has 3.0 MiB, more than the 2 MiB that are read"),
    ],
    ids=["text", "empty", "html", "eps", "bomb", "large-bomb", "large"],
)
def test_a_file_that_is_not_read(serving, image, content, reason):
    with serving(max_file_mib=2) as (url, _):
        status, answer = post(f"{url}/predict", [("good.png", image), ("bad.png", content)])
        assert status == 422 and answer["error"].startswith("image bad.png cannot be read: it ")
        assert [bad["image"] for bad in answer["images"]] == ["bad.png"]
        assert answer["images"][0]["reason"].startswith(reason)
        assert post(f"{url}/predict", [("good.png", image)])[0] == 200


def test_a_truncated_image(served, image):
    status, answer = post(f"{served}/predict", [("cut.png", image[: len(image) // 2])])
    assert status == 422 and answer["images"][0]["image"] == "cut.png"


def test_all_bad_images_are_listed(served, image):
    files = [("../x/a.png", b"no"), ("b.png", image), (f"{'c' * 300}.png", b"no")]
    status, answer = post(f"{served}/predict", files)
    assert status == 422 and "; 2 of 3 images cannot be read" in answer["error"]
    names = [bad["image"] for bad in answer["images"]]
    assert names[0] == "a.png" and names[1].startswith("ccc") and len(names[1]) < 100


@pytest.mark.parametrize(
    ("files", "fields", "status", "sentence"),
    [
        (3, {}, 400, "Maximum number of files is 2"),
        (0, {}, 400, "the request has no images"),
        (0, {"images": "text"}, 400, "must contain files"),
        (1, {"image": "x"}, 400, "unknown field 'image'; the fields are images, classes, top_k"),
        (1, {"classes": "dog"}, 422, "at least two class names"),
        (1, {"classes": ["dog", "dog"]}, 422, "listed twice"),
        (1, {"classes": ["dog", " "]}, 422, "blank"),
        (1, {"classes": ["dog", "c\x1bat"]}, 422, "not a printable line"),
        (1, {"classes": ["dog", "x" * 201]}, 413, "longer than 200 characters"),
        (1, {"classes": list("abcdef")}, 413, "6 class names were sent; at most 5"),
        (1, {"classes": list("abcdefghijklmnop")}, 400, "Too many fields"),
        (1, {"top_k": "0"}, 422, "top_k must be one whole number from 1, got '0'"),
        (1, {"top_k": "x"}, 422, "got 'x'"),
        (1, {"top_k": ["1", "2"]}, 422, "got '1', '2'"),
    ],
)
def test_a_form_beyond_a_limit(serving, image, files, fields, status, sentence):
    with serving(max_images=2, max_classes=5) as (url, _):
        got, answer = post(f"{url}/predict", [("a.png", image)] * files, **fields)
        assert got == status and sentence in answer["error"], answer


@pytest.mark.parametrize(
    ("kind", "status"), [("text/plain", 415), ("multipart/form-data", 400), ("multipart/form-data; boundary=x", 400)]
)
def test_a_body_that_is_no_form(served, kind, status):
    got, answer = request(f"{served}/predict", "POST", b"garbage", {"Content-Type": kind})
    assert got == status and answer["error"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_request_that_is_too_large(serving, chunked):
    body, kind = form([("a.png", bytes(4 << 20))])
    parts = iter([body[:100], *[body[100:]] * 2]) if chunked else body
    with serving(max_images=1, max_file_mib=1) as (url, _):
        headers = {"Content-Type": kind, **({"Transfer-Encoding": "chunked"} if chunked else {})}
        try:
            got, answer = request(f"{url}/predict", "POST", parts, headers)  # type: ignore[arg-type]
        except (BrokenPipeError, ConnectionResetError):  # refused while the rest was being sent
            got, answer = 413, {"error": "more than 2 MiB"}
        assert got == 413 and "more than 2 MiB" in answer["error"]
        assert get(f"{url}/health")[1]["images"] == 0


def test_a_request_that_takes_too_long(serving):
    with serving(upload_seconds=0.2) as (url, _):
        place = urlsplit(url)
        with socket.create_connection((place.hostname, place.port)) as slow:
            head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            slow.sendall(f"{head}Content-Length: 1000\r\n\r\n--x\r\n".encode())
            answer = ""
            while "}" not in answer and (part := slow.recv(1 << 16)):  # the head may come first
                answer += part.decode()
        assert answer.startswith("HTTP/1.1 408") and "longer than 0.2 seconds" in answer
        assert get(f"{url}/health")[1]["images"] == 0


def test_a_full_queue_is_answered_with_503(serving, image):
    with serving(max_images=2, max_queue=3) as (url, service):
        allowed, compute = threading.Event(), service.classifier.compute

        def slow(query, views):
            assert allowed.wait(30)
            return compute(query, views)

        service._batcher._compute = slow
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(post, f"{url}/predict", [("a.png", image)] * 2)
            while get(f"{url}/health")[1]["images"] < 2:
                time.sleep(0.01)
            status, answer = post(f"{url}/predict", [("b.png", image)] * 2)
            assert status == 503 and "2 of 3 images are waiting" in answer["error"] or "3 of 3" in answer["error"]
            allowed.set()
            assert first.result()[0] == 200
        assert post(f"{url}/predict", [("b.png", image)] * 2)[0] == 200
        assert get(f"{url}/health")[1]["images"] == 0


def test_limits_that_do_not_fit_together():
    with pytest.raises(UserError, match="max_queue must be at least 16, got 4"):
        RequestLimits(max_queue=4)
    with pytest.raises(UserError, match="max_file_mib must be positive"):
        RequestLimits(max_file_mib=0)
