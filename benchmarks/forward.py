"""Recording and counting as a share of the forward pass whose spikes they read; one thread."""

from __future__ import annotations

import torch
from layers import SAMPLES, STEPS, packed, spikes, vgg_layers
from measure import Row, ratio, summary, take_turns
from spikejoule.sim.counting.layer_counts import count_packed
from spikejoule.sim.trace.packing import pack

CHANNELS = [64, 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512]
CLASSES = 10


class SpikingVgg(torch.nn.Module):
    """VGG-11 for 32 x 32 images with binary convolutions, batch norm and LIF neurons, step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = torch.nn.ModuleList()
        inputs, pool = 3, False
        for entry in CHANNELS:
            if entry == "pool":
                pool = True
                continue
            convolution = torch.nn.Conv2d(inputs, int(entry), 3, padding=1, bias=False)
            convolution.weight.data = convolution.weight.data.sign()
            before = [torch.nn.AvgPool2d(2)] if pool else []
            self.blocks.append(torch.nn.Sequential(*before, convolution, torch.nn.BatchNorm2d(int(entry))))
            inputs, pool = int(entry), False
        self.readout = torch.nn.Linear(inputs, CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (samples, classes) of a held image (samples, 3, 32, 32)."""
        potentials: list[torch.Tensor | float] = [0.0] * len(self.blocks)
        total = torch.zeros(len(image), CLASSES)
        for _ in range(STEPS):
            x = image
            for index, block in enumerate(self.blocks):
                potential = 0.5 * potentials[index] + block(x)
                x = (potential > 1).float()
                potentials[index] = potential - x
            total += self.readout(x.mean(dim=(2, 3)))
        return total


def forward_rows() -> list[Row]:
    torch.set_num_threads(1)
    layers = vgg_layers()
    maps = [torch.from_numpy(spikes(layer)) for layer in layers]
    words = [packed(layer) for layer in layers]
    network, image = SpikingVgg().eval(), torch.rand(SAMPLES, 3, 32, 32)

    def forward() -> None:
        with torch.no_grad():
            network(image)

    def convolutions() -> None:
        with torch.no_grad():
            for layer, signal, weight in zip(layers, maps, weights, strict=True):
                rows = signal.reshape(STEPS * SAMPLES, *layer.in_shape)
                torch.nn.functional.conv2d(rows, weight, padding=1)

    weights = [torch.randn(layer.weight_shape).sign() for layer in layers]

    def record_and_count() -> None:
        for layer, signal in zip(layers, maps, strict=True):
            count_packed(layer, pack(signal.numpy(), "spike", layer.name))

    def count() -> None:
        for layer, part in zip(layers, words, strict=True):
            count_packed(layer, part)

    candidates = {"forward": forward, "convolutions": convolutions, "live": record_and_count, "packed": count}
    seconds = take_turns(candidates, rounds=7)
    live, share = seconds["live"], "share of the forward pass"
    return [
        summary("forward pass (convolutions, batch norm, LIF)", seconds["forward"], "s"),
        ratio(f"recording and counting live tensors: {share}", live, seconds["forward"], 0.005, at_least=False),
        ratio(
            "recording and counting live tensors: share of the seven convolutions alone", live, seconds["convolutions"]
        ),
        ratio(f"counting a packed trace: {share}", seconds["packed"], seconds["forward"]),
    ]
