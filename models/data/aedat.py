"""Event files of the jAER and cAER recorders: AEDAT 2.0 of a DVS128, AEDAT 3.1, and AEDAT 4 through `aedat`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...sim.errors import InvalidInput
from .event_camera import EVENT_DTYPE

_HEADER = np.dtype(  # of a packet in AEDAT 3.1
    {
        "names": ["type", "source", "size", "offset", "overflow", "capacity", "number", "valid"],
        "formats": ["<i2", "<i2", "<i4", "<i4", "<i4", "<i4", "<i4", "<i4"],
    }
)
_POLARITY = 1  # type of the packets that hold events of pixels


def read_dvs128(path: Path) -> NDArray[np.void]:
    """Events of an AEDAT 2.0 file of a DVS128, read by tonic: the picture upright, polarity 1 where it grew brighter.

    Notes
    -----
    tonic gives the address bits as they are: ``x`` from bit 8, ``y`` from bit 1, polarity 0 for ON. Both axes run
    against the picture's; events outside the pixel array (bit 15: external triggers) are left out.
    """
    from tonic.io import get_aer_events_from_file, read_aedat_header_from_file

    version, start, _ = _checked(read_aedat_header_from_file, path)
    if not 2 <= version < 3:
        raise InvalidInput(f"{path}: is AEDAT {version}; CIFAR10-DVS as its authors published it is AEDAT 2.0")
    raw = _checked(get_aer_events_from_file, path, version, start)
    raw = raw[raw["address"] & 0x8000 == 0]
    address = raw["address"].astype(np.int64)
    events = np.empty(len(raw), EVENT_DTYPE)
    events["x"], events["y"] = 127 - (address >> 8 & 127), 127 - (address >> 1 & 127)
    events["t"], events["p"] = raw["timeStamp"], 1 - (address & 1)
    return events


def read_aedat3(path: Path) -> NDArray[np.void]:
    """Polarity events of an AEDAT 3.1 file, such as the recordings of DVS128 Gesture.

    Notes
    -----
    tonic's own reader takes the events of every packet for pixels' events; here packets of other kinds (triggers,
    frames, inertial samples) and events marked invalid are left out, and the overflow of the 31-bit time is added.
    """
    data = path.read_bytes()
    place = _end_of_header(path, data)
    pieces = [np.empty(0, EVENT_DTYPE)]
    while place < len(data):
        if place + _HEADER.itemsize > len(data):
            raise InvalidInput(f"{path}: ends within a packet's header; copy the file again")
        header = np.frombuffer(data, _HEADER, 1, place)[0]
        place += _HEADER.itemsize
        size, number = int(header["size"]), int(header["number"])
        end = place + size * int(header["capacity"])
        if size < 1 or not 0 <= number <= int(header["capacity"]) or end > len(data):
            raise InvalidInput(f"{path}: the packet at byte {place} is cut short or damaged; copy the file again")
        if header["type"] == _POLARITY:
            pieces.append(_polarity_events(np.frombuffer(data, "<u4", 2 * number, place), int(header["overflow"])))
        place = end
    return np.concatenate(pieces)


def read_aedat4(path: Path) -> NDArray[np.void]:
    """Events of an AEDAT 4 file, through tonic and the package `aedat`."""
    try:
        from aedat import Decoder  # noqa: F401  tonic imports it by itself, but does not say how to get it
    except ImportError as error:
        raise InvalidInput(
            f"{path}: reading AEDAT 4 needs the package aedat; install it with `pip install 'spikejoule[aedat]'`"
        ) from error
    from tonic.io import read_aedat4 as read

    raw = _checked(read, path)
    events = np.empty(len(raw), EVENT_DTYPE)
    for mine, theirs in zip(("t", "x", "y", "p"), raw.dtype.names, strict=True):
        events[mine] = raw[theirs]
    return events


def _checked(read: Any, path: Path, *arguments: object) -> Any:
    try:
        return read(str(path), *arguments)
    # what tonic and aedat raise on a file of another kind: nothing found, no number, no such name, not text
    except (OSError, RuntimeError, ValueError, NotImplementedError, UnboundLocalError) as error:
        raise InvalidInput(f"{path}: is not a whole AEDAT file ({error}); copy it again") from error


def _end_of_header(path: Path, data: bytes) -> int:
    """Where the lines that begin with # end."""
    if not data.startswith(b"#!AER-DAT3.1"):
        raise InvalidInput(f"{path}: does not begin with #!AER-DAT3.1; give the recordings as they were published")
    marker = b"#!END-HEADER"
    found = data.find(marker)
    place = 0 if found < 0 else data.index(b"\n", found) + 1
    while found < 0 and data[place : place + 1] == b"#":
        place = data.index(b"\n", place) + 1
    return place


def _polarity_events(words: NDArray[np.uint32], overflow: int) -> NDArray[np.void]:
    """Pairs of (data, time): bit 0 valid, bit 1 polarity, bits 2 to 16 y, bits 17 to 31 x."""
    data, time = words[0::2], words[1::2]
    kept = data & 1 == 1
    data, time = data[kept], time[kept]
    events = np.empty(len(data), EVENT_DTYPE)
    events["x"], events["y"], events["p"] = data >> 17, data >> 2 & 0x7FFF, data >> 1 & 1
    events["t"] = time.astype(np.int64) + (overflow << 31)
    return events
