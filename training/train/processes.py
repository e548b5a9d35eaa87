"""Several processes that train one model (`accelerate launch`): the first speaks, writes and exports for all."""

import os

import torch
from torch import distributed


def is_first() -> bool:
    """Also true where there is only one. Told from the launcher's variable, as it is asked before torch knows."""
    return int(os.environ.get("RANK", "0")) == 0


def any_says(claim: bool) -> bool:
    """Whether it holds in any process; all must ask at the same point, or they would wait for ever."""
    if not distributed.is_available() or not distributed.is_initialized():
        return claim
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    votes = torch.tensor([int(claim)], device=device)
    distributed.all_reduce(votes)
    return bool(votes.item())


def wait_for_all() -> None:
    """Returns once all processes are here."""
    any_says(False)
