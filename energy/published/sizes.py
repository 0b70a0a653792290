"""Stored size of the networks that papers on binary SNNs compare, by the rule that reproduces their tables.

4 bytes per full-precision weight, 1 bit per binary weight, 4 bytes per channel for each of batch norm's vectors, a bias
in the classifier only; first layer and classifier stay full precision (BSO, Liang et al., ICML 2025, table 2). MB are
10^6 bytes. The rule for a recorded network is `Workload.model_bytes`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ...sim.counting.operations import OperationCounts
from .scores import PublishedScore
from .shapes import require

VGG11_CHANNELS = (64, 128, 256, 256, 512, 512, 512, 512)
RESNET_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
FULL_BYTES = 4


def stored_bytes(full_precision: int, binary: int = 0) -> float:
    """Bytes of so many 32-bit parameters and so many 1-bit weights."""
    return FULL_BYTES * full_precision + binary / 8


def vgg_bytes(
    channels: Sequence[int] = VGG11_CHANNELS,
    *,
    in_channels: int = 3,
    kernel: int = 3,
    classes: int = 10,
    binary: bool = False,
    norm_vectors: int = 2,
) -> float:
    """Bytes of a plain convolutional network: convolutions without bias, global pooling, one classifier with bias.

    Parameters
    ----------
    channels : sequence of int
        Output channels of every convolution.
    in_channels, kernel, classes : int
    binary : bool
        Binary weights in all convolutions but the first.
    norm_vectors : int
        Vectors stored per channel: gamma and beta 2, with running statistics 4.

    Examples
    --------
    >>> [round(vgg_bytes(binary=binary) * 1e-6, 2) for binary in (False, True)]
    [36.91, 1.2]
    """
    require("channels", tuple(channels), len(channels) > 0 and min(channels) > 0, "positive numbers")
    weights = [a * b * kernel**2 for a, b in itertools.pairwise((in_channels, *channels))]
    full = norm_vectors * sum(channels) + (channels[-1] + 1) * classes
    return stored_bytes(full + weights[0], sum(weights[1:])) if binary else stored_bytes(full + sum(weights))


def resnet_bytes(
    depth: int = 18,
    *,
    binary: bool = False,
    downsample_fp: bool = True,
    norm_vectors: int = 2,
    in_channels: int = 3,
    classes: int = 1000,
) -> float:
    """Bytes of an ImageNet ResNet of basic blocks.

    Parameters
    ----------
    depth : {18, 34}
    binary : bool
        Binary weights in all convolutions but the stem (and the down-sampling ones).
    downsample_fp : bool
        Whether the 1x1 down-sampling convolutions stay full precision.
    norm_vectors : int
        As in `vgg_bytes`.

    Examples
    --------
    >>> [round(resnet_bytes(depth) * 1e-6, 2) for depth in (18, 34)]
    [46.76, 87.19]
    """
    require("depth", depth, depth in RESNET_BLOCKS, "one of " + ", ".join(map(str, RESNET_BLOCKS)))
    before, blocks, downsample, norms = 64, 0, 0, 64
    for stage, repeats in enumerate(RESNET_BLOCKS[depth]):
        width = 64 << stage
        blocks += (before * width + (2 * repeats - 1) * width**2) * 9
        norms += 2 * repeats * width
        if before != width:
            downsample += before * width
            norms += width
        before = width
    full = in_channels * 64 * 49 + norm_vectors * norms + (before + 1) * classes
    if not binary:
        return stored_bytes(full + blocks + downsample)
    return stored_bytes(full + downsample * downsample_fp, blocks + downsample * (not downsample_fp))


def sub_bit_width(codebook_bits: int, kernel_weights: int = 9) -> float:
    """Bits per weight where a kernel is an index into a code book of ``2^eta``: ``eta / 9`` (S2NN, arXiv:2509.24266).

    Examples
    --------
    >>> [round(sub_bit_width(eta), 2) for eta in (4, 5, 6)]
    [0.44, 0.56, 0.67]
    """
    require("codebook_bits", codebook_bits, 1 <= codebook_bits <= kernel_weights, f"from 1 to {kernel_weights}")
    return codebook_bits / kernel_weights


def score_size(counts: OperationCounts) -> PublishedScore:
    """Stored size of the recorded network, against the same network with 32-bit weights; no energy."""
    workload = counts.workload
    wide = sum(layer.weights for layer in workload.layers)
    vectors = sum(layer.out_shape[0] * layer.channel_vectors for layer in workload.layers if layer.weights)
    full = stored_bytes(wide + vectors)
    size = workload.model_bytes
    return PublishedScore(
        None, {}, {"model_bytes": size, "full_precision_bytes": full, "ratio": full / size if size else 1.0}
    )
