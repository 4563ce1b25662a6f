"""The order of an epoch: a bijection always, and no place or pair favoured, by chi-square."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp.training import shuffling
from jaxmlp.training.shuffling import epoch_order

EPOCHS = 20_000


# Where orders come from: the steps of one run, its epochs of 9 updates, or runs whose keys follow each other.
SOURCES = {
    "steps": lambda n, epochs: jax.vmap(lambda i: epoch_order(jax.random.key(0), 9 * i, n))(jnp.arange(epochs)),
    "keys": lambda n, epochs: jax.vmap(lambda seed: epoch_order(jax.random.key(seed), 0, n))(jnp.arange(epochs)),
}


def orders(n, epochs=EPOCHS, source="steps"):
    return np.asarray(jax.jit(lambda: SOURCES[source](n, epochs))())


def excess(counts, expected, freedom):
    """Chi-square's distance above its mean, in standard deviations."""
    return (np.sum((counts - expected) ** 2 / expected) - freedom) / math.sqrt(2 * freedom)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 16, 17, 26, 101, 1797, 60_000])
def test_every_number_comes_once(n):
    drawn = orders(n, epochs=5)
    assert drawn.dtype == jnp.int32
    np.testing.assert_array_equal(np.sort(drawn, axis=1), np.broadcast_to(np.arange(n), (5, n)))


def test_eager_and_jitted_orders_are_the_same():
    for key in (jax.random.key(3), jax.random.PRNGKey(3), jax.random.key(3, impl="rbg")):
        np.testing.assert_array_equal(epoch_order(key, 5, 23), jax.jit(epoch_order, static_argnums=2)(key, 5, 23))


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("n", [3, 50, 101])
def test_each_number_is_as_likely_at_each_place(n, source):
    drawn = orders(n, source=source)
    counts = np.stack([np.bincount(drawn[:, place], minlength=n) for place in range(n)])
    assert abs(excess(counts, EPOCHS / n, (n - 1) ** 2)) < 4


def same_batch(drawn, n, batch_size):
    """How often each pair of examples fell into the same full batch."""
    batch = np.argsort(drawn, axis=1) // batch_size
    members = [(batch == b).astype(float) for b in range(n // batch_size)]
    return sum(m.T @ m for m in members)[np.triu_indices(n, 1)]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("n", "batch_size"), [(50, 10), (101, 20)])
def test_each_pair_meets_as_often_in_a_batch(n, batch_size, source):
    counts = same_batch(orders(n, source=source), n, batch_size)
    share = (n // batch_size) * batch_size * (batch_size - 1) / (n * (n - 1))
    z = (counts - EPOCHS * share) / math.sqrt(EPOCHS * share * (1 - share))
    assert abs(z.mean()) < 0.1
    assert 0.95 < z.std() < 1.05
    assert abs(z).max() < 5


def test_the_test_of_pairs_has_teeth(monkeypatch):
    """Two rounds in place of four are too few, and it shows."""
    monkeypatch.setattr(shuffling, "ROUNDS", 2)
    counts = same_batch(orders(50), 50, 10)
    share = 5 * 10 * 9 / (50 * 49)
    assert ((counts - EPOCHS * share) / math.sqrt(EPOCHS * share * (1 - share))).std() > 1.5


@pytest.mark.parametrize("source", SOURCES)
def test_neighbours_are_parted(source):
    """How far two numbers that follow each other lie apart, against two drawn at random."""
    place = np.argsort(orders(101, source=source), axis=1)
    steps = (place[:, 1:] - place[:, :-1]) % 101
    counts = np.bincount(steps.ravel(), minlength=101)[1:]
    assert abs(excess(counts, counts.sum() / 100, 99)) < 5


@pytest.mark.parametrize("n", [2, 3, 4])
def test_all_orders_of_a_few_come(n):
    """Nearly evenly, where they can be counted."""
    drawn = orders(n, 1 << 17)
    counts = [np.sum(np.all(drawn == order, axis=1)) for order in itertools.permutations(range(n))]
    np.testing.assert_allclose(counts, len(drawn) / math.factorial(n), rtol=0.06)


@pytest.mark.parametrize(("n", "length"), [(1, 1), (1, 2), (5, 7), (23, 25), (23, 46)])
def test_beyond_its_end_the_order_begins_again(n, length):
    order = np.asarray(epoch_order(jax.random.key(3), 4, n))
    np.testing.assert_array_equal(epoch_order(jax.random.key(3), 4, n, length), np.tile(order, 2)[:length])


def test_another_key_or_step_another_order():
    order = jax.jit(epoch_order, static_argnums=2)
    first = np.asarray(order(jax.random.key(0), 0, 1797))
    for other in (order(jax.random.key(1), 0, 1797), order(jax.random.key(0), 1, 1797)):
        assert np.mean(first == np.asarray(other)) < 0.01
    np.testing.assert_array_equal(first, order(jax.random.key(0), 0, 1797))


def test_every_bit_of_the_key_and_the_step_counts():
    """Where one bit is changed, about as many numbers of 1,797 keep their place as would by chance: one."""
    order = jax.jit(jax.vmap(lambda words, step: epoch_order(jax.random.wrap_key_data(words), step, 1797)))
    start = np.array([0x12345678, 0x9ABCDEF0, 77], np.uint32)
    changed = np.tile(start, (96, 1))
    for i in range(96):
        changed[i, i // 32] ^= np.uint32(1 << i % 32)
    first = order(start[None, :2], start[None, 2])
    stayed = np.sum(np.asarray(first) == np.asarray(order(changed[:, :2], changed[:, 2])), axis=1)
    assert stayed.max() <= 8
    assert 0.6 < stayed.mean() < 1.4
