"""The configuration that `--config` names, for `cliptune train`, `tune` and `run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cliptune import methods, run_dir
from cliptune.commands.parse import parse_known
from cliptune.config import RunConfig
from cliptune.errors import UserError


@dataclass(frozen=True)
class _ConfigFlags:
    """The flags that select a configuration file; parsed before the others."""

    config: Path | None = None
    allow_code: bool = False
    preset: str = ""


def configured_run(name: str, command: str, arguments: Sequence[str]) -> RunConfig | None:
    """The run in the file of `--config` among `arguments`; None without that flag.

    name: The method on the command line, which must be that of the file; "" for none.
    """
    flags, _ = parse_known(_ConfigFlags, command, without_help(arguments))
    if flags.config is None:
        return None
    if flags.preset:
        raise UserError(
            f"--preset {flags.preset} has no effect: {flags.config} has all settings; leave one of them out"
        )
    run = run_dir.read_config(flags.config, flags.allow_code or name.split("+"))
    in_file = methods.name_of(run.method)
    if name and methods.name_of(methods.build(name)) != in_file:
        raise UserError(f"{flags.config} is a configuration of {in_file}, not of {name}; leave {name} or --config out")
    return run


def without_help(arguments: Sequence[str]) -> list[str]:
    """The arguments without the flags that ask for help."""
    return [argument for argument in arguments if argument not in ("-h", "--help")]
