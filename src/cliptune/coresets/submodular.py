"""Images that maximise a submodular function of gradient similarities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from cliptune.coresets.common.signals import Selection
from cliptune.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from cliptune.coresets.common.pool import Group, Pool

Function = Literal["graph_cut", "facility_location", "log_determinant"]


def submodular(pool: Pool, *, function: Function = "graph_cut") -> Selection:
    """Greedily maximise a function of s_ij = (1 + cos(G_i, G_j)) / 2, the similarity of last-layer gradients (Iyer et
    al., Submodular Combinatorial Information Measures, ALT 2021; similarity of Guo, Zhao & Bai, DeepCore, DEXA 2022).

    graph_cut: 2 sum_{i in V, j in A} s_ij - sum_{i, j in A} s_ij; the factor 2 makes it monotone.
    facility_location: sum_{i in V} max_{j in A} s_ij.
    log_determinant: log det of s restricted to A.

    "dapt" has 1 instead of 2, with which graph_cut decreases in the end. Its log_determinant selects the first images
    of each class (up to rounding of its pseudo-inverse): it maximises the term that should be subtracted, which is 0
    for all images at first and exceeds every outdated gain once it is recomputed.
    """
    import torch

    from cliptune.coresets.common.gradients import Gradients
    from cliptune.coresets.common.greedy import facility_location, graph_cut, log_determinant
    from cliptune.coresets.common.kernels import cosine_similarities

    if function not in get_args(Function):
        raise UserError(f"function={function!r} is none of {', '.join(get_args(Function))}")
    dapt = pool.variant == "dapt"

    def choose(group: Group) -> Tensor:
        if function == "log_determinant" and dapt:
            return torch.arange(group.budget, device=group.rows.device)
        gradients = Gradients.from_pool(pool, group.rows)
        similarity, diagonal = cosine_similarities(gradients, pool.method, eps=1e-6 if dapt else 0.0)
        if function == "facility_location":
            return facility_location(similarity.__getitem__, len(similarity), group.budget)[0]
        if function == "graph_cut":
            return graph_cut(similarity, diagonal, group.budget, 1 if dapt else 2)[0]
        return log_determinant(similarity, diagonal, group.budget)[0]

    return pool.select_by_group(choose)
