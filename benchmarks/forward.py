"""Recording and counting as a share of the forward pass whose spikes they read; one thread."""

from __future__ import annotations

import torch
from layers import SAMPLES, STEPS, packed, spikes, vgg_layers
from measure import Row, ratio, summary, take_turns

from spikejoule.sim.packing import pack_values
from spikejoule.sim.synops import count_packed

FIRST = (3, 64, 32)  # the first, full-precision convolution: inputs, outputs, size


def forward_rows() -> list[Row]:
    """The forward pass is the eight convolutions alone, so the shares are upper bounds."""
    torch.set_num_threads(1)
    layers = vgg_layers()
    maps = [torch.from_numpy(spikes(layer).reshape(STEPS * SAMPLES, *layer.in_shape)) for layer in layers]
    weights = [torch.randn(layer.weight_shape).sign() for layer in layers]
    image = torch.randn(STEPS * SAMPLES, FIRST[0], FIRST[2], FIRST[2])
    first = torch.randn(FIRST[1], FIRST[0], 3, 3)
    words = [packed(layer) for layer in layers]

    def forward() -> None:
        with torch.no_grad():
            torch.nn.functional.conv2d(image, first, padding=1)
            for signal, weight in zip(maps, weights, strict=True):
                torch.nn.functional.conv2d(signal, weight, padding=1)

    def record_and_count() -> None:
        for layer, signal in zip(layers, maps, strict=True):
            values = signal.numpy().reshape(STEPS, SAMPLES, *layer.in_shape)
            count_packed(layer, pack_values(values, "spike", layer.name))

    def count() -> None:
        for layer, part in zip(layers, words, strict=True):
            count_packed(layer, part)

    seconds = take_turns({"forward": forward, "live": record_and_count, "packed": count}, rounds=7)
    return [
        summary("forward pass of the eight convolutions", seconds["forward"], "s"),
        ratio("recording and counting from live tensors: share of the forward pass",
              seconds["live"], seconds["forward"], 0.005, at_least=False),
        ratio("counting a packed trace: share of the forward pass", seconds["packed"], seconds["forward"]),
    ]  # fmt: skip
