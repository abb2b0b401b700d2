"""A first lab for captures that have none."""

from iochain.inference.proposal import InferredLab, infer

__all__ = ["InferredLab", "infer"]
