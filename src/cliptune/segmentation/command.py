"""Segmentation by an external program.

The program's last argument, or {list} in the command, is the path of a JSON-lines file with one image per line:
{"image": its absolute path, "classname": its class, "classnames": all classes in it, "output": the absolute path for
its mask}. A mask is a PNG of the image's shape: 0 is background, 255 (or 1, if no value is larger) is foreground, greys
are soft. Masks are collected while the program runs, so that none is lost if it fails later. Exit status 0 means
success.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from torch import Tensor

from cliptune.errors import UserError, os_reason
from cliptune.masks.decode import exif_orientation, read_mask
from cliptune.masks.pixel_encoding import PixelEncoding
from cliptune.segmentation.make import SegmentationResults, Segmenter, classes_in
from cliptune.segmentation.mask_folder import image_shape
from cliptune.types import Example

if TYPE_CHECKING:
    from cliptune.data.dataset import Dataset

PLACEHOLDER = "{list}"
#: Seconds between two checks for new masks, and seconds that the program gets to terminate.
POLL_SECONDS, GRACE_SECONDS = 0.2, 5.0
#: Examples without a mask so far, with the image's size (H, W), by output path.
Waiting = dict[Path, tuple[Example, tuple[int, int]]]


class CommandSegmenter(Segmenter):
    """Masks from an external program, started once per batch."""

    batch_size = 0

    def __init__(self, command: str):
        try:
            self.argv = shlex.split(command)
        except ValueError as error:
            raise UserError(f"command {command!r} cannot be split into words: {str(error).lower()}") from None
        if not self.argv:
            raise UserError('no program after command: ; write --with command:"python my_segmenter.py"')
        self.command = command
        self.settings = {"with": "command", "command": command}

    def segment(self, dataset: Dataset, examples: Sequence[Example]) -> SegmentationResults:
        with tempfile.TemporaryDirectory(prefix="cliptune-masks-", ignore_cleanup_errors=True) as folder:
            work, waiting = Path(folder), Waiting()
            with open(work / "list.jsonl", "w", encoding="utf-8") as lines:
                for number, example in enumerate(examples):
                    output = work / f"mask-{number:07d}.png"
                    try:
                        size = image_shape(dataset, example)
                        image = _image_file(dataset, example, work / f"image-{number:07d}.png")
                    except UserError as error:
                        yield example, str(error)
                        continue
                    names = [name for _, name in classes_in(dataset, example)]
                    name = dataset.classnames[example.label].replace("_", " ")
                    job = {"image": str(image), "classname": name, "classnames": names, "output": str(output)}
                    lines.write(json.dumps(job, ensure_ascii=False) + "\n")
                    waiting[output] = example, size
            if not waiting:
                return
            checked: dict[Path, tuple[int, int]] = {}
            with self._running(work) as child:
                while child.poll() is None:
                    yield from _collect_masks(work, waiting, checked)
                    with suppress(subprocess.TimeoutExpired):
                        child.wait(POLL_SECONDS)
                yield from _collect_masks(work, waiting, checked)
            if child.returncode:
                raise UserError(self._failure(child.returncode, work))
            for output, (example, size) in waiting.items():
                yield example, _explain_missing(output, size)

    @contextmanager
    def _running(self, work: Path) -> Iterator[subprocess.Popen[bytes]]:
        """Run the program inside the block. It is terminated if the block ends first."""
        listed = str(work / "list.jsonl")
        argv = [word.replace(PLACEHOLDER, listed) for word in self.argv]
        argv += [] if argv != self.argv else [listed]
        with open(work / "stdout", "wb") as out, open(work / "stderr", "wb") as err:
            try:
                child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
            except OSError as error:
                reason = os_reason(error)
                raise UserError(f"cannot start {argv[0]!r} of --with command:: {reason}") from None
            try:
                yield child
            finally:
                if child.poll() is None:
                    child.terminate()
                    try:
                        child.wait(GRACE_SECONDS)
                    except subprocess.TimeoutExpired:
                        child.kill()
                        child.wait()

    def _failure(self, code: int, work: Path) -> str:
        stdout, stderr = (
            (work / name).read_text(encoding="utf-8", errors="replace").strip() for name in ("stdout", "stderr")
        )
        lines = [line.strip() for line in (stderr or stdout).splitlines() if line.strip(" ^~")]
        status = f"exit status {code}" if code > 0 else f"signal {-code}"
        output = f"with the output: {' / '.join(lines[-3:])}" if lines else "without output"
        return (
            f"{self.command!r} ended with {status}, {output}; the masks made so far are saved; repeat the "
            f"command for the rest"
        )


def _image_file(dataset: Dataset, example: Example, temporary: Path) -> Path:
    """A file with the upright image: its own, or a temporary one if it has none or its EXIF orientation is not 1."""
    if example.path is not None and exif_orientation(example.path) == 1:
        return example.path.absolute()
    Image.fromarray(dataset.read(example).image.permute(1, 2, 0).numpy()).save(temporary)
    return temporary


def _collect_masks(
    work: Path, waiting: Waiting, checked: dict[Path, tuple[int, int]]
) -> Iterator[tuple[Example, Tensor]]:
    """Yield complete masks and remove them from `waiting`. checked: Size and time of files at the last check."""
    for output in sorted(work.glob("mask-*.png")):
        if output not in waiting:
            continue
        example, size = waiting[output]
        try:
            stamp = output.stat().st_size, output.stat().st_mtime_ns
            if checked.get(output) == stamp:
                continue
            checked[output] = stamp
            mask = _read_map(output, size)
        except (UserError, OSError):  # incomplete, or invalid, which is reported at the end
            continue
        del waiting[output]
        with suppress(OSError):  # the program may still have it open
            output.unlink()
        yield example, mask


def _read_map(path: Path, size: tuple[int, int]) -> Tensor:
    """Read a mask as a map `(H, W)` in [0, 1]. Raises `UserError` if it is not a mask of that shape."""
    mask = read_mask(path, size, encoding=PixelEncoding("grey"))[0][0].float()
    return mask / (1 if mask.max() <= 1 else 255)


def _explain_missing(path: Path, size: tuple[int, int]) -> str:
    try:
        _read_map(path, size)
    except UserError as error:
        return "the program made none" if not path.exists() else str(error).replace(str(path), "of the program")
    return "the program was still writing it when it ended; run the same command again"
