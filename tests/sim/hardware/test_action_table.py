"""Stored action tables: what is read is what was written."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.hardware.action_table import action_table, read_actions, write_actions
from spikejoule.sim.hardware.architecture import Memory
from spikejoule.sim.hardware.execution import ActionCounts

ACTIONS = ActionCounts(
    2,
    3,
    {
        ("conv", "synapse", "add.float32"): np.array([[1, 2, 3], [4, 5, 2**53]]),
        ("conv", "weights", "read"): np.array([[7, 0, 0], [0, 0, 0]]),
    },
    {"conv": np.array([[1e-6, 2e-6, 3e-6], [0.0, 0.0, 1e-6]])},
    {"static power": "no source"},
    (Memory(name="weights", holds=("weight", "spike"), kib=4, word_bits=64),),
)


def test_what_is_read_is_what_was_written(tmp_path):
    path = write_actions(ACTIONS, tmp_path / "actions.parquet", {"trace": "abc"})
    read, made = read_actions(path), action_table(ACTIONS, {"trace": "abc"})
    pd.testing.assert_frame_equal(read.rows, made.rows, check_dtype=False)
    for name in ("steps", "samples", "memories", "omitted", "origin"):
        assert getattr(read, name) == getattr(made, name)


def test_the_hardware_batch_is_kept(tmp_path):
    assert read_actions(write_actions(ACTIONS, tmp_path / "one.parquet")).hardware_batch == 1
    batch = write_actions(replace(ACTIONS, hardware_batch=8), tmp_path / "eight.parquet")
    assert read_actions(batch).hardware_batch == 8


def test_counts_are_exact_sums_over_samples(tmp_path):
    read = read_actions(write_actions(ACTIONS, tmp_path / "actions.parquet"))
    assert {key: counts.tolist() for key, counts in read.per_step.items()} == {
        ("conv", "synapse", "add.float32"): [6, 9 + 2**53],
        ("conv", "weights", "read"): [7, 0],
    }


def test_times_are_rows_of_their_own(tmp_path):
    rows = read_actions(write_actions(ACTIONS, tmp_path / "actions.parquet")).rows
    times = rows[rows["component"] == "time"]
    assert times[["step", "layer", "action", "count"]].to_numpy().tolist() == [
        [0, "conv", "elapsed", 3],
        [1, "conv", "elapsed", 3],
    ]
    assert times["seconds"].tolist() == pytest.approx([6e-6, 1e-6])
    assert rows.loc[rows["component"] != "time", "seconds"].isna().all()


def test_a_read_table_can_be_written_again(tmp_path):
    first = write_actions(ACTIONS, tmp_path / "a.parquet", {"seed": 1})
    again = write_actions(read_actions(first), tmp_path / "b.parquet")
    assert read_actions(again).origin == {"seed": 1}


def test_other_files_are_refused(tmp_path):
    other, broken = tmp_path / "other.parquet", tmp_path / "broken.parquet"
    pd.DataFrame({"step": [1]}).to_parquet(other)
    broken.write_bytes(b"no parquet")
    for path, message in (
        (other, "is no action table"),
        (broken, "cannot be read"),
        (tmp_path / "no", "cannot be read"),
    ):
        with pytest.raises(InvalidInput, match=message):
            read_actions(path)


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match=r"ends in \.parquet"):
        write_actions(ACTIONS, tmp_path / "actions.csv")
