"""Layers that read several signals: element-wise sums and concatenation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInput
from .fan_out import Words
from .layers import INPUT_KINDS, is_shape
from .passing_layers import COUNTED_KINDS, PassingLayer


@dataclass(frozen=True, kw_only=True, repr=False)
class Merge(PassingLayer):
    """What layers that read several signals share; use `Add` or `Concatenate`.

    ``source``, ``in_shape`` and ``input_kind`` describe the first signal, ``others`` names the rest. Kinds of the rest
    are ``other_kinds``, that of the first unless given.
    """

    others: tuple[str, ...]
    other_kinds: tuple[str, ...] | None = None

    def _check_geometry(self) -> None:
        ok = isinstance(self.others, tuple | list) and len(self.others) > 0
        ok = ok and all(isinstance(name, str) for name in self.others)
        self._check("others", self.others, ok, "the names of one or more further signals")
        object.__setattr__(self, "others", tuple(self.others))
        kinds = (self.input_kind,) * len(self.others) if self.other_kinds is None else tuple(self.other_kinds)
        ok = len(kinds) == len(self.others) and all(kind in INPUT_KINDS for kind in kinds)
        self._check("other_kinds", self.other_kinds, ok, f"{len(self.others)} of {', '.join(INPUT_KINDS)}")
        object.__setattr__(self, "other_kinds", kinds)

    @property
    def _kinds(self) -> tuple[str, ...]:
        return (self.input_kind, *(self.other_kinds or ()))

    @property
    def counts_itself(self) -> bool:
        return True

    @property
    def channel_groups(self) -> tuple[int, int, int]:
        raise InvalidInput(
            f"layer {self.name!r}: {type(self).__name__} reads several signals and has no single fan-out"
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class Add(Merge):
    """Element-wise sum of signals of one shape; a residual sum *before* the neuron is a layer that joins instead.

    Parameters
    ----------
    mode : {'graded', 'and', 'or'}
        ``graded`` sums the values: n non-zero values of one element take n - 1 additions (``add``). ``and`` and ``or``
        keep spikes: n set bits of one element take n - 1 bit operations (``logic``).

    Examples
    --------
    >>> Add(name="sum", in_shape=(4, 2, 2), source="a", others=("b",), mode="graded").output_kind
    'graded'
    """

    mode: str

    def _check_geometry(self) -> None:
        super()._check_geometry()
        self._choice("mode", ("graded", "and", "or"))
        ok = self.mode == "graded" or set(self._kinds) == {"spike"}
        self._check("mode", self.mode, ok, f"'graded' for {' and '.join(self._kinds)}; 'and' and 'or' need spikes")

    @property
    def operation(self) -> str:
        return "add" if self.mode == "graded" else "logic"

    @property
    def value_kind(self) -> str:
        if self.mode != "graded":
            return "spike"
        return "graded" if set(self._kinds) <= set(COUNTED_KINDS) else "analog"

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.in_shape

    @property
    def reads(self) -> tuple[tuple[str, tuple[int, ...], str], ...]:
        names = (self.source, *self.others)
        return tuple((name, self.in_shape, kind) for name, kind in zip(names, self._kinds, strict=True))

    @cached_property
    def dense(self) -> int:
        return len(self.others) * self.inputs

    def count(self, *words: Words) -> NDArray[np.int64]:
        any_set = np.zeros_like(words[0])
        pairs = np.zeros(words[0].shape[:-1], np.int64)
        for signal in words:  # each value after the first of an element takes one operation
            pairs += np.bitwise_count(any_set & signal).sum(axis=-1, dtype=np.int64)
            any_set |= signal
        return pairs


@dataclass(frozen=True, kw_only=True, repr=False)
class Concatenate(Merge):
    """Signals one after the other along the channels: every non-zero value is sent on once, re-addressed (``copy``).

    ``other_channels`` are the channels of the further signals, those of the first unless given.

    Examples
    --------
    >>> joined = Concatenate(name="cat", in_shape=(4, 2, 2), source="a", others=("b",), other_channels=(3,))
    >>> joined.out_shape
    (7, 2, 2)
    """

    other_channels: tuple[int, ...] | None = None

    def _check_geometry(self) -> None:
        super()._check_geometry()
        given = self.other_channels
        channels = (self.in_shape[0],) * len(self.others) if given is None else tuple(given)
        ok = len(channels) == len(self.others) and is_shape(channels)
        self._check("other_channels", given, ok, f"{len(self.others)} positive integers")
        object.__setattr__(self, "other_channels", channels)
        signed = {"signed_spike", "graded"} <= set(self._kinds)
        self._check("other_kinds", self.other_kinds, not signed, "such that no kind is both signed and graded")

    @property
    def operation(self) -> str:
        return "copy"

    @property
    def value_kind(self) -> str:
        return max(self._kinds, key=INPUT_KINDS.index)  # each kind holds those before it, save graded and signed

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (self.in_shape[0] + sum(self.other_channels or ()), *self.in_shape[1:])

    @property
    def reads(self) -> tuple[tuple[str, tuple[int, ...], str], ...]:
        names, channels = (self.source, *self.others), (self.in_shape[0], *(self.other_channels or ()))
        described = zip(names, channels, self._kinds, strict=True)
        return tuple((name, (size, *self.in_shape[1:]), kind) for name, size, kind in described)

    @cached_property
    def dense(self) -> int:
        return math.prod(self.out_shape)

    def count(self, *words: Words) -> NDArray[np.int64]:
        totals = [np.bitwise_count(signal).sum(axis=-1, dtype=np.int64) for signal in words]
        return np.sum(totals, axis=0, dtype=np.int64)
