"""Where a training runs and in which precision: Hugging Face accelerate, one CPU process unless asked otherwise."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ...sim.errors import InvalidInput

if TYPE_CHECKING:
    from accelerate import Accelerator

DEVICES = ("cpu", "auto")


def make_accelerator(device: str = "cpu", precision: str = "no", accumulate: int = 1) -> Accelerator:
    """What places, wraps and synchronises a training.

    Parameters
    ----------
    device : {'cpu', 'auto'}
        'auto' takes the GPU if there is one. Under ``accelerate launch`` each process gets its own.
    precision : {'no', 'bf16', 'fp16'}
    accumulate : int
        Parts of a batch; every part's loss is divided by it.

    Raises
    ------
    InvalidInput
        If the device is not known or cannot compute in that precision.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    if device not in DEVICES:
        raise InvalidInput(f"train: device is {device!r}; use one of {', '.join(DEVICES)}")
    # accelerate keeps one state per process, which fixes device and precision for good, but two trainings in one
    # process may differ in both; the process group of a launched training must stay
    AcceleratorState._reset_state(reset_partial_state="WORLD_SIZE" not in os.environ)
    accelerator = Accelerator(cpu=device == "cpu", mixed_precision=precision, gradient_accumulation_steps=accumulate)
    if precision == "fp16" and accelerator.device.type == "cpu":
        raise InvalidInput(
            "train: precision 'fp16' needs a GPU, and there is none or device is 'cpu'; use precision 'bf16' or 'no'"
        )
    return accelerator
