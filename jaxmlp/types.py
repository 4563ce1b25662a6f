"""The types that every room shares, and the letters of every shape.

    n      examples in a batch, always the first axis
    L      layers; layer l reads `d_{l-1}` numbers and makes `d_l`; `d_0` is the input's width
    x      (n, d_0)          inputs
    y      (n, d_L)          targets, or (n,) integer labels for the categorical losses
    W, b   (d_{l-1}, d_l), (d_l,)
    z      (n, d_l)          pre-activations, z_l = a_{l-1} W_l + b_l
    a      (n, d_l)          activations, a_l = f_l(z_l), a_0 = x
    o      (d_L,)            one example's outputs, a row of a_L; p where they are probabilities
    loss_n (n,)              one-example losses
    c      (n,)              coefficients of the reduction, loss = sum_n c_n loss_n
    delta  (n, d_l)          derivative of loss_n with respect to z_l[n], not multiplied by c_n

`dX` is always the derivative of a loss with respect to X, and has X's shape.
"""

from collections.abc import Sequence
from typing import TypeAlias

import jax
import numpy as np

Array: TypeAlias = jax.Array
ArrayLike: TypeAlias = jax.Array | np.ndarray
"""What a caller may pass as data."""
Params: TypeAlias = Sequence[tuple[Array, Array]]
"""`[(W_1, b_1), ..., (W_L, b_L)]`, a list or a tuple."""
