"""Multi-layer perceptrons in JAX, their backward pass written by hand.

Everything the backward pass knows, for MLPs, in one jitted function: `init_mlp` makes parameters, `forward` and `loss`
are pure functions of them, `backward` returns a `Tape`, and the gradient is one reading of it.
"""

import jax
import jaxlib

from jaxmlp import activations, checks, initializers, losses, optimizers, readings, schedules, training
from jaxmlp.backprop import Tape, backward, value_and_grad
from jaxmlp.gradcheck import GradientReport, check_gradients
from jaxmlp.model import Model, accuracy, count_params, forward, init_mlp, loss
from jaxmlp.optimizers import apply_updates
from jaxmlp.readings.first_order import gradients, weighted_gradient_sum
from jaxmlp.training import TrainState, init_state, make_train_step, train

__version__ = "0.1.0"

__all__ = [
    "GradientReport",
    "Model",
    "Tape",
    "TrainState",
    "accuracy",
    "activations",
    "apply_updates",
    "backward",
    "check_gradients",
    "count_params",
    "forward",
    "gradients",
    "init_mlp",
    "init_state",
    "initializers",
    "loss",
    "losses",
    "make_train_step",
    "optimizers",
    "readings",
    "schedules",
    "train",
    "training",
    "value_and_grad",
    "weighted_gradient_sum",
]

checks.warn_if_excluded(jax=jax.__version__, jaxlib=jaxlib.__version__)  # type: ignore[attr-defined]
