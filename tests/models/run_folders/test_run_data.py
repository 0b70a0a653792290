"""A run knows the data it was trained on: what counts as other data, and what happens to runs of those."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from spikejoule.models.data.cache import prepared
from spikejoule.models.data.datasets import _made, load_dataset
from spikejoule.models.data.samples import StoredSamples
from spikejoule.models.data.splits import Split
from spikejoule.models.run_folders.run import Run, check_data
from spikejoule.models.settings.config import TrainConfig
from spikejoule.models.training.train import train
from spikejoule.sim.errors import InvalidInput

TINY = TrainConfig(dataset="digits", steps=2, width=0.25, epochs=1, train_samples=64, learning_rate=0.02)


@pytest.fixture(scope="module")
def data():
    return load_dataset("digits", 2)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return train(TINY, runs=tmp_path_factory.mktemp("runs"))


def edited(data):
    """One pixel of one test image differs."""
    inputs = data.test.inputs.copy()
    inputs[0, 0, 0, 0, 0] += 1
    return replace(data, test=Split(inputs, data.test.labels))


def test_the_same_data_loaded_again_have_the_same_digest_and_the_run_has_it(data, run):
    _made.cache_clear()
    again = load_dataset("digits", 2)
    assert again is not data
    assert again.digest == data.digest == run.data_digest


def test_a_pixel_a_label_and_the_split_are_in_the_digest(data):
    labels = np.roll(data.train.labels, 1)
    others = [edited(data), replace(data, train=Split(data.train.inputs, labels)), load_dataset("digits", 2, fold=0)]
    assert len({data.digest, *(other.digest for other in others)}) == 4


def test_a_finished_run_of_other_data_is_refused_and_stays_as_it_is(data, run):
    before = (run.path / "config.json").read_bytes()
    with pytest.raises(InvalidInput, match=r"'digits' had the digest \w{12} .* now has \w{12}: .* delete the folder"):
        train(TINY, runs=run.path.parent, data=edited(data))
    assert (run.path / "config.json").read_bytes() == before
    assert train(TINY, runs=run.path.parent, data=data) == run


def test_what_is_derived_knows_its_data_too(data, tmp_path):
    config = replace(TINY, weight_bits=32, derived="int8")
    assert train(config, runs=tmp_path).data_digest == data.digest
    with pytest.raises(InvalidInput, match="its files were changed"):
        train(config, runs=tmp_path, data=edited(data))


def test_a_run_from_before_digests_is_taken_where_data_are_built_in_only(data, run, tmp_path):
    old = tmp_path / run.hash
    old.mkdir()
    for file in run.path.glob("[!t]*"):
        if file.is_file():
            (old / file.name).write_bytes(file.read_bytes())
    header = json.loads((old / "config.json").read_text())
    del header["data"]
    (old / "config.json").write_text(json.dumps(header))
    found = Run.open(old)
    assert found.data_digest is None
    check_data(found, edited(data))
    with pytest.raises(InvalidInput, match="was not recorded with it, so the files may have changed"):
        check_data(replace(found, config=replace(TINY, dataset="cifar10")), data)


def test_data_on_disk_take_the_checksum_of_their_prepared_file(tmp_path):
    def stored(values):
        source = tmp_path / "source.bin"
        source.write_bytes(bytes(values))

        def build(entry):
            np.save(entry / "x.npy", np.array(values, np.uint8)[:, None])

        return StoredSamples(prepared(tmp_path, "set", {}, [source], build) / "x.npy", np.arange(len(values)), (1,))

    first, again, other = stored([1, 2, 3]), stored([1, 2, 3]), stored([1, 2, 4])
    assert first.digest() == again.digest()
    assert len({first.digest(), other.digest(), first.select(np.array([0, 2])).digest()}) == 3


def test_an_image_of_another_size_is_other_data(tmp_path):
    for part in ("train", "test"):
        for name in ("a", "b"):
            folder = tmp_path / "images" / part / name
            folder.mkdir(parents=True)
            for index in range(12):
                Image.new("RGB", (8, 8), (index, 0, 0)).save(folder / f"{index}.bmp")
    before = load_dataset("image-folder", 1, folder=tmp_path).digest
    Image.new("RGB", (16, 16)).save(tmp_path / "images" / "test" / "a" / "3.bmp")
    _made.cache_clear()
    assert load_dataset("image-folder", 1, folder=tmp_path).digest != before
