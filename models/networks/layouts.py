"""The layouts of the networks: which populations there are, what each reads, and how the last one is read out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ...sim.errors import InvalidInput
from ...sim.network.workload import INPUT

RESIDUALS = ("current", "graded", "and", "or")


@dataclass(frozen=True, kw_only=True)
class Node:
    """One population and the synapses that feed it, or a merge of the spikes of two.

    Attributes
    ----------
    name : str
        Of its layer and of its signal.
    kind : {'conv', 'linear', 'recurrent', 'merge'}
        'recurrent' is a linear layer with self-connections.
    source : str
        The signal it reads.
    channels : int
        Output channels or features, before the network's width; of a merge those of what it merges.
    kernel, stride, pool : int
        Of convolutions; the pooling is of the current.
    pooled : bool
        Linear layers: on the spatial mean of maps instead of all their elements.
    other : str or None
        The signal of a second branch: a shortcut into the current, or what a merge reads second.
    shortcut : {None, 'identity', 'conv'}
        Whether the second branch passes spikes or convolves them (1 x 1, the stride of ``shortcut_stride``).
    mode : str
        Of a merge: 'graded', 'and' or 'or'.
    float_weights : bool
        Full precision in a BSNN too.
    """

    name: str
    kind: str = "conv"
    source: str
    channels: int
    kernel: int = 3
    stride: int = 1
    pool: int = 1
    pooled: bool = False
    other: str | None = None
    shortcut: str | None = None
    shortcut_stride: int = 1
    mode: str = ""
    float_weights: bool = False


@dataclass(frozen=True)
class Layout:
    """A network before width, input and weights are chosen.

    Attributes
    ----------
    nodes : callable
        Residual kind -> nodes in the order they are computed; the first stays full precision in a BSNN.
    axes : tuple of int
        Number of axes that an input may have at one step: 3 (channels, height, width), 1 (features).
    pooled : bool
        The classifier reads the spatial mean of the last maps; else all their elements.
    residual : bool
        Whether there are branches, so that a residual kind other than 'current' means something.
    """

    nodes: Callable[[str], list[Node]]
    axes: tuple[int, ...] = (3,)
    pooled: bool = True
    residual: bool = False


def stack(*convolutions: tuple[int, int], pooled: bool = True) -> Layout:
    """3 x 3 convolutions one after the other, each (channels, window of the average pooling behind it)."""
    nodes, source = [], INPUT
    for index, (channels, pool) in enumerate(convolutions, start=1):
        nodes.append(Node(name=f"conv{index}", source=source, channels=channels, pool=pool))
        source = f"conv{index}"
    return Layout(lambda residual: list(nodes), pooled=pooled)


def dense(kind: str, *sizes: int) -> Layout:
    """Linear layers one after the other, with self-connections where the kind is 'recurrent'."""
    nodes, source = [], INPUT
    for index, size in enumerate(sizes, start=1):
        nodes.append(Node(name=f"fc{index}", kind=kind, source=source, channels=size))
        source = f"fc{index}"
    return Layout(lambda residual: list(nodes), axes=(3, 1), pooled=False)


def residual(
    stem: int,
    stages: tuple[tuple[int, int, int], ...],
    hidden: int = 0,
    kernel: int = 3,
    stride: int = 1,
    pool: int = 1,
) -> Layout:
    """A stem, stages (channels, basic blocks, stride of the first), and ``hidden`` neurons before the classifier.

    The stem is one convolution with ``kernel``, ``stride`` and pooling of the current.

    Where a block changes the shape, its shortcut is a 1 x 1 convolution with batch norm, which stays full precision in
    a BSNN: only so does the published size of a binary ResNet-18 come out (docs/agmm.md).
    """

    def nodes(kind: str) -> list[Node]:
        found = [Node(name="conv1", source=INPUT, channels=stem, kernel=kernel, stride=stride, pool=pool)]
        for stage, (channels, blocks, step) in enumerate(stages, start=1):
            for index in range(1, blocks + 1):
                found += _basic_block(f"s{stage}b{index}", found[-1], channels, step if index == 1 else 1, kind)
        if hidden:
            found.append(Node(name="fc1", kind="linear", source=found[-1].name, channels=hidden, pooled=True))
        return found

    return Layout(nodes, pooled=not hidden, residual=True)


def _basic_block(name: str, before: Node, channels: int, stride: int, residual: str) -> list[Node]:
    source, changed = before.name, stride != 1 or before.channels != channels
    first = Node(name=f"{name}_conv1", source=source, channels=channels, stride=stride)
    second = Node(name=f"{name}_conv2", source=first.name, channels=channels)
    if residual == "current":
        shortcut = "conv" if changed else "identity"
        return [first, replace(second, other=source, shortcut=shortcut, shortcut_stride=stride)]
    nodes, other = [first, second], source
    if changed:
        other = f"{name}_skip"
        nodes.append(Node(name=other, source=source, channels=channels, kernel=1, stride=stride, float_weights=True))
    merged = Node(name=f"{name}_sum", kind="merge", source=second.name, channels=channels, other=other, mode=residual)
    return [*nodes, merged]


NETWORKS: dict[str, Layout] = {
    # 16C3-AP2-32C3-AP2-32C3-GAP-FC
    "csnn": stack((16, 2), (32, 2), (32, 1)),
    # 64C3-128C3-AP2-256C3-256C3-AP2-512C3-512C3-AP2-512C3-512C3-GAP-FC (Liang et al., BSO, ICML 2025)
    "vgg11": stack((64, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2), (512, 1), (512, 1)),
    # 64C3-128C3-AP2-256C3-256C3-AP2-512C3-512C3-AP2-512C3-512C3-AP2-FC: VGGSNN of Deng et al., TET, ICLR 2022,
    # arXiv 2202.11946, for 48 x 48 x 2 events; there the pooling is behind the neurons, here before them
    "vggsnn": stack((64, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2), (512, 1), (512, 2), pooled=False),
    # He et al. 2016, doi:10.1109/CVPR.2016.90, with a 3 x 3 stem without pooling, as used for 32 x 32 images
    "resnet18": residual(64, ((64, 2, 1), (128, 2, 2), (256, 2, 2), (512, 2, 2))),
    # the same with ImageNet's stem of 7 x 7 and stride 2; average pooling of the current stands for its max pooling
    "resnet18-imagenet": residual(64, ((64, 2, 1), (128, 2, 2), (256, 2, 2), (512, 2, 2)), kernel=7, stride=2, pool=2),
    # Zheng et al., tdBN, AAAI-21, arXiv 2011.05280; its hidden linear layer has batch norm here, like every population
    "resnet19": residual(128, ((128, 3, 1), (256, 3, 2), (512, 2, 2)), hidden=256),
    "mlp": dense("linear", 256, 256),
    # recurrent layers as for spoken digits in Cramer et al. 2022, doi:10.1109/TNNLS.2020.3044364 (128 neurons there)
    "recurrent": dense("recurrent", 256, 256),
}


def scaled(nodes: list[Node], width: float) -> list[Node]:
    """The nodes with their channels times ``width``, at least one each."""
    return [replace(node, channels=max(1, round(node.channels * width))) for node in nodes]


def shapes(network: str, nodes: list[Node], input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Shape of every signal at one step.

    Raises
    ------
    InvalidInput
        If the input has another number of axes than the network reads, or is smaller than its pooling.
    """
    axes = NETWORKS[network].axes
    if len(input_shape) not in axes or any(size < 1 for size in input_shape):
        allowed = " or ".join({3: "(channels, height, width)", 1: "(features,)"}[number] for number in axes)
        raise InvalidInput(f"network {network!r}: input shape {input_shape} is not {allowed}")
    found = {INPUT: tuple(input_shape)}
    for node in nodes:
        before = found[node.source]
        if node.kind == "merge":
            found[node.name] = before
        elif node.kind == "conv":
            # padded by half the kernel, which is odd
            sizes = [((size - 1) // node.stride + 1) // node.pool for size in before[1:]]
            if min(sizes) < 1:
                raise InvalidInput(
                    f"network {network!r}: nothing is left of input shape {input_shape} behind the pooling of "
                    f"{node.name!r}; give at least {_smallest(nodes)} x {_smallest(nodes)} places"
                )
            found[node.name] = (node.channels, *sizes)
        else:
            found[node.name] = (node.channels,)
    return found


def _smallest(nodes: list[Node]) -> int:
    """Side of the smallest maps that all pooling leaves something of; strides alone always do."""
    size = 1
    for node in nodes:
        size *= node.pool
    return size
