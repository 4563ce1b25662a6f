"""A network, its loss and its gradient in NumPy and float64; it shares no code with the library."""

import numpy as np


def tanh_relu_softmax_cross_entropy(params, x, labels, weights):
    """Two hidden layers (tanh, relu), softmax, weighted mean of the cross-entropy; written out layer by layer."""
    (W1, b1), (W2, b2), (W3, b3) = [(np.asarray(W, np.float64), np.asarray(b, np.float64)) for W, b in params]
    x, w = np.asarray(x, np.float64), np.asarray(weights, np.float64)
    w = w / w.sum()
    a1 = np.tanh(x @ W1 + b1)
    z2 = a1 @ W2 + b2
    a2 = np.where(z2 > 0, z2, 0)
    z3 = a2 @ W3 + b3
    e = np.exp(z3 - z3.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    rows = np.arange(len(x))
    value = -(w * np.log(p[rows, labels])).sum()
    d3 = p.copy()
    d3[rows, labels] -= 1
    d3 *= w[:, None]
    d2 = np.einsum("nk,jk->nj", d3, W3) * (z2 > 0)
    d1 = np.einsum("nk,jk->nj", d2, W2) * (1 - a1**2)
    grads = [(np.einsum("ni,nj->ij", a, d), d.sum(axis=0)) for a, d in ((x, d1), (a1, d2), (a2, d3))]
    return value, grads
