"""Compare sweeps that are killed again and again with an undisturbed one: is anything lost or done twice?

    .venv/bin/python benchmarks/kills.py                             everything, about an hour on two cores
    .venv/bin/python benchmarks/kills.py --only workers cluster      some runners, base-to-novel
    .venv/bin/python benchmarks/kills.py --only few-shot             a protocol, in one process

Each is a small `cliptune run` on the bundled dataset, killed with SIGKILL at random moments and started again. In the
end, its table and its list of files must equal those of the undisturbed sweep byte for byte. Observations are added to
benchmarks/results/kills.json; the exit code is 1 if something differs.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from keep import RESULTS
from killing import Seen, disturbed, kill, start, tree

from cliptune.files import write_json
from cliptune.results import store

EPOCHS = 4
DATASET = f"--data emoji:test_per_class=1 --epochs {EPOCHS}"
#: Protocol -> flags of `cliptune run`.
SWEEPS = {
    "base-to-novel": "--methods zeroshot coop coop+dapt maple+dapt --shots 1 --seeds 1 2",
    "few-shot": "--methods coop kgcoop coop+dapt --shots 1 2 --seeds 1",
    "cross-dataset": "--methods coop maple coop+dapt --shots 1 --seeds 1 --targets emoji:classes=validation",
    "domain-generalization": "--methods coop maple coop+dapt --shots 1 --seeds 1",
    "data-efficient": "--methods coop coop+dapt --shots 4 --fractions 0.25 1 --selectors uniform k_center --seeds 1",
}
#: Name -> flags, what is killed (see `disturbed`), number of concurrent sweeps in the directory.
SCENARIOS = {
    "process": ("", "all", 1),
    "three at once": ("", "all", 3),
    "workers": ("--workers 2", "all", 1),
    "workers, one": ("--workers 2", "worker", 1),
    "ray": ("--runner ray --workers 2", "all", 1),
    "ray, one": ("--runner ray --workers 2", "worker", 1),
    "cluster": ("--runner ray --workers 2 --address {address}", "driver", 1),
    **{name: ("", "all", 1) for name in SWEEPS if name != "base-to-novel"},
}


@dataclass(frozen=True)
class Options:
    """Which scenarios to run, how often to kill, and where to write."""

    only: tuple[str, ...] = tuple(SCENARIOS)
    """Scenarios to run."""
    kills: int = 10
    """Kills per scenario."""
    seed: int = 1
    """Seed of the random moments."""
    out: Path = Path("runs/kills")
    """Folder for the sweeps and their output."""


def table(folder: Path) -> bytes:
    """The table that `cliptune results table` prints for a sweep, as CSV."""
    file = folder.with_suffix(".csv")
    words = ["results", "table", str(folder), "--format", "csv", "--out", str(file)]
    _, status = os.waitpid(start(words, folder.with_suffix(".log")), 0)
    return file.read_bytes() if status == 0 else f"no table: {status}".encode()


def differing(folder: Path, whole: Path) -> list[str]:
    """Differences between a folder and that of the undisturbed sweep."""
    found = [] if table(folder) == table(whole) else [f"the table of {folder} differs from that of {whole}"]
    have, want = ({str(p.relative_to(f)) for p in f.rglob("*") if p.is_file()} for f in (folder, whole))
    found += [f"{folder} has the extra file {name}" for name in sorted(have - want)]
    found += [f"{folder} is missing {name}" for name in sorted(want - have)]
    for name in (n for n in have & want if n.endswith(store.RESULT_FILE)):
        one, other = store.load_result(folder / name), store.load_result(whole / name)
        if (one.metrics, one.history, one.config) != (other.metrics, other.history, other.config):
            found.append(f"{folder / name} differs")
    return found


@contextmanager
def cluster(needed: bool) -> Iterator[str]:
    """Start a Ray cluster of two cores for the block, which outlives the sweeps; yield its address."""
    if not needed:
        yield ""
        return
    os.environ.update(
        {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
    )  # for the sweeps and the cluster
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = f"start --head --block --port {port} --num-cpus 2 --include-dashboard false --disable-usage-stats"
    command = [str(Path(sys.executable).parent / "ray"), *flags.split()]
    head = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            with socket.socket() as there:
                if there.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.5)
        time.sleep(5)
        yield f"127.0.0.1:{port}"
    finally:
        kill(tree(head.pid))
        head.wait()


def run_scenario(name: str, options: Options) -> dict[str, object]:
    """Repeat a scenario until its kills are done; return the observations."""
    protocol = name if name in SWEEPS else "base-to-novel"
    flags, how, many = SCENARIOS[name]
    words, place = ["run", protocol, *SWEEPS[protocol].split(), *DATASET.split()], options.out / protocol
    whole = place / "undisturbed"
    whole.mkdir(parents=True, exist_ok=True)
    _, status = os.waitpid(start([*words, "--out", str(whole)], whole.with_suffix(".log")), 0)
    if status:
        sys.exit(f"the undisturbed sweep failed, see {whole.with_suffix('.log')}")
    dice, rounds, wrong = random.Random(options.seed + zlib.crc32(name.encode())), [], []
    with cluster("{address}" in flags) as address:
        while not wrong and sum(seen.kills for seen in rounds) < options.kills:
            out = place / f"{name.replace(', ', '-').replace(' ', '-')}-{len(rounds) + 1}"
            shutil.rmtree(out, ignore_errors=True)
            seen = Seen(out)
            rounds.append(seen)
            again = [*words, "--out", str(out), *flags.format(address=address).split()]
            disturbed(again, seen, options.kills - sum(s.kills for s in rounds), dice, EPOCHS, how, many)
            wrong += [*seen.wrong, *differing(out, whole)]
    landed = Counter(phase for seen in rounds for phase in seen.landed.elements())
    return {
        "command": "cliptune " + " ".join([*words, *flags.split()]),
        "killed": {"all": "the sweep and all its processes", "worker": "one worker", "driver": "the first process"}[
            how
        ],
        "sweeps at once": many,
        "kills": sum(seen.kills for seen in rounds),
        "sweeps": len(rounds),
        "runs per sweep": len(list(whole.rglob(store.RESULT_FILE))),
        "runs when killed": dict(sorted(landed.items())),
        "wrong": wrong,
    }


def main(options: Options) -> None:
    """Run the scenarios and write their observations."""
    # Sums round alike with one thread in every process: this one and its forks, and the workers they start.
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["RAY_memory_monitor_refresh_ms"] = "0"  # keeps Ray from killing tasks itself
    shutil.rmtree(options.out, ignore_errors=True)  # an undisturbed sweep of another version is no reference
    file, failed = RESULTS / "kills.json", False
    for name in options.only:
        seen = run_scenario(name, options)
        failed |= bool(seen["wrong"])
        sys.stdout.write(f"{name}: {json.dumps(seen, indent=2)}\n")
        sys.stdout.flush()
        write_json(file, {**(json.loads(file.read_text()) if file.is_file() else {}), name: seen})
    sys.exit(failed)


if __name__ == "__main__":
    main(tyro.cli(Options))
