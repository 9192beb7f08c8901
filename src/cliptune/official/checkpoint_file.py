"""Read a checkpoint of the authors' code: tensors by their official names. Nothing in the file is executed."""

from __future__ import annotations

import os
import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cliptune.errors import UserError, shown
from cliptune.files import open_regular
from cliptune.official.low_rank_file import PREFIX, is_low_rank_file, read_low_rank

#: Tensors that are not needed: a frozen second model or image tower, KgCoOp's unused parameters, the first token.
UNUSED = re.compile(
    r"prompt_learner\.(token_prefix|token_midfix|token_middle\d$|bias_vectors|ZS_image)|image_encoder_ori\."
    r"|meta_net\.|adapter\.|model_distill\."
)
#: HiCroPL's first text tokens, which are saved under two names.
COPIES = {"prompt_learner.cross_prompts_text.0": "prompt_learner.ctx"}
SUFFIX = "prompt_learner.token_suffix"
CLASS_FEATURES = "prompt_learner.base_text_features"
#: Embeddings of ATPrompt's first, second and third attribute.
ATTRIBUTES = tuple(f"prompt_learner.token_middle{i}" for i in (1, 2, 3))
#: Embeddings of the classes' sentences in MMRL's files.
SENTENCES = "prompt_embeddings"
LEARNED = re.compile(
    r"prompt_learner\.(ctx$|ctx_att\d$|proj\.|compound_prompts_text\.|compound_prompt_projections\.|meta_net\."
    r"|ctx_(img|txt)_lst\.|text_feature_residuals$|cross_prompts_(text|visual)\.|(text2visual|visual2text)_net\."
    r"|attn_pooling_(text|visual)_nets\.|(text|visual)_proxy_token\.)"
    r"|(image|text)_encoder\.(.+\.)?VPT(_shallow)?$|(text|visual)_adapter\.|adapter_(image|text)\.fc\.|(text|vis)_cali_ratio$"
    r"|film_lp_(img|text)\.|linear_probe_proj\.|VPT_image_trans\.conv1\."
    r"|representation_learner\.(compound_rep_tokens|srra_r2)|image_encoder\.(proj_rep|A|B)$|low_rank\."
)
TOWERS = re.compile(r"(image|text)_encoder\.|logit_scale$")
#: Folders that DPT saves beside "prompt_learner", with a part of the parameters each, and names in its files.
DPT_FOLDERS = ("image_encoder.transformer.extractor", "image_encoder.transformer.ctx_learner")
DPT_NAMES = re.compile(
    r"(prompt_learner\.)?(image_encoder\.transformer\.(extractor|ctx_learner)|meta_nets|classfiers)\."
)
#: Types of other objects that the authors' training loop saves: a warm-up schedule refers to the schedule that follows
#: it, which refers to the optimizer. Accuracies may be numpy scalars.
IGNORED_TYPES = (
    *(f"torch.optim.{name}" for name in ("sgd.SGD", "adam.Adam", "adamw.AdamW", "rmsprop.RMSprop", "radam.RAdam")),
    *(f"torch.optim.lr_scheduler.{name}" for name in ("CosineAnnealingLR", "StepLR", "MultiStepLR", "LambdaLR")),
    *(f"dassl.optim.radam.{name}" for name in ("RAdam", "PlainRAdam", "AdamW")),
    *(f"dassl.optim.lr_scheduler.{name}" for name in ("ConstantWarmupScheduler", "LinearWarmupScheduler")),
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "builtins.dict",
)
#: Layout and device of a plain tensor.
DENSE_CPU = (torch.strided, "cpu")


@dataclass(frozen=True)
class OfficialCheckpoint:
    """The content of the file at `path`.

    learned: Official name -> float32 tensor. towers: Tensors of the frozen CLIP, if the whole model was saved. suffix:
    Embeddings `(classes, n, width)` of the sentences after the learned context. unused: Names of tensors that are not
    needed, but show which method wrote the file. class_features: Frozen text features `(classes, d)`, un-normalised.
    attributes: Embeddings `(classes, 1, width)` of the tokens at the places of ATPrompt's attributes.
    sentences: Embeddings `(classes, n, width)` of whole sentences, if nothing in them is learned. settings:
    Fields of the method that the file names.
    """

    path: Path
    learned: Mapping[str, Tensor]
    towers: Mapping[str, Tensor]
    suffix: Tensor | None
    unused: frozenset[str]
    class_features: Tensor | None = None
    attributes: tuple[Tensor, ...] = ()
    sentences: Tensor | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def read_official(path: Path) -> OfficialCheckpoint:
    """Read a file of `torch.save`, or the only one in a folder.

    Raises `UserError` if it is missing, damaged, needs code to load or has another content.
    """
    path = path.expanduser()
    _check_dpt(path)
    path = _find_file(path)
    _check_dpt(path)
    content = _load_file(path)
    settings: dict[str, Any] = {}
    if is_low_rank_file(content):
        state, settings = read_low_rank(path, content)
    else:
        state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(tensor, Tensor) for tensor in state.values()) or not state:
        raise UserError(f"{path} contains no state dict; use the model.pth.tar-N or model-best.pth.tar of a run")
    for name, tensor in state.items():
        _check_tensor(path, name, tensor)
    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    if not any(name.startswith(("prompt_learner.", "image_encoder.", "text_encoder.", PREFIX)) for name in state):
        state = {f"prompt_learner.{name}": tensor for name, tensor in state.items()}  # only the learner was saved
    _check_dpt(path, state)
    unused = frozenset(name for name in state if UNUSED.match(name))
    learned = {name: tensor for name, tensor in state.items() if LEARNED.match(name)}
    towers = {name: t for name, t in state.items() if TOWERS.match(name) and name not in learned}
    unknown = state.keys() - unused - learned.keys() - towers.keys() - {SUFFIX, CLASS_FEATURES, SENTENCES}
    if unknown:
        raise UserError(f"{path} contains {min(unknown)[:80]}, which no known method saves; use a supported checkpoint")
    if "prompt_learner.bias_vectors" in unused:  # KgCoOp saves a network that it never calls
        learned = {name: tensor for name, tensor in learned.items() if ".meta_net." not in name}
    counts = {name for name in learned if name.endswith(".num_batches_tracked")}
    whole = next((name for name, t in learned.items() if not t.is_floating_point() and name not in counts), None)
    if whole:
        raise UserError(f"{path} contains {whole} as {learned[whole].dtype}; learned tensors must be floating point")
    learned = _without_copies(path, learned)
    learned = {name: _linear(tensor).float() for name, tensor in learned.items() if tensor.numel()}
    broken = next((name for name, tensor in learned.items() if not tensor.isfinite().all()), None)
    if broken:
        raise UserError(
            f"{path} contains NaN or infinity in {broken}, so its training diverged; use an earlier checkpoint"
        )
    more = state.get(CLASS_FEATURES), tuple(state[name] for name in ATTRIBUTES if name in state), state.get(SENTENCES)
    return OfficialCheckpoint(path, learned, towers, state.get(SUFFIX), unused, *more, settings)


def _check_dpt(path: Path, names: Iterable[str] = ()) -> None:
    """Raise `UserError` for files of DPT, which has its parameters in three files, one of which looks like CoOp's."""
    inside = path if path.is_dir() else path.absolute().parent
    whole = inside.parent if inside.name == "prompt_learner" else inside
    parts = any((whole / name).is_dir() for name in DPT_FOLDERS)
    if parts or inside.name in DPT_FOLDERS or any(map(DPT_NAMES.match, names)):
        raise UserError(
            f"{path} is of DPT's code, which saves the parameters of a run in three files, but import reads a single "
            f"file; train dpt instead"
        )


def _without_copies(path: Path, learned: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without those saved a second time. Raises `UserError` for one that is not the same."""
    for name, original in COPIES.items():
        if name in learned and not (original in learned and torch.equal(learned[name], learned[original])):
            raise UserError(
                f"{path} contains {name} that is not the same as {original}, as the training saves it; get a whole copy"
            )
    return {name: tensor for name, tensor in learned.items() if name not in COPIES}


def _linear(tensor: Tensor) -> Tensor:
    """The weight of a 1x1 convolution `(out, in, 1, 1)` as that of a linear layer; other tensors unchanged."""
    return tensor.flatten(1) if tensor.ndim == 4 and tensor.shape[2:] == (1, 1) else tensor


def _check_tensor(path: Path, name: Any, tensor: Tensor) -> None:
    """Raise `UserError` for a tensor that is not dense, or whose shape is larger than its storage in the file."""
    plain = type(tensor) in (Tensor, torch.nn.Parameter) and (tensor.layout, tensor.device.type) == DENSE_CPU
    if not isinstance(name, str) or not plain or tensor.is_quantized or tensor.is_nested or tensor.is_complex():
        raise UserError(
            f"{path} contains {shown(name)} as a sparse, quantised, complex, nested or meta tensor; save plain tensors "
            f"with torch.save(model.state_dict(), FILE)"
        )
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise UserError(
            f"{path} contains {name[:80]} of shape {tuple(tensor.shape)}, but not all of its values; get a whole copy"
        )


def _find_file(path: Path) -> Path:
    """The file itself, or the only checkpoint under a folder."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise UserError(f"no file at {path}; check the path")
    found = sorted(path.rglob("model*.pth.tar*"))
    if len(found) != 1:
        names = ", ".join(str(p.relative_to(path)) for p in found[:4]) or "no model.pth.tar-N"
        raise UserError(f"{path} is a folder with {names}; use the path of one file")
    return found[0]


def _load_file(path: Path) -> Any:
    """The content of the file, with placeholders for the objects of the training loop."""
    try:
        with open_regular(path) as file:
            size, packed = os.fstat(file.fileno()).st_size, zipfile.is_zipfile(file)
        if packed:
            with zipfile.ZipFile(path) as archive:
                whole = sum(entry.file_size for entry in archive.infolist())
            if whole > 2 * size:  # torch does not compress
                raise UserError(
                    f"{path} unpacks from {size:,} bytes to {whole:,}, unlike files of torch.save; check it"
                )
        with warnings.catch_warnings(), torch.serialization.safe_globals(_placeholder_types()):
            warnings.simplefilter("ignore")  # deprecated formats
            return torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as error:  # errors of torch, pickle and zip have no common class
        code = re.search(r"GLOBAL (\S+)", str(error))
        if code:
            raise UserError(
                f"{path} needs code to load ({code[1][:80]}), and code in a file is never executed; if you trust it, "
                f"save its tensors alone with torch.save(model.state_dict(), FILE)"
            ) from None
        raise UserError(
            f"{path} is damaged, truncated or not a file of torch.save ({type(error).__name__}); get a whole copy"
        ) from None


class _Placeholder:
    """Replaces an object in the file. It accepts any arguments and state, and ignores them."""

    def __new__(cls, *described: Any):
        return super().__new__(cls)

    def __init__(self, *described: Any):
        pass

    def __setstate__(self, described: Any):
        pass


def _placeholder_types() -> list[Any]:
    """A class for each name in `IGNORED_TYPES`, which the unpickler uses instead of the real one."""

    def named(name: str, base: type, **more: Any) -> type:
        module, _, own = name.rpartition(".")
        return type(own, (base,), {"__module__": module, "__qualname__": own, **more})

    # An optimizer's state is a defaultdict, whose items the unpickler sets only if the type is a plain dict.
    plain = named("collections.defaultdict", object, __new__=lambda cls, *described: {})
    return [plain, *(named(name, _Placeholder) for name in IGNORED_TYPES)]
