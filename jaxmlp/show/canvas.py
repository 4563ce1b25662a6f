"""What the pictures share: axes to draw on."""

from typing import Any


def axes_for(ax: Any, size: tuple[float, float] = (6.4, 4.4)) -> Any:
    """Return the axes given, or those of a new figure.

    Args:
        ax: matplotlib's `Axes`, or None.
        size: of the new figure, in inches.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("jaxmlp.show needs matplotlib: python -m pip install 'jaxmlp[show]'") from error
    return plt.subplots(figsize=size, layout="constrained")[1]
