"""The worked examples of the seed `002`, every intermediate printed, and where its arithmetic slips.

    python examples/worked_example.py

A 1-2-1 sigmoid network with x = 1, y = 0 and half the squared error: forward, backward, one update. Then 500 epochs
of that training, and the graph y = w x with w = 1.5, x = 2, t = 5, whose gradient is -4. All of it in float64.
"""

import jax
import jax.numpy as jnp
import numpy as np

import jaxmlp

# What the seed prints; its W1 is a 2x2 matrix for one input, of which z1 = (0.5, 0.6) fixes the column (0.15, 0.25).
PRINTED = {
    "z1": [0.5, 0.6],
    "a1": [0.622, 0.645],
    "z2": [1.105],
    "output": [0.751],
    "loss": [0.282],
    "delta2": [0.139],
    "delta1": [0.013, 0.014],
    "new W2": [0.37, 0.42],
    "new W1": [0.144, 0.236],
}


def network() -> tuple:
    """Return the seed's parameters, input, target and model."""
    params = [
        (jnp.array([[0.15, 0.25]]), jnp.array([0.35, 0.35])),  # W1 (1, 2), b1 (2,)
        (jnp.array([[0.40], [0.45]]), jnp.array([0.60])),  # W2 (2, 1), b2 (1,)
    ]
    model = jaxmlp.Model(activation="sigmoid", output="sigmoid", loss="half_squared_error")
    return params, jnp.array([[1.0]]), jnp.array([[0.0]]), model


def one_step(learning_rate: float = 0.5) -> dict[str, np.ndarray]:
    """Compute every quantity of the toy example: forward, backward, update."""
    params, x, y, model = network()
    tape = jaxmlp.backward(params, x, y, model)
    grads = jaxmlp.gradients(tape)
    new = jax.tree.map(lambda p, g: p - learning_rate * g, params, grads)
    quantities = {
        "z1": tape.preactivations[0],
        "a1": tape.inputs[1],
        "z2": tape.preactivations[1],
        "output": tape.outputs,
        "loss": tape.loss,
        "delta2": tape.deltas[1],
        "delta1": tape.deltas[0],
        "dW2": grads[1][0],
        "db2": grads[1][1],
        "dW1": grads[0][0],
        "db1": grads[0][1],
        "new W2": new[1][0],
        "new b2": new[1][1],
        "new W1": new[0][0],
        "new b1": new[0][1],
    }
    return {name: np.ravel(value) for name, value in quantities.items()}


def slips(right: np.ndarray, printed: list[float]) -> bool:
    """Say whether a printed number is off by a unit or more of its last decimal place."""
    units = [10.0 ** -len(str(p).partition(".")[2]) for p in printed]
    return any(abs(r - p) >= unit for r, p, unit in zip(right, printed, units, strict=True))


def train(epochs: int = 500) -> tuple[list[float], float]:
    """Train as the seed does, with mean squared error and plain SGD at 0.5; return the losses and the prediction."""
    params, x, y, _ = network()
    model = jaxmlp.Model("sigmoid", "sigmoid", "mean_squared_error")
    optimizer = jaxmlp.optimizers.sgd(0.5)
    state = jaxmlp.init_state(params, optimizer, jax.random.key(0))
    state, losses = jaxmlp.train(state, x, y, model, optimizer, epochs=epochs, batch_size=1)
    return losses.tolist(), float(jaxmlp.forward(state.params, x, model)[0, 0])


def graph(w: float = 1.5, x: float = 2.0, t: float = 5.0) -> tuple[float, float, float]:
    """Run y = w x, loss = (y - t)**2 / 2 as a network without bias; return y, the loss, dloss / dw = (y - t) x."""
    params = [(jnp.array([[w]]), jnp.array([0.0]))]
    model = jaxmlp.Model(loss="half_squared_error")
    tape = jaxmlp.backward(params, jnp.array([[x]]), jnp.array([[t]]), model)
    [(dW, _)] = jaxmlp.gradients(tape)
    return float(tape.outputs[0, 0]), float(tape.loss), float(dW[0, 0])


def main(epochs: int = 500) -> None:
    """Print all three."""
    with jax.enable_x64(True):
        print("the toy example, one step of SGD at 0.5:\n")
        for name, value in one_step().items():
            line = f"  {name:<7} {'  '.join(f'{v:.6f}' for v in value):<20}"
            if name in PRINTED:
                line += f"  the seed prints {PRINTED[name]}" + ("   <- a slip" if slips(value, PRINTED[name]) else "")
            print(line)

        losses, prediction = train(epochs)
        print(f"\ntraining it for {epochs} epochs (the seed starts from random weights, so its losses differ):\n")
        for epoch in range(0, epochs, 100):
            print(f"  epoch {epoch}, loss {losses[epoch]:.6f}")
        print(f"  final prediction {prediction:.6f}")

        y, loss, dw = graph()
        print("\nthe graph y = w x, loss = (y - t)**2 / 2 at w = 1.5, x = 2, t = 5:\n")
        print(f"  y = {y:g}, loss = {loss:g}, dloss/dw = (y - t) x = {dw:g}")


if __name__ == "__main__":
    main()
