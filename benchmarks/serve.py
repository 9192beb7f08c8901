"""Load test of `cliptune serve`: images a second and latency by number of clients, and a loop over the same model.

    .venv/bin/python benchmarks/serve.py RUN IMAGES --out benchmarks/results/serve.json

Each request has one image file. Clients are threads of this process and the server is another process of the same
machine, so they share its cores. The loop calls `run.predict` on one image at a time in this process, before and after.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urlsplit

from measure import machine
from rich.console import Console
from rich.table import Table

import cliptune as ct

CLIENTS = (1, 8, 64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="folder of a run")
    parser.add_argument("images", type=Path, help="folder of image files")
    parser.add_argument("--requests", type=int, default=512, help="per number of clients")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    files = [path.read_bytes() for path in sorted(options.images.rglob("*")) if path.is_file()][: options.requests]
    run = ct.load(options.run)
    rows = {"loop": loop(run, files, options.requests)}
    with serving(options.run) as url:
        send(url, files, 8, len(files))  # builds what is built on first use
        rows |= {f"{clients} clients": send(url, files, clients, options.requests) for clients in CLIENTS}
    rows["loop, again"] = loop(run, files, options.requests)
    about = {"method": type(run.run.method).__name__, "backbone": run.run.backbone, "classes": len(run.classnames)}
    pixels = {"files": len(files), "bytes": round(sum(map(len, files)) / len(files))}
    show(rows)
    if options.out:
        record = {"model": about, "images": pixels, "requests": options.requests, "machine": machine(), "rows": rows}
        record["machine"]["cores"] = (
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        )
        record["machine"]["load"] = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
        options.out.write_text(json.dumps(record, indent=2) + "\n")


def loop(run: ct.Tuned, files: Sequence[bytes], count: int) -> dict:
    """`run.predict` on one image at a time."""
    run.predict(files[0])
    seconds, start = [], time.perf_counter()
    for i in range(count):
        before = time.perf_counter()
        run.predict(files[i % len(files)])
        seconds.append(time.perf_counter() - before)
    return summary(seconds, time.perf_counter() - start)


def send(url: str, files: Sequence[bytes], clients: int, count: int) -> dict:
    """Requests of `clients` threads, each with a connection of its own that it keeps."""
    work: queue.SimpleQueue[int] = queue.SimpleQueue()
    for i in range(count):
        work.put(i)
    seconds: list[float] = []
    threads = [threading.Thread(target=client, args=(url, files, work, seconds)) for _ in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seconds) == count, f"{count - len(seconds)} requests failed"
    return summary(seconds, time.perf_counter() - start)


def client(url: str, files: Sequence[bytes], work: queue.SimpleQueue[int], seconds: list[float]) -> None:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=120)
    head = b'--mark\r\nContent-Disposition: form-data; name="images"; filename="image"\r\n\r\n'
    while True:
        try:
            i = work.get_nowait()
        except queue.Empty:
            return
        body = head + files[i % len(files)] + b"\r\n--mark--\r\n"
        before = time.perf_counter()
        connection.request("POST", "/predict", body, {"Content-Type": "multipart/form-data; boundary=mark"})
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content
        seconds.append(time.perf_counter() - before)


class serving:
    """The URL of `cliptune serve` in another process."""

    def __init__(self, run: str):
        command = [sys.executable, "-m", "cliptune", "serve", run, "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def __enter__(self) -> str:
        assert self.process.stdout is not None
        url = self.process.stdout.readline().strip()
        assert url, "the server did not start"
        return url

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()


def summary(seconds: Sequence[float], total: float) -> dict:
    return {
        "images_per_second": round(len(seconds) / total, 1),
        "median_ms": round(1000 * median(seconds), 1),
        "p95_ms": round(1000 * quantiles(seconds, n=20)[-1], 1),
    }


def show(rows: dict[str, dict]) -> None:
    table = Table("", "images/s", "median ms", "95 % ms")
    for name, row in rows.items():
        table.add_row(name, *map(str, row.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
