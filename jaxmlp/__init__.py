"""Multi-layer perceptrons in JAX, their backward pass written by hand.

Everything the backward pass knows, for MLPs, in one jitted function: `init_mlp` makes parameters, `forward` and `loss`
are pure functions of them, `backward` returns a `Tape`, and the gradient is one reading of it.
"""

import jax
import jaxlib

from jaxmlp import activations, checks, initializers, interop, losses, optimizers, readings, schedules, training
from jaxmlp.backprop import Tape, backward, value_and_grad
from jaxmlp.gradcheck import GradientReport, check_gradients
from jaxmlp.model import Model, accuracy, count_params, forward, init_mlp, loss
from jaxmlp.optimizers import apply_updates
from jaxmlp.readings.first_order import (
    clipped_gradient_sum,
    directional_derivatives,
    gradients,
    gram_matrix,
    input_gradients,
    noise_scale,
    per_example_gradients,
    per_example_norms,
    second_moments,
    variances,
    weighted_gradient_sum,
)
from jaxmlp.training import (
    FitResult,
    TrainState,
    data_parallel,
    ensemble_map,
    fit,
    fit_lbfgs,
    init_ensemble,
    init_state,
    load,
    make_train_step,
    restore_state,
    save,
    save_state,
    train,
)

__version__ = "0.1.0"

__all__ = [
    "FitResult",
    "GradientReport",
    "Model",
    "Tape",
    "TrainState",
    "accuracy",
    "activations",
    "apply_updates",
    "backward",
    "check_gradients",
    "clipped_gradient_sum",
    "count_params",
    "data_parallel",
    "directional_derivatives",
    "ensemble_map",
    "fit",
    "fit_lbfgs",
    "forward",
    "gradients",
    "gram_matrix",
    "init_ensemble",
    "init_mlp",
    "init_state",
    "initializers",
    "input_gradients",
    "interop",
    "load",
    "loss",
    "losses",
    "make_train_step",
    "noise_scale",
    "optimizers",
    "per_example_gradients",
    "per_example_norms",
    "readings",
    "restore_state",
    "save",
    "save_state",
    "schedules",
    "second_moments",
    "train",
    "training",
    "value_and_grad",
    "variances",
    "weighted_gradient_sum",
]

checks.warn_if_excluded(jax=jax.__version__, jaxlib=jaxlib.__version__)  # type: ignore[attr-defined]
