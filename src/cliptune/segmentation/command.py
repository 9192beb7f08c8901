"""Any other segmenter, as a program that is told in a file what to do.

The program's last argument is the path of a JSON-lines file (which stands where the command says {list}, if it does).
Each line is one picture: {"image": its absolute path, "classname": its class, "classnames": all classes in it,
"output": the absolute path where its mask goes}. A mask is a PNG of the picture's shape: 0 background, 255 (or 1, if
there is nothing above) foreground, greys between. Masks are taken over while the program runs, so that none is lost if
it fails later. Exit status 0 says that all went well.
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

from cliptune.errors import UserError
from cliptune.masks.decode import exif_orientation, read_mask
from cliptune.masks.pixel_encoding import PixelEncoding
from cliptune.segmentation.make import SegmentationResults, Segmenter, classes_in
from cliptune.segmentation.mask_folder import image_shape
from cliptune.types import Example

if TYPE_CHECKING:
    from cliptune.data.dataset import Dataset

PLACEHOLDER = "{list}"
#: Seconds between two looks at what the program has made, and those it gets to end when told to.
POLL_SECONDS, GRACE_SECONDS = 0.2, 5.0
Waiting = dict[Path, tuple[Example, tuple[int, int]]]


class CommandSegmenter(Segmenter):
    """Masks by a program of the user's own, started once for each batch."""

    batch_size = 0

    def __init__(self, command: str):
        try:
            self.argv = shlex.split(command)
        except ValueError as error:
            raise UserError(f"command {command!r} cannot be split into words: {str(error).lower()}") from None
        if not self.argv:
            raise UserError('no program after command: ; write --with command:"python my_segmenter.py"')
        self.command = command
        self.about = {"with": "command", "command": command}

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
                    told = {"image": str(image), "classname": name, "classnames": names, "output": str(output)}
                    lines.write(json.dumps(told, ensure_ascii=False) + "\n")
                    waiting[output] = example, size
            if not waiting:
                return
            tried: dict[Path, tuple[int, int]] = {}
            with self._running(work) as child:
                while child.poll() is None:
                    yield from _collect_masks(work, waiting, tried)
                    with suppress(subprocess.TimeoutExpired):
                        child.wait(POLL_SECONDS)
                yield from _collect_masks(work, waiting, tried)
            if child.returncode:
                raise UserError(self._failure(child.returncode, work))
            for output, (example, size) in waiting.items():
                yield example, _explain_missing(output, size)

    @contextmanager
    def _running(self, work: Path) -> Iterator[subprocess.Popen[bytes]]:
        """The program at work; however the block ends, it ends too."""
        listed = str(work / "list.jsonl")
        argv = [word.replace(PLACEHOLDER, listed) for word in self.argv]
        argv += [] if argv != self.argv else [listed]
        with open(work / "stdout", "wb") as out, open(work / "stderr", "wb") as err:
            try:
                child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
            except OSError as error:
                reason = (error.strerror or type(error).__name__).lower()
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
        told, loud = (
            (work / name).read_text(encoding="utf-8", errors="replace").strip() for name in ("stdout", "stderr")
        )
        lines = [line.strip() for line in (loud or told).splitlines() if line.strip(" ^~")]
        how = f"exit status {code}" if code > 0 else f"signal {-code}"
        words = f"saying: {' / '.join(lines[-3:])}" if lines else "saying nothing"
        return f"{self.command!r} ended with {how}, {words}; its masks so far are kept, the same command makes the rest"


def _image_file(dataset: Dataset, example: Example, temporary: Path) -> Path:
    """A file that shows the picture as it is read: its own, or a temporary one if that lies on its side or is none."""
    if example.path is not None and exif_orientation(example.path) == 1:
        return example.path.absolute()
    Image.fromarray(dataset.read(example).image.permute(1, 2, 0).numpy()).save(temporary)
    return temporary


def _collect_masks(
    work: Path, waiting: Waiting, tried: dict[Path, tuple[int, int]]
) -> Iterator[tuple[Example, Tensor]]:
    """Masks that are whole by now, taken off `waiting`. tried: size and time of files looked at before."""
    for output in sorted(work.glob("mask-*.png")):
        if output not in waiting:
            continue
        example, size = waiting[output]
        try:
            stamp = output.stat().st_size, output.stat().st_mtime_ns
            if tried.get(output) == stamp:
                continue
            tried[output] = stamp
            mask = _read_map(output, size)
        except (UserError, OSError):  # half written so far, or bad for good, which is told at the end
            continue
        del waiting[output]
        with suppress(OSError):  # a program that still holds it open
            output.unlink()
        yield example, mask


def _read_map(path: Path, size: tuple[int, int]) -> Tensor:
    """A mask as a map `(H, W)` in [0, 1]. Raises `UserError` for what is no mask of that shape."""
    mask = read_mask(path, size, encoding=PixelEncoding("grey"))[0][0].float()
    return mask / (1 if mask.max() <= 1 else 255)


def _explain_missing(path: Path, size: tuple[int, int]) -> str:
    try:
        _read_map(path, size)
    except UserError as error:
        return "the program made none" if not path.exists() else str(error).replace(str(path), "of the program")
    return "the program was still writing it when it ended; run the same command again"
