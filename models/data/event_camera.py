"""An ideal event camera: images seen through three saccades become streams of (x, y, t, p) events."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...sim.errors import InvalidInput

SENSOR = 16  # pixels along each side
EVENT_DTYPE = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", np.int8)])  # tonic's fields

_MAGNIFICATION = 1.75  # sensor pixels per image pixel: an 8 x 8 image covers 14 x 14 and has room to move
_CORNERS = ((0.0, -1.5), (1.5, 1.0), (-1.5, 1.0))  # (x, y) in sensor pixels; the gaze runs round this triangle
_SACCADE_US = 100_000  # one side of the triangle, as in N-MNIST
_SAMPLES_PER_SACCADE = 20
_DARK = 0.1  # added to intensities 0..1 before the logarithm: the darkest light the pixel resolves
_CONTRAST = 0.3  # change of log intensity that makes one event


def simulate_events(images: NDArray[np.floating]) -> list[NDArray[np.void]]:
    """Events of an ideal camera whose gaze runs round a triangle in front of still images.

    Each pixel remembers the logarithm of the intensity at its last event and emits one event per 0.3 of change,
    polarity 1 when it grew brighter. Between rendered positions the logarithm is taken as linear in time.

    Parameters
    ----------
    images : float array, shape (samples, height, width)
        Intensities from 0 to 1.

    Returns
    -------
    list of structured arrays
        One per image, fields ``x, y`` (pixels of a 16 x 16 sensor), ``t`` (microseconds from the start, at most
        300,000), ``p`` (0 or 1), ordered in time.

    Raises
    ------
    InvalidInput
        If there is no image, or an intensity outside 0..1.

    Notes
    -----
    Not modelled: noise, threshold mismatch between pixels, refractory time, bandwidth and read-out delay of a real
    sensor, and acceleration within a saccade. The three-saccade protocol follows N-MNIST (Orchard et al. 2015,
    doi:10.3389/fnins.2015.00437).
    """
    images = np.asarray(images, dtype=np.float32)
    if images.ndim != 3 or len(images) == 0:
        raise InvalidInput(f"event camera: images have shape {images.shape}; give (samples, height, width), not empty")
    if not (np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1):
        raise InvalidInput("event camera: intensities must lie in 0..1; divide the images by their largest value")
    positions, times = gaze()
    before = _log_intensity(images, positions[0])
    reference = before.copy()
    pieces: list[tuple[NDArray[np.int64], NDArray[np.void]]] = []
    for position, start, stop in zip(positions[1:], times[:-1], times[1:], strict=True):
        after = _log_intensity(images, position)
        change = after - reference
        count = np.floor(np.abs(change) / _CONTRAST + 1e-6).astype(np.int64)
        for crossing in range(1, int(count.max()) + 1):
            sample, y, x = np.nonzero(count >= crossing)
            rises = change[sample, y, x] > 0
            level = reference[sample, y, x] + np.where(rises, _CONTRAST, -_CONTRAST) * crossing
            span = after[sample, y, x] - before[sample, y, x]
            part = np.divide(level - before[sample, y, x], span, out=np.ones_like(level), where=span != 0)
            events = np.empty(len(sample), EVENT_DTYPE)
            events["x"], events["y"], events["p"] = x, y, rises
            events["t"] = start + np.rint(np.clip(part, 0, 1) * (stop - start)).astype(np.int64)
            pieces.append((sample, events))
        reference += np.sign(change) * _CONTRAST * count
        before = after
    return _by_sample(pieces, len(images))


def gaze() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Positions ``(n, 2)`` of the gaze in sensor pixels (x, y) and their times ``(n,)`` in microseconds."""
    corners = np.array([*_CORNERS, _CORNERS[0]])
    part = np.arange(3 * _SAMPLES_PER_SACCADE + 1) / _SAMPLES_PER_SACCADE
    positions = np.stack([np.interp(part, np.arange(4), corners[:, axis]) for axis in (0, 1)], axis=1)
    return positions, np.rint(part * _SACCADE_US).astype(np.int64)


def upsample(images: NDArray[np.floating], *, offset: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float32]:
    """Images ``(samples, height, width)`` on the 16 x 16 sensor by bilinear sampling, shifted by (x, y) pixels."""
    x_weights = _bilinear(images.shape[2], offset[0])
    y_weights = _bilinear(images.shape[1], offset[1])
    return np.asarray(y_weights @ images.astype(np.float32) @ x_weights.T, dtype=np.float32)


def _bilinear(size: int, offset: float) -> NDArray[np.float32]:
    """Weights (sensor pixel, image pixel) along one axis; beyond the image it is dark."""
    place = (np.arange(SENSOR) + 0.5 - SENSOR / 2 - offset) / _MAGNIFICATION + size / 2 - 0.5
    return np.maximum(0.0, 1.0 - np.abs(place[:, None] - np.arange(size)[None, :])).astype(np.float32)


def _log_intensity(images: NDArray[np.float32], position: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.log(upsample(images, offset=(float(position[0]), float(position[1]))) + np.float32(_DARK))


def _by_sample(pieces: list[tuple[NDArray[np.int64], NDArray[np.void]]], samples: int) -> list[NDArray[np.void]]:
    sample = np.concatenate([np.empty(0, np.int64), *(index for index, _ in pieces)])
    events = np.concatenate([np.empty(0, EVENT_DTYPE), *(part for _, part in pieces)])
    order = np.lexsort((events["t"], sample))  # stable: events of one instant keep the order of the pixels
    edges = np.searchsorted(sample[order], np.arange(1, samples))
    return np.split(events[order], edges)
