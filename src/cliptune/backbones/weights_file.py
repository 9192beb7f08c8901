"""Read weights files of several formats as tensors with open_clip's names, without executing code in them."""

from __future__ import annotations

import argparse
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from cliptune.backbones import huggingface
from cliptune.backbones.checkpoint_layouts import OPENAI_METADATA, extract_clip, strip_prefixes
from cliptune.errors import UserError
from cliptune.text import listed

_scalar = np.float64(0).__reduce__()[0]
#: Harmless classes that checkpoints contain in addition to tensors: settings and numpy scalars.
SAFE_GLOBALS = [
    argparse.Namespace,
    np.dtype,
    *((_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *(type(np.dtype(kind)) for kind in "fdilqB?"),
]
#: First bytes of files that are not weights -> the message.
FOREIGN_HEADERS = {
    b"version https://git-lfs": "is a Git LFS pointer, not the weights: run git lfs pull in its repository",
    b"<!doctype html": "is a web page, not weights: download the file itself",
    b"<html": "is a web page, not weights: download the file itself",
    b"\x89HDF": "is an HDF5 file; save the weights with PyTorch, as safetensors",
}
#: The caption decoder of CoCa, which computes no features.
UNUSED_PREFIX = "text_decoder."
#: Suffixes of other libraries' formats -> the message.
FOREIGN_SUFFIXES = {
    ".npz": "contains weights of big_vision: use the open_clip name of the same model, such as --backbone "
    "ViT-B-16-SigLIP --pretrained webli",
    ".onnx": "is an exported graph; use the weights it was exported from, as .pt or .safetensors",
    ".json": "is not a weights file; if the weights are sharded, load the model with transformers and save its whole "
    "state_dict()",
}


@dataclass(frozen=True)
class Weights:
    """The content of a weights file.

    state: float32 tensors named as in open_clip's `CLIP` or `CustomTextCLIP`. quick_gelu: whether they were trained
    with QuickGELU, OpenAI's activation; None if the file does not contain this.
    """

    path: str
    state: dict[str, Tensor]
    quick_gelu: bool | None = None

    @classmethod
    def of(cls, state: Mapping[str, Tensor], path: str, openai: bool = False) -> Weights:
        """The tensors of a CLIP, without OpenAI's metadata. openai: whether the file is a TorchScript archive of
        OpenAI. Raises `UserError` for tensors that are not finite floating-point numbers."""
        openai = openai or "input_resolution" in state
        bare = {k: v for k, v in state.items() if k not in OPENAI_METADATA and not k.endswith("position_ids")}
        if huggingface.has_transformers_names(bare):
            bare = huggingface.to_open_clip(bare, path)
        _check_numbers(bare, path)
        return cls(path, {k: v.float() for k, v in bare.items()}, True if openai else None)


def read_weights(path: Path) -> Weights:
    """The CLIP in a weights file.

    Accepts state dicts of open_clip, OpenAI (also its TorchScript archives) and transformers' `CLIPModel`; also under a
    key such as `state_dict` or `model`, with prefixes such as `module.` or `clip_model.`, and with further tensors,
    which a warning names. Raises `UserError` if the file is missing, damaged, unsafe, or contains no CLIP.
    """
    if path.is_dir():
        raise UserError(describe_unusable_folder(path))
    if not path.is_file():
        raise UserError(f"no weights file at {path}; check the path")
    scripted = _is_torchscript(path)
    loaded = _load_torchscript(path) if scripted else _load_tensors(path)
    return Weights.of(strip_prefixes(extract_clip(loaded, str(path)), str(path)), str(path), scripted)


def read_folder_weights(folder: Path, configuration: str) -> Weights:
    """Read the weights file that open_clip chooses in a folder. configuration: the file name of the model's
    configuration, for the message. Raises `UserError` if there is no weights file, or if weights are sharded."""
    if any(folder.glob("*.index.json")):
        raise UserError(describe_unusable_folder(folder))
    file = open_clip.factory._find_checkpoint_in_dir(folder)
    if file is None:
        raise UserError(f"{folder} has {configuration} but no weights (.safetensors, .bin or .pth); copy them there")
    return read_weights(Path(file))


def describe_unusable_folder(path: Path) -> str:
    """A message about a folder that is not an open_clip model."""
    if (path / "latest").is_file() or any(path.glob("*mp_rank_*")) or any(path.glob("global_step*")):
        return (
            f"{path} is a DeepSpeed checkpoint, whose tensors are in several files: run its zero_to_fp32.py and use "
            f"the file that it writes"
        )
    if any(path.glob("*.index.json")) or any(path.glob("*-of-*.*")) or (path / ".metadata").is_file():
        return f"{path} contains sharded weights: load them once and save one state_dict() as a file"
    files = sorted(p.name for p in path.iterdir() if p.suffix in (".pt", ".pth", ".bin", ".safetensors", ".ckpt"))
    inside = f"it contains {listed(files)}: use the path of a file" if files else "it contains no weights file either"
    return f"{path} has no open_clip_config.json, so it is not a backbone; {inside}"


def _load_tensors(path: Path) -> Any:
    """The content of a safetensors or pickle file. Raises `UserError`."""
    suffix = path.suffix.lower()
    if suffix in FOREIGN_SUFFIXES:
        raise UserError(f"{path} {FOREIGN_SUFFIXES[suffix]}")
    with path.open("rb") as file:
        head = file.read(64)
    for start, message in FOREIGN_HEADERS.items():
        if head.lower().startswith(start.lower()):
            raise UserError(f"{path} {message}")
    if not head:
        raise UserError(f"{path} is empty; copy or download it again")
    try:
        if suffix == ".safetensors":
            _check_not_tuned(path)
            return safetensors.torch.load_file(str(path))
        with torch.serialization.safe_globals(SAFE_GLOBALS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except (RuntimeError, SafetensorError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read as weights ({_first_line(error)}); copy or download it again") from None
    except Exception as error:  # the unpickler's own errors have no common class
        raise UserError(_describe_unsafe(path, str(error))) from None


def _load_torchscript(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():  # torch announces the deprecation of TorchScript
            warnings.simplefilter("ignore")
            return dict(torch.jit.load(str(path), map_location="cpu").state_dict())
    except (RuntimeError, OSError) as error:
        raise UserError(
            f"{path} cannot be read as a TorchScript archive ({_first_line(error)}); download it again"
        ) from None


def _check_not_tuned(path: Path) -> None:
    """Raise `UserError` for a checkpoint of cliptune."""
    with safe_open(str(path), "pt") as file:
        if "cliptune-1" in (file.metadata() or {}):
            raise UserError(
                f"{path} is the checkpoint of a run, not a backbone: use it with cliptune evaluate, cliptune predict "
                f"or ct.load"
            )


def _describe_unsafe(path: Path, error: str) -> str:
    """A message about a file that the unpickler refused."""
    found = re.search(r"GLOBAL ([\w.]+)", error)
    if not found:
        return f"{path} is not a plain tensor file; save its state_dict() as safetensors"
    whole = re.search(r"(^|\.)(open_clip|clip|transformers|nn|modules?|models?)\.", found[1]) is not None
    tensors = ".state_dict()" if whole else "['state_dict']"
    return (
        f"{path} is not a plain tensor file: it contains a Python object ({found[1]}), and reading one can execute "
        f"code; if you trust it, save its tensors alone: torch.save(torch.load({path.name!r}, weights_only=False)"
        f"{tensors}, 'weights.pt')"
    )


def _check_numbers(state: Mapping[str, Tensor], path: str) -> None:
    """Raise `UserError` for tensors that are not finite floating-point numbers."""
    for name, tensor in state.items():
        if tensor.is_quantized or tensor.layout != torch.strided or tensor.is_complex():
            raise UserError(f"{path} contains {name} as {tensor.dtype}, {tensor.layout}; save plain float weights")
        if not tensor.is_floating_point() and not name.endswith("num_batches_tracked"):
            raise UserError(f"{path} contains {name} as {tensor.dtype}, like quantised weights; save float weights")
        if not name.startswith(UNUSED_PREFIX) and not bool(torch.isfinite(tensor).all()):
            raise UserError(f"{path} contains NaN or infinity in {name}; save finite weights")


def _is_torchscript(path: Path) -> bool:
    """Whether the file is a TorchScript archive, such as OpenAI's models; these contain a `constants.pkl`."""
    return zipfile.is_zipfile(path) and any(n.endswith("constants.pkl") for n in zipfile.ZipFile(path).namelist())


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(" .:") if lines else type(error).__name__
