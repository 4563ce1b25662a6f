"""Readings: what a tape knows, a matmul or two each."""

from jaxmlp.readings import first_order

__all__ = ["first_order"]
