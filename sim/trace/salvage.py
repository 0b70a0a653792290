"""Making a trace of the whole samples that a writer left when it died."""

from __future__ import annotations

import os
from collections import defaultdict
from typing import Any

from ..errors import InvalidInput
from . import unfinished as drafts
from .chunking import plan_chunking
from .inspection import verify
from .manifest import MANIFEST, read_array_entry, read_workload
from .shard_writer import Content, Record, finish
from .shards import Index
from .spike_trace import SpikeTrace
from .storage import LocalStore


def salvage(path: str | os.PathLike[str], *, overwrite: bool = False) -> SpikeTrace:
    """Commit what the newest dead writer of this trace left whole, verify it, and open it.

    Parameters
    ----------
    path : str or path
        Of the trace that was to be written.
    overwrite : bool
        Replace a trace that is there.

    Returns
    -------
    SpikeTrace
        Of the samples up to the last row of shards in the journal; later ones are lost.

    Raises
    ------
    InvalidInput
        If nothing was left, no sample in it is whole, or what was left is damaged.

    Notes
    -----
    The result equals, hash included, what a writer would have written that was given these samples alone, but for a
    trace shorter than its first chunk.
    """
    left = drafts.unfinished(path)
    if not left:
        raise InvalidInput(f"trace {os.fspath(path)}: no writer that died left anything to salvage; record it")
    best = max(left, key=lambda found: found.samples)
    draft = drafts.reopen(path, best, overwrite)
    try:
        committed = isinstance(draft.store, LocalStore) and draft.store.sizes([MANIFEST])[0]
        # with a manifest it died between its last two strokes: all is there, but for the name
        manifest = draft.store.read(MANIFEST, 0, committed) if committed else _manifest(draft, best.samples)
        drafts.commit(draft, manifest)
    finally:
        drafts.release(draft)
    verify(path)
    return SpikeTrace.open(path)


def _manifest(draft: drafts.Draft, samples: int) -> bytes:
    """Finish a draft from its journal."""
    where = f"trace {draft.final}: journal of its dead writer"
    if samples == 0:
        raise InvalidInput(f"{where}: no sample is whole; record the trace again")
    header, *rows = drafts.read_journal(draft.store, draft.prefix)
    try:
        workload, steps = read_workload(header["workload"], where), int(header["steps"])
        masks = {name: read_array_entry(name, entry, where) for name, entry in header["masks"].items()}
        records: dict[str, dict[Index, Record]] = defaultdict(dict)
        shards: list[Any] = [shard for row in rows for shard in row["shards"]]
        for name, index, size, digests in shards:
            records[name][tuple(index)] = int(size), str(digests)
        chunking = plan_chunking(workload, steps, header["chunk_samples"])
        content = Content(workload, steps, samples, chunking, masks, header["provenance"])
        return finish(draft, content, records)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise InvalidInput(f"{where}: it is damaged ({error}); record the trace again") from error
