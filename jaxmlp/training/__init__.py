"""Training: single steps and whole runs. It takes `value_and_grad` as an argument, so gradients are exchangeable."""

from jaxmlp.training.checkpoints import load, restore_state, save, save_state
from jaxmlp.training.ensembles import ensemble_map, init_ensemble
from jaxmlp.training.fitting import FitResult, fit
from jaxmlp.training.full_batch import fit_lbfgs
from jaxmlp.training.loop import train
from jaxmlp.training.sharding import data_parallel
from jaxmlp.training.steps import TrainState, init_state, make_train_step

__all__ = [
    "FitResult",
    "TrainState",
    "data_parallel",
    "ensemble_map",
    "fit",
    "fit_lbfgs",
    "init_ensemble",
    "init_state",
    "load",
    "make_train_step",
    "restore_state",
    "save",
    "save_state",
    "train",
]
