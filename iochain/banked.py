"""Batch stages whose state stands in a bank: a port alone is a bank of one lane.

So such a stage is written once, for many ports, and its single form cannot differ.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, Self, TypeVar

import numpy as np

from iochain.batch import Batch, Instant
from iochain.chain import Bank, Passed

Lanes = TypeVar("Lanes", bound=Bank)


class Banked(ABC, Generic[Lanes]):
    """A batch stage that says only what its bank is (:class:`iochain.chain.BatchStage`)."""

    __slots__ = ()

    @classmethod
    @abstractmethod
    def bank(cls, stages: Sequence[Self]) -> Lanes:
        """The state of the stages of many ports before the first frame, a lane each."""

    def start(self) -> Lanes:
        """The state of one port before the first frame."""
        return self.bank([self])

    def run(self, state: Lanes, batch: Batch, until: Instant) -> Passed:
        """Do to the rows of one port what the bank does to those of many."""
        return state.run(batch, np.zeros(len(batch), np.int32), until)
