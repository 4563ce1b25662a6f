"""Pictures of networks and of their training, on matplotlib.

Each function draws on the axes given, or on those of a new figure, and returns them; none sets a global style. What a
colour says, a line style, a width or a lightness says too.
"""

from jaxmlp.show.curves import gradient_flow, gradient_report, loss_curve
from jaxmlp.show.networks import network_graph, weights
from jaxmlp.show.page import explorer
from jaxmlp.show.plane import decision_boundary

__all__ = [
    "decision_boundary",
    "explorer",
    "gradient_flow",
    "gradient_report",
    "loss_curve",
    "network_graph",
    "weights",
]
