"""Data sets that need files, on tiny files that the tests write in the true formats."""

import csv
import dataclasses
import itertools
import pickle
import struct
import zlib

import h5py
import numpy as np
import pytest
from spikejoule.models.data.aedat import read_aedat3, read_dvs128
from spikejoule.models.data.dataset_request import Request
from spikejoule.models.data.datasets import DATASETS, SPLITS, Preprocessing, Split, batches, load_dataset
from spikejoule.models.data.event_sources import CIFAR_CLASSES
from spikejoule.models.settings.config import TrainConfig
from spikejoule.models.training.fit import fit
from spikejoule.sim.errors import InvalidInput

OFFLINE = ("digits-events", "digits")
FILES = [name for name in DATASETS if name not in OFFLINE]
GRADED = Preprocessing(binarize=False)


def random_events(seed, width, height, number=40):
    """Events as rows (x, y, t, p), ordered in time, the first at 0 and the last at 1,000,000 microseconds."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.integers(0, 1_000_001, number))
    time[0], time[-1] = 0, 1_000_000
    return [
        tuple(map(int, row))
        for row in zip(
            rng.integers(0, width, number),
            rng.integers(0, height, number),
            time,
            rng.integers(0, 2, number),
            strict=True,
        )
    ]


def counted(rows, steps, width, height, size=None):
    """Frames by own arithmetic: bins of whole microseconds from the first event on, what is over is left out."""
    size = size or width
    frames = np.zeros((steps, 2, size, size), int)
    first, last = rows[0][2], rows[-1][2]
    length = (last - first) // steps
    for x, y, t, p in rows:
        step = (t - first) // length
        if step < steps:
            frames[step, p, y * size // height, x * size // width] += 1
    return frames


def write_nmnist(path, rows):
    """Five bytes an event: x, y, polarity and 23 bits of time; y 240 adds 8,192 us to all that follow."""
    data, overflows = b"", 0
    for x, y, t, p in rows:
        while t - 8192 * overflows >= 1 << 23:
            data, overflows = data + bytes([0, 240, 0, 0, 0]), overflows + 1
        data += bytes([x, y]) + (p << 23 | t - 8192 * overflows).to_bytes(3, "big")
    path.write_bytes(data)


def write_aedat2(path, rows):
    """jAER's DVS128: 32 bits of address and of time, big-endian; axes against the picture's, 0 for ON."""
    data = b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n"
    for x, y, t, p in rows:
        data += struct.pack(">II", (127 - x) << 8 | (127 - y) << 1 | 1 - p, t)
    data += struct.pack(">II", 0x8000 | 5 << 8, rows[-1][2])  # an external trigger: no pixel
    path.write_bytes(data)


def write_aedat3(path, rows):
    """cAER's packets: 28 bytes of header, then 8 bytes an event; a packet of special events first."""
    data = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"
    data += struct.pack("<hhiiiiii", 0, 1, 8, 4, 0, 1, 1, 1) + struct.pack("<II", 1 << 1 | 1, rows[0][2])
    for start in range(0, len(rows), 16):
        part = rows[start : start + 16]
        events = [(x << 17 | y << 2 | p << 1 | 1, t) for x, y, t, p in part]
        events.append((3 << 17 | 3 << 2, part[-1][2]))  # marked invalid
        data += struct.pack("<hhiiiiii", 1, 1, 8, 4, 0, len(events), len(events), len(part))
        data += b"".join(struct.pack("<II", *event) for event in events)
    path.write_bytes(data)


def write_aedat4(path, rows):
    """A header and one packet, flatbuffers written by hand, uncompressed."""
    xml = (
        b'<dv version="2.0"><node name="outInfo" path="/mainloop/Recorder/outInfo/"><node name="0" path="/0/">'
        b'<attr key="typeIdentifier" type="string">EVTS</attr><node name="info" path="/0/info/">'
        b'<attr key="sizeX" type="int">128</attr><attr key="sizeY" type="int">128</attr></node></node></node></dv>'
    )
    # root offset, identifier, vtable (third field only), padding, table: back to the vtable, on to the string
    header = struct.pack("<I4s5H2xiII", 20, b"IOHE", 10, 8, 0, 0, 4, 12, 4, len(xml)) + xml + b"\0"
    header += b"\0" * (-len(header) % 4)
    packet = struct.pack("<I4s3H2xiII", 16, b"EVTS", 6, 8, 4, 8, 4, len(rows))
    packet += b"".join(struct.pack("<qhh?3x", t, x, y, bool(p)) for x, y, t, p in rows)
    packet = struct.pack("<I", len(packet)) + packet
    data = b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(header)) + header
    path.write_bytes(data + struct.pack("<II", 0, len(packet)) + packet)


def write_shd(path, recordings, labels):
    """Ragged arrays of times in seconds (float16) and units, as published."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (len(labels),), h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", (len(labels),), h5py.vlen_dtype(np.uint16))
        for row, (when, which) in enumerate(recordings):
            times[row], units[row] = np.array(when, np.float16), np.array(which, np.uint16)
        file["labels"] = np.array(labels, np.uint16)
        file["extra/keys"] = np.array([b"zero", b"one"])
        file["extra/speaker"] = np.zeros(len(labels), np.uint16)


def write_png(path, pixels):
    """An 8-bit RGB picture (height, width, 3), lossless."""
    height, width, _ = pixels.shape

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def write_part(folder, suffix, write, width, count):
    """``count`` recordings of two classes; the events by file name and class."""
    events = {}
    for label in (0, 1):
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            events[label, number] = random_events((label, number, count), width, width)
            write(place / f"{number:05}{suffix}", events[label, number])
    return events


def make_nmnist(folder):
    write_part(folder / "NMNIST" / "Train", ".bin", write_nmnist, 34, 10)
    return write_part(folder / "NMNIST" / "Test", ".bin", write_nmnist, 34, 1)


def make_gestures(folder):
    """tonic's release: columns x, y, p, t in milliseconds, the file named by its class."""
    for part, users in (("Train", 10), ("Test", 1)):
        for user in range(users):
            place = folder / "DVSGesture" / f"ibmGesture{part}" / f"user{user:02}_lab"
            place.mkdir(parents=True)
            for label in (0, 10):
                rows = random_events((label, user), 128, 128)
                np.save(place / f"{label}.npy", np.array([(x, y, p, t // 1000) for x, y, t, p in rows], float))


def make_cifar10_dvs(folder, suffix=".aedat4", write=write_aedat4):
    for name in CIFAR_CLASSES[:2]:
        place = folder / "CIFAR10DVS" / name
        place.mkdir(parents=True)
        for number in range(10):
            write(place / f"cifar10_{name}_{number}{suffix}", random_events((len(name), number), 128, 128))


def make_shd(folder):
    for part, count in (("train", 10), ("test", 1)):
        rng = np.random.default_rng(count)
        recordings = [(np.sort(rng.random(30)), rng.integers(0, 700, 30)) for _ in range(2 * count)]
        write_shd(folder / "SHD" / f"shd_{part}.h5", recordings, [0, 19] * count)


def cifar_records(seed, count, label_bytes, classes=2):
    records = np.random.default_rng(seed).integers(0, 256, (count, label_bytes + 3072)).astype(np.uint8)
    records[:, label_bytes - 1] = np.arange(count) % classes
    return records


def make_cifar10(folder):
    place = folder / "cifar-10-batches-bin"
    place.mkdir(parents=True)
    for number in range(1, 6):
        cifar_records(number, 4, 1).tofile(place / f"data_batch_{number}.bin")
    cifar_records(0, 2, 1).tofile(place / "test_batch.bin")


def make_cifar100(folder):
    place = folder / "cifar-100-binary"
    place.mkdir(parents=True)
    cifar_records(1, 20, 2).tofile(place / "train.bin")
    cifar_records(0, 2, 2).tofile(place / "test.bin")


def make_images(folder):
    for part, count in (("train", 10), ("test", 1)):
        for label, name in enumerate(("ant", "bee")):
            for number in range(count):
                write_png(folder / "images" / part / name / f"{number}.png", np.full((40, 60, 3), 9 * label, np.uint8))


MAKE = {
    "nmnist": make_nmnist,
    "dvs-gesture": make_gestures,
    "cifar10-dvs": make_cifar10_dvs,
    "shd": make_shd,
    "cifar10": make_cifar10,
    "cifar100": make_cifar100,
    "image-folder": make_images,
}
SHAPES = {
    "nmnist": (2, 34, 34),
    "dvs-gesture": (2, 48, 48),
    "cifar10-dvs": (2, 48, 48),
    "shd": (700,),
    "cifar10": (3, 32, 32),
    "cifar100": (3, 32, 32),
    "image-folder": (3, 224, 224),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Every data set, tiny."""
    folder = tmp_path_factory.mktemp("data")
    for make in MAKE.values():
        make(folder)
    return folder


def load(name, folder, steps=4, **options):
    return load_dataset(name, steps, folder=folder, partial=True, **options)


def test_every_set_that_needs_files_is_tested_here():
    assert list(MAKE) == FILES


@pytest.mark.parametrize("name", FILES)
def test_declared_shape_and_kind_are_those_of_the_data(name, folder):
    data = load(name, folder)
    assert data.input_shape == SHAPES[name]
    for split in SPLITS:
        part = data.split(split)
        assert part.inputs.shape == (len(part), 1 if data.held_input else 4, *data.input_shape)
        for inputs, labels in batches(part, 3):
            assert inputs.shape == (part.inputs.shape[1], len(labels), *data.input_shape)
            assert inputs.dtype == part.inputs.dtype
            assert data.input_kind == "analog" or set(np.unique(inputs)) <= {0, 1}
            assert labels.max() < data.classes


@pytest.mark.parametrize("name", FILES)
def test_splits_are_stratified_and_complete(name, folder):
    data = load(name, folder)
    found = {split: np.unique(data.split(split).labels, return_counts=True)[1].tolist() for split in SPLITS}
    own_test = name != "cifar10-dvs"
    assert found == {"train": [9, 9] if own_test else [8, 8], "validation": [1, 1], "test": [1, 1]}


@pytest.mark.parametrize("name", FILES)
def test_samples_travel_to_other_processes_as_paths(name, folder):
    part = load(name, folder).train
    copy = pickle.loads(pickle.dumps(part))
    np.testing.assert_array_equal(np.asarray(copy.inputs), np.asarray(part.inputs))
    assert len(pickle.dumps(part)) < 10_000


@pytest.mark.parametrize("name", FILES)
def test_a_slice_selects_what_an_index_reads(name, folder):
    inputs = load(name, folder).train.inputs
    np.testing.assert_array_equal(np.asarray(inputs[2:5]), inputs[np.array([2, 3, 4])])
    np.testing.assert_array_equal(inputs[3], inputs[np.array([3])][0])


@pytest.mark.parametrize("name", FILES)
def test_missing_files_are_named_with_where_to_get_them(name, tmp_path, monkeypatch):
    monkeypatch.setenv("SPIKEJOULE_DATA", str(tmp_path))
    with pytest.raises(InvalidInput, match=r"is expected. Get them from .*SPIKEJOULE_DATA.*digits-events, digits"):
        load_dataset(name, 4)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [name for name in FILES if name != "image-folder"])
def test_an_incomplete_set_is_refused_unless_asked_for(name, folder):
    with pytest.raises(InvalidInput, match=r"is not complete: .* of .*partial=True"):
        load_dataset(name, 4, folder=folder)
    assert "part of it only" in load(name, folder).description


def test_missing_archives_are_named_with_their_checksums(tmp_path):
    with pytest.raises(InvalidInput, match=r"shd_train.h5.zip, MD5 f3252aeb598ac776c1b526422d90eecb"):
        load_dataset("shd", 4, folder=tmp_path)


@pytest.mark.parametrize("name", ["nmnist", "cifar10"])
def test_a_download_that_fails_names_the_offline_sets(name, tmp_path, monkeypatch):
    import urllib.error
    import urllib.request

    def no_network(*args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    with pytest.raises(InvalidInput, match=r"could not be downloaded.*digits-events, digits"):
        load_dataset(name, 4, folder=tmp_path, download=True)


def test_networks_train_on_samples_from_disk(folder):
    data = load("nmnist", folder, steps=2, preprocessing=Preprocessing(size=16))
    in_memory = dataclasses.replace(
        data, **{name: Split(np.asarray(data.split(name).inputs), data.split(name).labels) for name in SPLITS}
    )
    config = TrainConfig(dataset="nmnist", steps=2, epochs=1, batch_size=6, width=0.25, learning_rate=0.01)
    losses = []
    for samples in (data, in_memory):
        _, epochs = fit(config, samples)
        *_, (_, rows) = epochs
        losses.append([row.value for row in rows if row.quantity in ("train_loss", "validation_loss")])
    assert losses[0] == losses[1]


@pytest.mark.parametrize("size", [None, 16])
def test_nmnist_frames_are_the_events_of_its_files(folder, tmp_path, size):
    events = make_nmnist(tmp_path)
    data = load("nmnist", tmp_path, preprocessing=Preprocessing(binarize=False, size=size))
    expected = [counted(events[label, 0], 4, 34, 34, size) for label in (0, 1)]
    np.testing.assert_array_equal(np.asarray(data.test.inputs), expected)
    assert data.input_kind == "graded"
    spikes = load("nmnist", tmp_path, preprocessing=Preprocessing(size=size)).test.inputs
    np.testing.assert_array_equal(np.asarray(spikes), np.minimum(expected, 1))


def test_nmnist_time_overflows_are_added_to_all_later_events(tmp_path):
    make_nmnist(tmp_path)
    rows = [(1, 2, 0, 1), (3, 4, (1 << 23) - 1, 0), (5, 6, (1 << 23) + 100, 1), (7, 8, (1 << 23) + 20_000, 0)]
    write_nmnist(tmp_path / "NMNIST" / "Test" / "0" / "00000.bin", rows)
    found = load("nmnist", tmp_path, steps=3, preprocessing=GRADED).test.inputs[0]
    np.testing.assert_array_equal(found, counted(rows, 3, 34, 34))
    assert found.sum() == 3  # the last event ends the last bin


def test_gestures_of_tonics_release(folder):
    data = load("dvs-gesture", folder, preprocessing=GRADED)
    expected = []
    for label in (0, 10):
        rows = [(x, y, t // 1000 * 1000, p) for x, y, t, p in random_events((label, 0), 128, 128)]
        expected.append(counted(rows, 4, 128, 128, 48))
    assert data.test.labels.tolist() == [0, 10]
    np.testing.assert_array_equal(np.asarray(data.test.inputs), expected)


def write_recording(folder, user, gestures, shift):
    """One recording of the published release, with its list of stretches and their classes from 1."""
    rows, table = [], []
    for label, events in gestures.items():
        start = shift + 2_000_000 * len(table)
        rows += [(x, y, t + start, p) for x, y, t, p in events]
        table.append((label + 1, start, start + 1_000_001))
        rows.append((0, 0, start + 1_500_000, 1))  # between two gestures: belongs to neither
    write_aedat3(folder / f"{user}.aedat", rows)
    with (folder / f"{user}_labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("class", "startTime_usec", "endTime_usec"), *table])


def test_gestures_of_the_published_release(tmp_path):
    place = tmp_path / "DvsGesture"
    place.mkdir()
    users = [f"user{number:02}_led" for number in range(11)]
    for number, user in enumerate(users):
        gestures = {label: random_events((label, number), 128, 128) for label in (3, 7)}
        write_recording(place, user, gestures, shift=5_000_000)
    (place / "trials_to_train.txt").write_text("".join(f"{user}.aedat\n" for user in users[:10]))
    (place / "trials_to_test.txt").write_text(f"{users[10]}.aedat\n\n")
    data = load("dvs-gesture", tmp_path, preprocessing=Preprocessing(binarize=False, size=32))
    assert data.test.labels.tolist() == [3, 7]
    expected = [counted(random_events((label, 10), 128, 128), 4, 128, 128, 32) for label in (3, 7)]
    np.testing.assert_array_equal(np.asarray(data.test.inputs), expected)


@pytest.mark.parametrize(("suffix", "write"), [(".aedat4", write_aedat4), (".aedat", write_aedat2)])
def test_cifar10_dvs_frames_are_the_events_of_its_files(tmp_path, suffix, write):
    make_cifar10_dvs(tmp_path, suffix, write)
    data = load("cifar10-dvs", tmp_path, preprocessing=GRADED)
    names = CIFAR_CLASSES[:2]
    expected = {
        label: {
            counted(random_events((len(name), number), 128, 128), 4, 128, 128, 48).tobytes() for number in range(10)
        }
        for label, name in enumerate(names)
    }
    found = {0: set(), 1: set()}
    for split in SPLITS:
        part = data.split(split)
        for row, label in enumerate(part.labels.tolist()):
            found[label].add(part.inputs[row].astype(int).tobytes())
    assert found == expected  # every recording once, in one of the splits


def test_cifar10_dvs_folds_test_every_recording_once(folder):
    tested = [load("cifar10-dvs", folder, fold=fold).test.inputs.rows.tolist() for fold in range(10)]
    assert sorted(itertools.chain(*tested)) == list(range(20))


def test_shd_bins_are_the_spikes_of_its_channels(tmp_path):
    # in float16 exactly: 0, 1/4, 1/2 and 1 s; the bins of four steps begin at 0, 1/4, 1/2 and 3/4
    times, units = [0, 0.25, 0.25, 0.5, 1], [0, 699, 699, 350, 7]
    make_shd(tmp_path)
    write_shd(tmp_path / "SHD" / "shd_test.h5", [(times, units)], [11])
    found = load("shd", tmp_path, preprocessing=GRADED).test
    expected = np.zeros((4, 700), int)
    expected[0, 0], expected[1, 699], expected[2, 350] = 1, 2, 1
    np.testing.assert_array_equal(found.inputs[0], expected)
    assert found.labels.tolist() == [11]
    fewer = load("shd", tmp_path, preprocessing=Preprocessing(binarize=False, size=140)).test
    np.testing.assert_array_equal(fewer.inputs[0], expected.reshape(4, 140, 5).sum(2))


@pytest.mark.parametrize(
    ("name", "file", "label_bytes", "mean", "std"),
    [
        ("cifar10", "cifar-10-batches-bin/test_batch.bin", 1, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
        ("cifar100", "cifar-100-binary/test.bin", 2, (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    ],
)
def test_cifar_pixels_are_those_of_its_records(folder, name, file, label_bytes, mean, std):
    part, raw = load(name, folder).test, (folder / file).read_bytes()
    for row in (0, 1):
        record = raw[row * (label_bytes + 3072) :]
        assert part.labels[row] == record[label_bytes - 1]
        for channel, y, x in [(0, 0, 0), (1, 5, 31), (2, 31, 7)]:
            pixel = record[label_bytes + channel * 1024 + y * 32 + x]
            expected = (pixel / 255 - mean[channel]) / std[channel]
            assert part.inputs[row][0, channel, y, x] == pytest.approx(expected, abs=1e-5)


def test_images_are_resized_by_the_shorter_side_and_cut(tmp_path):
    # to cut out 7 x 7 pixels, the shorter side becomes 8: here it is 8 already
    make_images(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 3)).astype(np.uint8)
    write_png(tmp_path / "images" / "test" / "ant" / "0.png", pixels)
    found = load("image-folder", tmp_path, preprocessing=Preprocessing(size=7)).test.inputs[0]
    cut = pixels[0:7, 4:11].astype(float) / 255
    expected = (cut - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    np.testing.assert_allclose(found[0], expected.transpose(2, 0, 1), atol=1e-5)


def test_an_image_folder_without_a_test_part_is_split(tmp_path):
    for name in ("ant", "bee"):
        for number in range(5):
            write_png(tmp_path / "images" / name / f"{number}.png", np.zeros((8, 8, 3), np.uint8))
    data = load("image-folder", tmp_path, preprocessing=Preprocessing(size=7))
    assert [len(data.split(split)) for split in SPLITS] == [6, 2, 2]
    tested = [load("image-folder", tmp_path, fold=fold).test.inputs.files.tolist() for fold in range(5)]
    assert len(set(itertools.chain(*tested))) == 10


def test_prepared_data_are_reused_and_damage_is_repaired(tmp_path):
    make_shd(tmp_path)
    request = Request(4, None, tmp_path, Preprocessing(), download=False, partial=True)  # past what is remembered
    first = DATASETS["shd"](request).test.inputs
    before, changed = np.asarray(first).copy(), first.path.stat().st_mtime_ns
    assert DATASETS["shd"](request).test.inputs.path.stat().st_mtime_ns == changed
    first.path.write_bytes(first.path.read_bytes()[:-1] + b"\xff")
    with pytest.warns(UserWarning, match=r"test.npy does not have its checksum.*made again"):
        again = DATASETS["shd"](request).test.inputs
    np.testing.assert_array_equal(np.asarray(again), before)


def test_prepared_data_can_be_kept_elsewhere(tmp_path, monkeypatch):
    make_shd(tmp_path / "data")
    monkeypatch.setenv("SPIKEJOULE_CACHE", str(tmp_path / "cache"))
    load("shd", tmp_path / "data")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["SHD"]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("nmnist", {"preprocessing": Preprocessing(size=35)}, "at most 34"),
        ("nmnist", {"fold": 0}, "test part of its own"),
        ("cifar10", {"preprocessing": Preprocessing(size=16)}, "have 32 only"),
        ("cifar10", {"preprocessing": GRADED}, "still images"),
        ("image-folder", {"preprocessing": GRADED}, "still images"),
    ],
)
def test_options_that_do_not_fit_are_refused(folder, name, options, message):
    with pytest.raises(InvalidInput, match=message):
        load(name, folder, **options)


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        ("nmnist", "NMNIST/Test/0/00000.bin", b"", r"00000.bin: .*no event"),
        ("nmnist", "NMNIST/Test/0/00000.bin", bytes([4, 0, 0, 0, 0]), "shorter than 4 us"),
        ("nmnist", "NMNIST/Test/0/00000.bin", bytes([40, 0, 0, 0, 0]), r"00000.bin: .*x from 40 to 40"),
        ("cifar10", "cifar-10-batches-bin/data_batch_2.bin", bytes(3072), "no whole number of records"),
        ("cifar10", "cifar-10-batches-bin/data_batch_2.bin", b"\x0a" + bytes(3072), "label 10"),
        ("cifar10-dvs", "CIFAR10DVS/bird/x.aedat4", b"#!AER-DAT2.0\r\n", "not a whole AEDAT file"),
        ("shd", "SHD/shd_train.h5", b"no HDF5", "not a whole file"),
        ("image-folder", "images/test/ant/0.png", b"no picture", "cannot be decoded"),
        ("image-folder", "images/test/cow/0.png", b"", "differing: cow"),
        ("image-folder", "images/train/bee", None, "differing: bee"),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path, name, file, content, message):
    MAKE[name](tmp_path)
    if content is None:
        for path in (tmp_path / file).iterdir():
            path.unlink()
        (tmp_path / file).rmdir()
    else:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        np.asarray(load(name, tmp_path).test.inputs)


def test_aedat3_times_overflow_and_cut_files_are_refused(tmp_path):
    path = tmp_path / "a.aedat"
    event = struct.pack("<II", 5 << 17 | 6 << 2 | 3, 7)
    path.write_bytes(b"#!AER-DAT3.1\r\n#!END-HEADER\r\n" + struct.pack("<hhiiiiii", 1, 1, 8, 4, 2, 1, 1, 1) + event)
    assert read_aedat3(path).tolist() == [(5, 6, 7 + 2 * 2**31, 1)]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InvalidInput, match="cut short"):
        read_aedat3(path)
    path.write_bytes(b"#!AER-DAT2.0\r\n")
    with pytest.raises(InvalidInput, match="does not begin with #!AER-DAT3.1"):
        read_aedat3(path)


def test_an_aedat_of_another_version_is_refused(tmp_path):
    path = tmp_path / "a.aedat"
    write_aedat3(path, random_events(0, 128, 128))
    with pytest.raises(InvalidInput, match="is AEDAT 3.1"):
        read_dvs128(path)


def test_a_file_that_is_no_aedat_is_refused(tmp_path):
    path = tmp_path / "a.aedat"
    path.write_bytes(b"\0" * 64)
    with pytest.raises(InvalidInput, match="not a whole AEDAT file"):
        read_dvs128(path)
