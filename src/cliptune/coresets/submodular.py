"""Pictures that maximise a submodular function of similar gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from cliptune.coresets.common.signals import Selection
from cliptune.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from cliptune.coresets.common.pool import Group, Pool

Function = Literal["graph_cut", "facility_location", "log_determinant"]


def submodular(pool: Pool, *, function: Function = "graph_cut", slack: float | None = None) -> Selection:
    """Greedy on a function of s_ij = (1 + cos(G_i, G_j)) / 2, the similarity of last-layer gradients (Iyer et al.,
    Submodular Combinatorial Information Measures, ALT 2021; similarity as in Guo, Zhao & Bai, DeepCore,
    DEXA 2022):

    graph_cut: 2 sum_{i in V, j in A} s_ij - sum_{i, j in A} s_ij, monotone with this 2.
    facility_location: sum_{i in V} max_{j in A} s_ij.
    log_determinant: log det of s among A.

    slack: of facility_location; each step looks at a few pictures drawn, and the value is on average at least
    1 - 1/e - slack of the best (`parts.sampled`). None: at all pictures, at least 1 - 1/e. To that end their
    similarities are held, beyond 4,096 pictures at once rounded to 16 bits; more than 56,755 at once need a slack.

    "dapt" has 1 in place of 2, with which graph_cut falls in the end; its log_determinant takes the first pictures of
    each class (but for rounding of its pseudo-inverse): the gain is what should have been subtracted, 0 for all at
    first, and larger than any stale gain as soon as it is computed anew.
    """
    import torch

    from cliptune.coresets.common.cosine import CosineKernel
    from cliptune.coresets.common.covering import greedy_cover
    from cliptune.coresets.common.gradients import Gradients
    from cliptune.coresets.common.graph_cut import graph_cut
    from cliptune.coresets.common.log_determinant import log_determinant
    from cliptune.coresets.common.room import ALONE, announce

    if function not in get_args(Function):
        raise UserError(f"function={function!r} is none of {', '.join(get_args(Function))}")
    if slack is not None and function != "facility_location":
        raise UserError(f"slack={slack} is of function=facility_location alone; {function} looks at all pictures")
    dapt = pool.variant == "dapt"

    def choose(group: Group) -> Tensor:
        if function == "log_determinant" and dapt:
            return torch.arange(group.budget, device=group.rows.device)
        kernel = CosineKernel.of(Gradients.of(pool, group.rows), soft=1e-6 if dapt else 0.0)
        if function == "facility_location":
            return greedy_cover(kernel, group.budget, slack, pool)[0]
        width = kernel.gradients.width
        each = width + group.budget / 2 if function == "log_determinant" else ALONE * width
        announce(pool.method, group.budget, kernel.norms, each)
        if function == "graph_cut":
            return graph_cut(kernel, group.budget, 1 if dapt else 2)[0]
        return log_determinant(kernel, group.budget, pool.method)[0]

    return pool.by_group(choose)
