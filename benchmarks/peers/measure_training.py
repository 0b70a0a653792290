"""Run inside the peers' environment: time training steps in turns, or take one candidate's peak memory; print JSON.

All candidates train one network: convolution, batch norm, average pooling, neurons (u = u / 2 + x, soft reset), all
steps in one batch but for the neurons. Only the neurons differ; each framework's are used as its own user would, with
its default surrogate gradient.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # measure, which knows no peer

import snntorch
import torch
from measure import take_turns
from spikejoule.models.networks.network_config import NetworkConfig
from spikejoule.models.networks.neurons import Neurons
from spikejoule.models.networks.spiking_network import SpikingNetwork
from spikingjelly.activation_based import functional, neuron
from torch import Tensor, nn

STEPS, SAMPLES = 4, 32
NETWORK = NetworkConfig(network="vgg11", input_shape=(3, 32, 32), steps=STEPS, width=0.25, input_kind="analog")
MAPS = (STEPS, SAMPLES, 32, 16, 16)
ROUNDS = 15


class SnnTorchNeurons(nn.Module):
    """snnTorch's neurons in the loop over steps that its users write."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = snntorch.Leaky(beta=0.5)

    def forward(self, current: Tensor) -> Tensor:
        potential, spikes = self.cell.reset_mem(), []
        for step in current:
            emitted, potential = self.cell(step, potential)
            spikes.append(emitted)
        return torch.stack(spikes)


class SpikingJellyNeurons(nn.Module):
    """SpikingJelly's neurons over all steps at once (its compiled backends are for GPUs)."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = neuron.LIFNode(tau=2.0, decay_input=False, v_reset=None, step_mode="m")

    def forward(self, current: Tensor) -> Tensor:
        functional.reset_net(self.cell)
        return self.cell(current)


class NorseNeurons(Neurons):
    """A loop over Norse's cell, differentiated by autograd: what ours replaces."""

    def forward(self, current: Tensor) -> Tensor:
        state, spikes = None, []
        for step in current:
            emitted, state = self.step(step, state)
            spikes.append(emitted)
        return torch.stack(spikes)


NEURONS: dict[str, Callable[[], nn.Module]] = {
    "ours": lambda: Neurons(1.0, 0.5),
    "snnTorch": SnnTorchNeurons,
    "SpikingJelly": SpikingJellyNeurons,
    "Norse": lambda: NorseNeurons(1.0, 0.5),
}


class PlainVgg(nn.Module):
    """The network of `NETWORK` with any neurons, its maps in the layout of its input."""

    def __init__(self, neurons: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.blocks, inputs = nn.ModuleList(), NETWORK.input_shape[0]
        for node in NETWORK.nodes:
            layers = [nn.Conv2d(inputs, node.channels, 3, padding=1, bias=False), nn.BatchNorm2d(node.channels)]
            layers += [nn.AvgPool2d(node.pool)] if node.pool > 1 else []
            self.blocks.append(nn.ModuleList([nn.Sequential(*layers), neurons()]))
            inputs = node.channels
        self.classifier = nn.Linear(inputs, NETWORK.classes)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(0, 1)
        for synapses, neurons in self.blocks:
            x = neurons(synapses(x).unflatten(0, (STEPS, -1))).flatten(0, 1)
        return self.classifier(x.mean(dim=(2, 3))).unflatten(0, (STEPS, -1)).mean(0)


def training_step(name: str, samples: int = SAMPLES) -> Callable[[], None]:
    """Forward and backward of one batch; ``name`` is a framework, with ", plain" for contiguous maps."""
    torch.manual_seed(0)
    framework, _, plain = name.partition(", ")
    model = SpikingNetwork(NETWORK) if framework == "ours" else PlainVgg(NEURONS[framework])
    x, target = torch.rand(STEPS, samples, *NETWORK.input_shape), torch.randint(0, NETWORK.classes, (samples,))
    if not plain:
        x = x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (STEPS, -1))

    def step(x: Tensor = x, target: Tensor = target) -> None:
        model.zero_grad()
        nn.functional.cross_entropy(model(x), target).backward()

    return step


def neurons_alone(name: str) -> Callable[[], None]:
    """Forward and backward of a population alone."""
    torch.manual_seed(0)
    neurons, current, gradient = NEURONS[name](), torch.randn(MAPS, requires_grad=True), torch.randn(MAPS)

    def both() -> None:
        current.grad = None
        neurons(current).backward(gradient)

    return both


def peak_mib(name: str) -> float:
    """Peak of this process during a step, above what it held before; a step of two samples has gone before.

    The peak counter of the process is set back by the kernel first: a child's would otherwise start at its parent's.
    """
    training_step(name, samples=2)()
    step = training_step(name)
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    step()
    return (_status("VmHWM") - before) / 1024


def _status(field: str) -> int:
    return int(Path("/proc/self/status").read_text().split(f"{field}:")[1].split()[0])


def main() -> None:
    torch.set_num_threads(1)
    if sys.argv[1] == "memory":
        print(json.dumps({"mib": peak_mib(sys.argv[2])}))
        return
    names = ["ours", "snnTorch", "SpikingJelly", "snnTorch, plain", "SpikingJelly, plain"]
    result = {
        "step": take_turns({name: training_step(name) for name in names}, rounds=ROUNDS, warm_up=1),
        "neurons": take_turns({name: neurons_alone(name) for name in NEURONS}, rounds=ROUNDS),
        "versions": {name: importlib.metadata.version(name.lower()) for name in ("snnTorch", "SpikingJelly", "Norse")},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
