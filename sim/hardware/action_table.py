"""Action counts as a file: one tidy table that any price table can be applied to later (`price_actions`)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..counting.layer_counts import Counts
from ..display import lines
from ..errors import InvalidInput
from ..files import replacing
from ..readable_numbers import listed
from .architecture import Memory
from .execution import TIME, ActionCounts
from .grid.shared_actions import Key

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "spikejoule.actions/1"
METADATA = b"spikejoule"  # key of the JSON beside the columns in a Parquet file
COLUMNS = ("step", "layer", "component", "action", "count", "seconds")


@dataclass(frozen=True, eq=False)
class ActionTable:
    """What a machine did, summed over samples; made by `action_table` or `read_actions`.

    Attributes
    ----------
    rows : DataFrame
        ``step, layer, component, action, count, seconds`` as in `ActionCounts.to_frame`.
    steps, samples : int
        Means per inference are sums over ``samples``.
    memories : tuple of Memory
        The machine's memories, whose price follows from their size.
    omitted : mapping of part to reason
    origin : mapping
        Where the counts come from: workload, trace hash, machine, or whatever the writer gave.
    hardware_batch : int
        Inferences that finish together; ``seconds`` are of all of them, counts of one.
    """

    rows: pd.DataFrame
    steps: int
    samples: int
    memories: tuple[Memory, ...] = ()
    omitted: Mapping[str, str] = field(default_factory=dict)
    origin: Mapping[str, object] = field(default_factory=dict)
    hardware_batch: int = 1

    def __repr__(self) -> str:
        workload, machine = self.origin.get("workload", "a network"), self.origin.get("accelerator", "a machine")
        return lines(
            f"ActionTable of {workload} on {machine}: {self.steps} steps, {self.samples:,} samples",
            f"{len(self.rows):,} rows: {listed(sorted(map(str, self.rows['component'].unique())))}",
            f"hardware batch {self.hardware_batch}; price it with price_actions",
        )

    @cached_property
    def per_step(self) -> dict[Key, Counts]:
        """Counts of every action, int64 (steps,); times are no actions."""
        rows = self.rows
        key_of_row = rows.groupby(["layer", "component", "action"], sort=False, observed=True).ngroup().to_numpy()
        names, first = np.unique(key_of_row, return_index=True)  # groups are numbered in the order of their first row
        totals = np.zeros((len(names), self.steps), np.int64)
        np.add.at(totals, (key_of_row, rows["step"].to_numpy()), rows["count"].to_numpy())
        keys = rows.iloc[first][["layer", "component", "action"]].itertuples(index=False, name=None)
        return {key: counts for key, counts in zip(keys, totals, strict=True) if key[1:] != TIME}


def action_table(actions: ActionCounts, origin: Mapping[str, object] | None = None) -> ActionTable:
    """The table of action counts, as it would come back from a file."""
    return ActionTable(
        actions.to_frame(),
        actions.steps,
        actions.samples,
        actions.memories,
        dict(actions.omitted),
        dict(origin or {}),
        actions.hardware_batch,
    )


def write_actions(
    actions: ActionCounts | ActionTable, path: str | Path, origin: Mapping[str, object] | None = None
) -> Path:
    """Write action counts as one Parquet file.

    Parameters
    ----------
    actions : ActionCounts or ActionTable
    path : str or Path
        Ends in ``.parquet``. An earlier file is replaced only by a whole new one.
    origin : mapping, optional
        JSON-able: where the counts come from.

    Returns
    -------
    Path

    Raises
    ------
    InvalidInput
        Another suffix, or a place that cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    if path.suffix != ".parquet":
        raise InvalidInput(f"{path}: action tables are Parquet files; give a name that ends in .parquet")
    table = action_table(actions, origin) if isinstance(actions, ActionCounts) else actions
    about = {
        "schema": SCHEMA,
        "steps": table.steps,
        "samples": table.samples,
        "memories": [dataclasses.asdict(memory) for memory in table.memories],
        "omitted": dict(table.omitted),
        "origin": dict(table.origin),
        "hardware_batch": table.hardware_batch,
    }
    content = pa.Table.from_pandas(table.rows, preserve_index=False)
    content = content.replace_schema_metadata({METADATA: json.dumps(about, allow_nan=False).encode()})
    with replacing(path) as temporary:
        pq.write_table(content, temporary)
    return path


def read_actions(path: str | Path) -> ActionTable:
    """Read a table that `write_actions` wrote.

    Raises
    ------
    InvalidInput
        When the file cannot be read, or is no action table of this version.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        content = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InvalidInput(f"{path}: cannot be read as Parquet: {str(error).splitlines()[0]}") from error
    about = json.loads((content.schema.metadata or {}).get(METADATA, b"{}"))
    if about.get("schema") != SCHEMA or tuple(content.column_names) != COLUMNS:
        raise InvalidInput(
            f"{path}: is no action table of format {SCHEMA!r}; write one with write_actions, or with "
            f"spikejoule estimate TRACE --actions FILE"
        )
    memories = tuple(Memory(**{**memory, "holds": tuple(memory["holds"])}) for memory in about["memories"])
    batch = about.get("hardware_batch", 1)  # tables of before it was known are of one
    return ActionTable(
        content.to_pandas(), about["steps"], about["samples"], memories, about["omitted"], about["origin"], batch
    )
