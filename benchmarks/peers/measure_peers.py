"""Run inside the peers' environment: time every counter's own counting step on the same layers, print JSON."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # layers and measure, which know no peer

import torch
from layers import packed, spikes, vgg_layers
from measure import take_turns
from neurobench.metrics.utils.layers.macs import single_layer_MACs
from sinabs.hooks import conv_layer_synops_hook
from spikejoule.sim.counting.layer_counts import count_packed
from spikejoule.sim.trace.packing import pack
from spikingjelly.activation_based.op_counter import SynOpCounter

CONVOLUTION = torch.ops.aten.convolution.default


def main() -> None:
    torch.set_num_threads(1)
    layers = vgg_layers()
    rows = [torch.from_numpy(spikes(layer)) for layer in layers]
    maps = [signal.flatten(0, 1) for signal in rows]
    words = [packed(layer) for layer in layers]
    modules = [convolution(layer) for layer in layers]
    with torch.no_grad():
        outputs = [module(signal) for module, signal in zip(modules, maps, strict=True)]

    def live() -> int:
        parts = [pack(signal.numpy(), "spike", "benchmark") for signal in rows]
        return total(count_packed(layer, part) for layer, part in zip(layers, parts, strict=True))

    def from_packed() -> int:
        return total(count_packed(layer, part) for layer, part in zip(layers, words, strict=True))

    def sinabs() -> int:
        operations = 0
        for module, signal, output in zip(modules, maps, outputs, strict=True):
            conv_layer_synops_hook(module, [signal], output)  # keeps its fan-out map after the first call
            operations += round(module.hook_data["layer_synops_per_timestep"].item() * len(signal))
        return operations

    def spikingjelly() -> int:
        rule = SynOpCounter().rules[CONVOLUTION]
        operations = 0
        for module, signal, output in zip(modules, maps, outputs, strict=True):
            arguments = (signal, module.weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1)
            operations += rule(arguments, {}, output)
        return operations

    def neurobench() -> int:
        operations = 0
        for module, signal in zip(modules, maps, strict=True):
            operations += int(single_layer_MACs(signal, module)[0])
            single_layer_MACs(signal, module, total=True)  # its metric asks for both
        return operations

    fast = {"live": live, "packed": from_packed, "sinabs": sinabs, "SpikingJelly": spikingjelly}
    seconds = take_turns(fast, rounds=9)
    slow = take_turns({"live": live, "packed": from_packed, "NeuroBench": neurobench}, rounds=2, warm_up=1)
    totals = {"ours": from_packed(), "live": live(), "sinabs": sinabs(), "SpikingJelly": spikingjelly()}
    totals["NeuroBench"] = neurobench()
    names = {"sinabs": "sinabs", "SpikingJelly": "spikingjelly", "NeuroBench": "neurobench"}
    result = {
        "seconds": {"sinabs": seconds, "SpikingJelly": seconds, "NeuroBench": slow},  # rounds shared with each
        "totals": totals,
        "versions": {name: importlib.metadata.version(package) for name, package in names.items()},
    }
    print(json.dumps(result))


def convolution(layer) -> torch.nn.Conv2d:
    """The layer as a module with +-1 weights."""
    inputs, outputs = layer.in_shape[0], layer.out_channels
    module = torch.nn.Conv2d(inputs, outputs, layer.kernel_size, layer.stride, layer.padding[::2], bias=False)
    module.weight.data = torch.where(torch.rand(layer.weight_shape) < 0.5, -1.0, 1.0)
    return module.requires_grad_(False)


def total(counts) -> int:
    return sum(int(count.all_weights.sum()) for count in counts)


if __name__ == "__main__":
    main()
