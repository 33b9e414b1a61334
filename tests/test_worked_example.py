"""The worked example: each quantity to the digits of the specification, in both orders."""

import runpy

import numpy as np
import pytest

from fastnn import MLP, SGD, Dense

EXAMPLE = runpy.run_path("examples/worked_example.py")


def assert_digits(value, *expected, tolerance):
    np.testing.assert_allclose(np.ravel(value), expected, rtol=0, atol=tolerance)


def test_gradient_step():
    s = EXAMPLE["step"](output_first=False)
    assert_digits(s.a0, 0.755, 0.68, tolerance=1e-12)
    assert_digits(s.z0, 0.6802672, 0.6637387, tolerance=5e-8)
    assert_digits(s.a1, 0.8014450, tolerance=5e-8)
    assert_digits(s.y, 0.6902835, tolerance=5e-8)
    assert_digits(s.loss, 0.0181039, tolerance=5e-8)
    assert_digits(s.delta1, 0.0406811, tolerance=5e-8)
    assert_digits(s.W1, 0.2723260, 0.8729984, tolerance=5e-8)
    assert_digits(s.delta0, 0.00265449, 0.00817165, tolerance=5e-9)
    assert_digits(s.W0.T, 0.09907093, 0.79761096, 0.39713992, 0.59264552, tolerance=5e-9)


def test_order_of_the_source():
    s = EXAMPLE["step"](output_first=True)
    assert_digits(s.delta0, 0.00240962, 0.00792648, tolerance=5e-9)
    assert_digits(s.W0.T, 0.09915663, 0.79783134, 0.39722573, 0.59286617, tolerance=5e-9)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 5e-9), ("float32", 1e-7)])
def test_training_takes_the_gradient_step(dtype, tolerance):
    net = MLP(
        2,
        [Dense(2, "sigmoid", use_bias=False), Dense(1, "sigmoid", use_bias=False)],
        loss="squared_error",
        optimizer=SGD(learning_rate=1.0),
        dtype=dtype,
    )
    net.set_weights([EXAMPLE["W_HIDDEN"], EXAMPLE["W_OUTPUT"]])
    loss = net.train_on_batch(EXAMPLE["X"], EXAMPLE["T"])
    assert_digits(loss, 0.0181039, tolerance=5e-8)
    hidden, output = net.get_weights()
    assert_digits(hidden.T, 0.09907093, 0.79761096, 0.39713992, 0.59264552, tolerance=tolerance)
    assert_digits(output, 0.2723260, 0.8729984, tolerance=1e-7)
    assert_digits(net.predict(EXAMPLE["X"]), 0.6820186, tolerance=1e-7)


def test_96_steps_to_the_target():
    steps, y = EXAMPLE["train"]()
    assert steps == 96
    assert_digits(y, 0.5009574, tolerance=5e-8)


def test_the_program_prints_its_figures(capsys):
    EXAMPLE["main"]()
    output = capsys.readouterr().out
    for words in ("0.69028349", "0.04068113", "0.59264552", "0.59286617", "after 96 steps"):
        assert words in output
