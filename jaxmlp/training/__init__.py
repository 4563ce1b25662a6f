"""Training: single steps and whole runs. It takes `value_and_grad` as an argument, so gradients are exchangeable."""

from jaxmlp.training.loop import train
from jaxmlp.training.steps import TrainState, init_state, make_train_step

__all__ = ["TrainState", "init_state", "make_train_step", "train"]
