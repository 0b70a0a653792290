"""Prepared data: their key, reuse, repair, and that nothing half made is left."""

import json
import os

import pytest
from spikejoule.models.data.cache import prepared


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "set" / "a.bin"
    path.parent.mkdir()
    path.write_bytes(b"content")
    return path


def make(tmp_path, source, options=None, name="set", built=None):
    def build(entry):
        (entry / "out.txt").write_bytes(source.read_bytes()[::-1])
        if built is not None:
            built.append(entry)

    return prepared(tmp_path, name, options or {}, [source], build)


def test_what_is_prepared_is_made_once(tmp_path, source):
    built = []
    first = make(tmp_path, source, built=built)
    assert (first / "out.txt").read_bytes() == b"tnetnoc"
    assert make(tmp_path, source, built=built) == first
    assert len(built) == 1


def test_every_part_of_the_key_counts(tmp_path, source):
    entries = {make(tmp_path, source), make(tmp_path, source, {"steps": 4}), make(tmp_path, source, name="other")}
    source.write_bytes(b"changed")
    assert len(entries | {make(tmp_path, source)}) == 4


def test_the_same_content_at_another_time_is_not_prepared_again(tmp_path, source):
    built = []
    first = make(tmp_path, source, built=built)
    os.utime(source, (1, 1))
    assert make(tmp_path, source, built=built) == first
    assert len(built) == 1


def spoil_content(entry):
    (entry / "out.txt").write_bytes(b"tnetnox")


def spoil_manifest(entry):
    (entry / "manifest.json").write_text("{", encoding="utf-8")


def spoil_options(entry):
    path = entry / "manifest.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text(encoding="utf-8")), "options": {"steps": 9}}), encoding="utf-8"
    )


def remove_content(entry):
    (entry / "out.txt").unlink()


def remove_manifest(entry):
    (entry / "manifest.json").unlink()


@pytest.mark.parametrize("damage", [spoil_content, spoil_manifest, spoil_options, remove_content, remove_manifest])
def test_damage_is_noticed_told_and_repaired(tmp_path, source, damage):
    entry = make(tmp_path, source)
    damage(entry)
    with pytest.warns(UserWarning, match="are damaged .* made again"):
        assert make(tmp_path, source) == entry
    assert (entry / "out.txt").read_bytes() == b"tnetnoc"
    assert make(tmp_path, source) == entry


def test_a_preparation_that_fails_leaves_nothing(tmp_path, source):
    def fail(entry):
        (entry / "part.txt").write_text("half", encoding="utf-8")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        prepared(tmp_path, "set", {}, [source], fail)
    assert [path.name for path in (tmp_path / "prepared").iterdir()] == ["checksums"]
