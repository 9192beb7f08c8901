"""A process that has cliptune loaded and forks sweeps, so that many can be started and killed quickly.

fork_sweeps.py DATA FOLDER alone: a sweep in FOLDER/alone that is not killed.
fork_sweeps.py DATA FOLDER kill SEED: a sweep in FOLDER/kill, killed ten times at random moments.
fork_sweeps.py DATA FOLDER both: two sweeps at the same time in FOLDER/both.
fork_sweeps.py DATA FOLDER everywhere: a run killed before the first change of a file, before the second, and so on,
    each in its own directory below FOLDER/everywhere, and started again.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
import warnings
from functools import partial
from pathlib import Path

from rich.console import Console

import logging_method
from cliptune import experiment, sweep

KILLS = 10


def start(planned, before=lambda: None) -> int:
    """Fork a process that calls `before` and runs the sweep; return its id."""
    process = os.fork()
    if process:
        return process
    try:
        before()
        with open(os.devnull, "w") as nowhere:
            sweep.run_jobs(planned, Console(file=nowhere))
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def killed(planned, out: Path, seed: int) -> dict:
    """Kill the sweep ten times at random moments, then let it finish."""
    dice, kills, results = random.Random(seed), 0, {}
    while kills < KILLS:
        process = start(planned)
        goal = logging_method.trained_epochs(out).total() + dice.randrange(3)
        while logging_method.trained_epochs(out).total() < goal and os.waitpid(process, os.WNOHANG) == (0, 0):
            time.sleep(0.001)
        time.sleep(dice.random() * 0.1)
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        assert os.WIFSIGNALED(status), "the sweep finished before its tenth kill"
        kills += 1
        for record in out.rglob("result.json"):
            stat = record.stat()
            now = [stat.st_ino, stat.st_mtime_ns]
            assert results.setdefault(str(record), now) == now, f"{record} was written again"
    assert os.waitpid(start(planned), 0)[1] == 0
    return {"kills": kills, "before": len(results)}


def die_at(change: int, out: Path) -> None:
    """Kill this process just before its change number `change` of a file below `out`."""
    left = [change]

    def watch(event, arguments):
        if event in ("os.rename", "os.remove", "os.rmdir") and str(out) in str(arguments[0]):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def everywhere(data: Path, out: Path) -> list[list]:
    """For each kill: the files it left, the exit code of the next start, and the files after that."""
    found = []
    while True:
        folder = out / str(len(found) + 1)
        planned = logging_method.make_jobs(data, folder, widths=(1,), seeds=(1,), epochs=1)
        _, status = os.waitpid(start(planned, partial(die_at, len(found) + 1, folder)), 0)
        left = logging_method.list_files(folder)
        again = os.waitpid(start(planned), 0)[1]
        found.append([left, again, logging_method.list_files(folder)])
        if not os.WIFSIGNALED(status):
            return found


def main(data: Path, folder: Path, what: str, seed: int = 0) -> None:
    warnings.simplefilter("ignore")
    experiment.cached_backbone("tiny", "")
    out = folder / what
    planned = logging_method.make_jobs(data, out)
    if what == "kill":
        answer = killed(planned, out, seed)
    elif what == "everywhere":
        answer = everywhere(data, out)
    else:
        processes = [start(planned), *([start(planned[::-1])] if what == "both" else [])]
        answer = {"codes": [os.waitpid(process, 0)[1] for process in processes]}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:]))
