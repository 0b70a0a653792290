"""What is counted: the seven binary convolutions of a VGG-11 for 32 x 32 images, 4 steps, 16 samples, 10 % spikes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from spikejoule.sim.counting.layer_counts import pack_input
from spikejoule.sim.network.workload import Conv2d

STEPS, SAMPLES, RATE = 4, 16, 0.1
GEOMETRY = [(64, 128, 32), (128, 256, 16), (256, 256, 16), (256, 512, 8), (512, 512, 8), (512, 512, 4), (512, 512, 4)]


def vgg_layers(*, zero_weights: bool = False, kernel: int = 3, stride: int = 1, padding: int = 1) -> list[Conv2d]:
    """The layers; with half of the weights zero, or with another kernel where it still fits."""
    rng = np.random.default_rng(1)
    layers = []
    for index, (inputs, outputs, size) in enumerate(GEOMETRY):
        if size + 2 * padding < kernel:
            continue
        mask = rng.random((outputs, inputs, kernel, kernel)) < 0.5 if zero_weights else None
        fields = {"out_channels": outputs, "kernel_size": kernel, "stride": stride, "padding": padding}
        layers.append(
            Conv2d(name=f"conv{index}", in_shape=(inputs, size, size), weight_kind="binary", nonzero=mask, **fields)
        )
    return layers


def spikes(layer: Conv2d, samples: int = SAMPLES) -> NDArray[np.float32]:
    """Independent spikes (steps, samples, C, H, W) as a network would hand them over."""
    rng = np.random.default_rng(layer.inputs)
    return (rng.random((STEPS, samples, *layer.in_shape), np.float32) < RATE).astype(np.float32)


def packed(layer: Conv2d, samples: int = SAMPLES) -> NDArray[np.uint64]:
    """The same spikes as a trace stores them."""
    return pack_input(layer, spikes(layer, samples))[0]
