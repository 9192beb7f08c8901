"""Comparison of recorded and rebuilt tensors: tolerances by tensor name, one line per group, nothing skipped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from golden.case import Case


@dataclass(frozen=True)
class Bound:
    """`|got - want| <= absolute + relative * |want| + of_largest * max |want|`, elementwise; all zero: equality."""

    absolute: float = 0.0
    relative: float = 0.0
    of_largest: float = 0.0

    def allowed(self, want: NDArray) -> NDArray:
        size = np.abs(want)
        return self.absolute + self.relative * size + self.of_largest * size.max(initial=0.0)


EXACT = Bound()
#: The bounds of the recordings' README, section 13; `case.json` overrides those that it names.
BOUNDS = {
    "features": Bound(1e-5),
    "logits": Bound(1e-4),
    "losses": Bound(1e-5, 1e-4),
    "grads": Bound(of_largest=1e-3),
    "norms": Bound(relative=1e-3),
    "trace.losses": Bound(relative=2e-3),
    "trace.norms": Bound(relative=1e-4),
    # No bound is stated for tensors after the last step: use that of norms, relative to the largest entry.
    "trace.final": Bound(of_largest=1e-4),
    "saliency": Bound(1e-4),
    # Saliency before the division by its maximum.
    "cam": Bound(of_largest=1e-4),
    "schedule": Bound(1e-15, 1e-9),
    "exact": EXACT,
}
#: The first pattern found in a tensor's name decides its kind.
KINDS = (
    (r"^(param|init|mask)\b", "exact"),
    (r"^trace\.losses", "trace.losses"),
    (r"^trace\.param_norms", "trace.norms"),
    (r"^trace\.final\.", "trace.final"),
    (r"^grad\w*_norm\.", "norms"),
    (r"^grad(_|\.|ient)", "grads"),
    (r"^cam_", "cam"),
    (r"^saliency", "saliency"),
    (r"logits", "logits"),
    (r"loss", "losses"),
    (r"", "features"),
)


@dataclass
class Report:
    """Collects comparisons of one case; `lines` and `passed` are the verdict."""

    case: Case
    #: The largest difference of a tensor relative to its largest recorded value, and the tensor's name.
    largest: tuple[float, str] = (0.0, "")
    _worst: dict[str, tuple[float, str, float, float, int]] = field(default_factory=dict)
    _problems: list[str] = field(default_factory=list)
    _answered: set[str] = field(default_factory=set)

    def wants(self, name: str) -> bool:
        """Whether a tensor of this name is recorded."""
        return name in self.case.tensors

    def used(self, names: Iterable[str]) -> None:
        """Mark tensors as inputs, which are not compared."""
        self._answered |= set(names)

    def problem(self, text: str) -> None:
        self._problems.append(text)

    def tensor(self, name: str, got: torch.Tensor | NDArray, bound: Bound | None = None) -> None:
        """Compare a recorded tensor with the rebuilt one; names that are not recorded are ignored."""
        if self.wants(name):
            self._answered.add(name)
            self._compare(name, group(name), got, self.case.tensors[name], bound or self.bound(name))

    def masked(self, name: str, got: torch.Tensor, keep: torch.Tensor) -> None:
        """Compare only where `keep`."""
        if self.wants(name):
            want = self.case.tensors[name]
            if want.shape == tuple(keep.shape):
                got = torch.where(keep, got, torch.from_numpy(want).to(got))
            self.tensor(name, got)

    def value(self, name: str, got: Any, want: Any, bound: Bound = EXACT) -> None:
        """Compare something recorded in `case.json`: numbers within `bound`, anything else for equality."""
        if bound is EXACT:
            self._note(name, group(name), float(got != want), 0.0)
            if got != want:
                self.problem(f"{name}: rebuilt {_short(got)}, recorded {_short(want)}")
        else:
            self._compare(name, group(name), np.asarray(got), np.asarray(want), bound)

    def all_known(self, name: str, content: Mapping[str, Any], *known: str) -> None:
        """Report keys of `case.json` that the check did not use."""
        self._problems += [f"not compared: {name}.{key}" for key in content if key not in known]

    def bound(self, name: str) -> Bound:
        """The bound for a tensor, by its name and type."""
        if self.case.tensors[name].dtype.kind in "iub":
            return EXACT
        kind = next(kind for pattern, kind in KINDS if re.search(pattern, name))
        return _overridden(kind, self.case.json.get("tolerances", {}))

    @property
    def passed(self) -> bool:
        return not self._problems and not self._missing() and bool(self._worst)

    def lines(self) -> list[str]:
        """One line per group with its largest error, then one line per failure."""
        lines = []
        for name, (ratio, worst, error, allowed, count) in sorted(self._worst.items()):
            mark = "ok  " if ratio <= 1 else "FAIL"
            found = f"largest error {error:.2e} of {allowed:.2e} ({worst})"
            lines.append(f"{mark} {self.case.name:24} {name:24} {count:3} compared, {found}")
        failures = self._problems + [f"not compared: {name}" for name in self._missing()]
        if not self._worst:
            failures.append("nothing was compared")
        return lines + [f"FAIL {self.case.name:24} {text}" for text in failures]

    def _missing(self) -> list[str]:
        return sorted(set(self.case.tensors) - self._answered)

    def _compare(self, name: str, kind: str, got: torch.Tensor | NDArray, want: NDArray, bound: Bound) -> None:
        got = got.detach().cpu().numpy() if isinstance(got, torch.Tensor) else np.asarray(got)
        if got.shape != want.shape:
            self.problem(f"{name}: rebuilt with shape {list(got.shape)}, recorded {list(want.shape)}")
            self._note(name, kind, float("inf"), 0.0)
            return
        want = want.astype(np.float64)
        error = np.abs(got.astype(np.float64) - want)
        allowed = np.broadcast_to(bound.allowed(want), error.shape)
        if not error.size:
            self._note(name, kind, 0.0, 0.0)
            return
        size = float(np.abs(want).max())
        self.largest = max(self.largest, (float(error.max()) / size if size else 0.0, name))
        excess = np.where(np.isnan(error), np.inf, error - allowed)
        at = np.unravel_index(excess.argmax(), excess.shape)
        self._note(name, kind, float(error[at]), float(allowed[at]))
        if excess[at] > 0:
            self.problem(f"{name}: error {error[at]:.3e} at {[int(i) for i in at]}, allowed {allowed[at]:.3e}")

    def _note(self, name: str, kind: str, error: float, allowed: float) -> None:
        ratio = 0.0 if error == 0 else error / allowed if allowed else float("inf")
        ratio = float("inf") if np.isnan(ratio) else ratio
        before = self._worst.get(kind)
        count = before[4] + 1 if before else 1
        if before and before[0] >= ratio:
            self._worst[kind] = (*before[:4], count)
        else:
            self._worst[kind] = (ratio, name, error, allowed, count)


def group(name: str) -> str:
    """`grad.epoch3.prompt_learner.ctx` -> `grad`, `epoch3.loss` -> `epoch.loss`, `mask.seed1` -> `mask`."""
    first, _, rest = name.partition(".")
    if first == "trace" or re.fullmatch(r"epoch\d+", first):
        first = f"{first.rstrip('0123456789')}.{rest.partition('.')[0]}"
    return re.sub(r"\[.*", "", first)


def _overridden(kind: str, stated: dict[str, Any]) -> Bound:
    """The bound of a kind, with the numbers `case.json` states (`grads_atol` reads "1e-3 * max|g| of that tensor")."""
    bound = BOUNDS[kind]
    if kind == "norms":
        return Bound(relative=float(stated.get("grads_rtol", bound.relative)))
    if kind == "grads" and "grads_atol" in stated:
        text = str(stated["grads_atol"])
        number = float(text.split("*")[0])
        return Bound(of_largest=number) if "max" in text else Bound(number)
    if kind in ("features", "logits", "losses"):
        return Bound(
            float(stated.get(f"{kind}_atol", bound.absolute)), float(stated.get(f"{kind}_rtol", bound.relative))
        )
    return bound


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
