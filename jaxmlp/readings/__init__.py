"""Readings: what a tape knows, a matmul or two each; and curvature, one pass further."""

from jaxmlp.readings import curvature, first_order, flow

__all__ = ["curvature", "first_order", "flow"]
