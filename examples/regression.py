"""Regression from scratch, as in the seeds `000` and `001`: what changes after each step.

    python examples/regression.py

Linear -> ReLU -> Linear -> ReLU -> Linear, mean squared error, weights drawn from N(0, 0.01**2), biases zero, plain
SGD. The target is sin(x). The first steps are printed one by one: the gradient leaves the parameters alone, the
update moves them by learning rate times gradient, and the loss falls.
"""

import functools

import jax
import jax.numpy as jnp

import jaxmlp


def size(tree: object) -> float:
    """Return the Euclidean norm of all the numbers in a tree."""
    return float(jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree))))


def main(hidden: tuple[int, ...] = (32, 32), steps: int = 5, epochs: int = 12_000, n: int = 128) -> float:
    """Print the first steps one by one, then train on; return the final loss."""
    x = jnp.linspace(-3, 3, n)[:, None]
    y = jnp.sin(x)
    model = jaxmlp.Model(activation="relu", output="identity", loss="mean_squared_error")
    params = jaxmlp.init_mlp(jax.random.key(0), (1, *hidden, 1), initializer=jaxmlp.initializers.normal(0.01))
    learning_rate = 0.1
    optimizer = jaxmlp.optimizers.sgd(learning_rate)
    print(f"{model}\n{jaxmlp.count_params(params)} parameters, {n} points of sin(x), learning rate {learning_rate}\n")

    print("step  loss before  |gradient|   |parameters|  |their change|  loss after")
    value_and_grad, loss = jax.jit(jaxmlp.value_and_grad), jax.jit(jaxmlp.loss)
    opt_state = optimizer.init(params)
    for step in range(1, steps + 1):
        before, grads = value_and_grad(params, x, y, model)  # makes gradients; params are as they were
        updates, opt_state = optimizer.update(grads, opt_state, params)
        new = jaxmlp.apply_updates(params, updates)  # a new tree: nothing is changed in place, nothing to zero
        change = jax.tree.map(jnp.subtract, new, params)
        print(
            f"{step:4d}  {float(before):.9f}  {size(grads):.4e}  {size(params):.7f}     {size(change):.4e}"
            f"      {float(loss(new, x, y, model)):.9f}"
        )
        params = new

    print("\nWeights this small pass almost nothing on: the bias of the last layer learns first, and the loss waits on")
    print("a plateau until the layers before it have grown.\n")
    run = jax.jit(
        functools.partial(jaxmlp.train, x=x, y=y, model=model, optimizer=optimizer, batch_size=n, epochs=epochs)
    )
    state, losses = run(jaxmlp.init_state(params, optimizer, jax.random.key(1)))
    for epoch in sorted({*range(0, min(epochs, 1200), 150), *range(0, epochs, max(1, epochs // 8))}):
        print(f"epoch {epoch:5d}  loss {float(losses[epoch]):.6f}")
    final = float(loss(state.params, x, y, model))
    print(f"after          loss {final:.6f}")
    return final


if __name__ == "__main__":
    main()
