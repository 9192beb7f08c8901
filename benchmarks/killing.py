"""Start sweeps, watch their files, and kill them."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from filelock import SoftFileLease

import cliptune.commands.groups
import cliptune.commands.run
import cliptune.runners.local
import cliptune.runners.ray  # imported once, before processes are forked  # noqa: F401
from cliptune.cli import main
from cliptune.dir_lock import LOCK_FILE
from cliptune.engine import checkpoint
from cliptune.errors import UserError
from cliptune.results import store
from cliptune.run_dir import CHECKPOINT, RESUME

#: Phases of a run: until the end of its first epoch, in later epochs, after the last epoch, writing its last files.
PHASES = ("starting", "training", "testing", "writing")
#: How often the worker of a run may die in one sweep.
DEATHS = 2


def start(words: list[str], log: Path) -> int:
    """Run a command in a forked process with its own process group; return the process id."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        os.setsid()
        output = os.open(log, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.argv[:] = ["cliptune", *words]
        main(words)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else bool(error.code)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(code)


def ended(process: int) -> int | None:
    """The exit code of a process started by `start`, None while it runs. It can be read only once."""
    there, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if there else None


def tree(process: int) -> set[int]:
    """The process, its descendants, and the processes of its group and session."""
    parents, found = {}, {process}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError, IndexError):
            number = int(entry.name)
            _, parent, group, session = _stat(number)[:4]
            parents[number] = int(parent)
            found |= {number} if process in (int(group), int(session)) else set()
    while more := {number for number, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def kill(processes: set[int]) -> None:
    """Send SIGKILL to the processes."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def at_work(out: Path) -> dict[Path, int]:
    """Locked run directories, and the living process that owns each lock."""
    found = {}
    for path in out.rglob(LOCK_FILE):
        owner = SoftFileLease(path).owner
        with suppress(OSError):
            if owner is not None and "Z" != _stat(owner.pid)[0]:
                found[path.parent] = owner.pid
    return found


def _stat(process: int) -> list[str]:
    """The fields of /proc/PID/stat after the name: state, parent, group, session, ..."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def phase(folder: Path, epochs: int) -> str:
    """The phase of the run in a directory."""
    names = os.listdir(folder) if folder.is_dir() else []
    if store.RESULT_FILE in names or CHECKPOINT in names or any(name.endswith(".tmp") for name in names):
        return "writing"
    try:
        done = len(checkpoint.read_checkpoint(folder / RESUME)[1]["history"])
    except UserError:
        return "starting"
    return "testing" if done >= epochs else "training"


@dataclass
class Seen:
    """Observations of one sweep."""

    out: Path
    kills: int = 0
    landed: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    records: dict[Path, tuple[int, int]] = field(default_factory=dict)
    deaths: Counter[Path] = field(default_factory=Counter)

    def look(self) -> None:
        """Note new records, and errors: a record that is rewritten or missing, a file that cannot be read."""
        for path in self.out.rglob(store.RESULT_FILE):
            stat = path.stat()
            now = stat.st_ino, stat.st_mtime_ns
            if self.records.setdefault(path, now) != now:
                self.wrong.append(f"{path} was written again")
                self.records[path] = now
        self.wrong += [f"{path} is gone" for path in self.records if not path.is_file()]
        self.wrong += torn(self.out)


def torn(out: Path) -> list[str]:
    """Errors of files that cannot be read, apart from temporary ones."""
    found = []
    for path in out.rglob("*"):
        try:
            if path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix == ".yaml":
                assert yaml.safe_load(path.read_text())
            elif path.suffix == ".safetensors" and ".shared" not in path.parts:
                checkpoint.read_checkpoint(path)
        except (OSError, UserError) as error:  # it may have been removed
            found += [f"{path}: {error}"] if path.exists() else []
        except (ValueError, AssertionError, yaml.YAMLError) as error:
            found.append(f"{path} is torn: {error}")
    return found


def disturbed(words: list[str], seen: Seen, kills: int, dice: random.Random, epochs: int, how: str, many: int) -> None:
    """Start the sweep `many` times at once, kill and restart it `kills` times at random moments, then let it finish.

    how: "all" kills a sweep with all its processes, "worker" one of its workers, "driver" only the main process. A
    moment is either uniform in the first ten seconds, or shortly after a run enters a randomly chosen phase.
    """
    log = seen.out.with_suffix(".log")
    seen.out.mkdir(parents=True, exist_ok=True)
    running = [start(words, log) for _ in range(many)]
    while running:
        victim = dice.choice(running)
        goal, until = dice.choice(("any", *PHASES[1:])), time.monotonic() + 10 * dice.random()
        wait = dice.random() * 0.3
        while True:
            if (code := ended(victim)) is not None:
                running.remove(victim)
                seen.wrong += [f"exit code {code}, see {log}"] if code else []
                break
            there = at_work(seen.out)
            if many > 1:
                there = {folder: process for folder, process in there.items() if process in tree(victim)}
            if how == "worker":
                there = {f: p for f, p in there.items() if p != victim and seen.deaths[f] < DEATHS}
            phases = {folder: phase(folder, epochs) for folder in there}
            due = time.monotonic() > until if goal == "any" else goal in phases.values()
            if seen.kills < kills and due and (there or how != "worker"):
                if goal in ("training", "testing"):
                    time.sleep(wait)
                    phases = {folder: phase(folder, epochs) for folder in there}
                if how == "worker":
                    folder = dice.choice([f for f in phases if phases[f] == goal] or list(phases))
                    seen.deaths[folder] += 1
                    seen.landed[phases[folder]] += 1
                    kill({there[folder]})
                else:
                    seen.landed.update(phases.values() or ["between"])
                    kill(tree(victim) if how == "all" else {victim})
                    os.waitpid(victim, 0)
                    running[running.index(victim)] = start(words, log)
                seen.kills += 1
                break
            time.sleep(0.002 if seen.kills < kills and there else 0.05)
        seen.look()
        time.sleep(0.1)
