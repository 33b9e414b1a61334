"""
7. Many networks: a forecast for each store
===========================================

A chain of stores wants a forecast of the sales of the coming weeks, and its uncertainty. Each store
has its own customers, so each gets its own network. Several networks for one store show how
uncertain a forecast is. `fastnn.fit_many` trains many networks in one call.

The sales of 1,000 stores over two years are simulated. They depend on the weekday, the temperature
and promotions, differently in each store.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastnn import MLP, Dense, EarlyStopping, Standardize, fit_many, networks

rng = np.random.default_rng(0)
n_stores, n_days, n_tested = 1000, 730, 28
day = np.arange(n_days)
temperature = 12 - 10 * np.cos(2 * np.pi * day / 365) + 3 * rng.normal(size=n_days)


def simulate(store):
    """Return inputs (n_days, 8) and sales (n_days,), in hundreds, of a store."""
    promotion = rng.random(n_days) < 0.15
    week = rng.uniform(0.6, 1.4, size=7)[day % 7]  # the weekdays of this store
    best = rng.uniform(-5, 30)  # the temperature at which its customers buy most
    warmth = np.exp(-(((temperature - best) / 12) ** 2))
    sales = 4 * week * (0.5 + warmth) * (1 + rng.uniform(0, 0.8) * promotion)
    weekday = np.eye(6)[np.minimum(day % 7, 5)] * (day % 7 < 6)[:, None]
    inputs = np.column_stack([temperature, promotion, weekday])
    return inputs, sales + 0.4 * rng.normal(size=n_days)


simulated = [simulate(store) for store in range(n_stores)]
X = np.concatenate([inputs[:-n_tested] for inputs, _ in simulated])
y = np.concatenate([sales[:-n_tested] for _, sales in simulated])
stores = np.repeat(np.arange(n_stores), n_days - n_tested)
print(f"{len(y):,} rows of {n_stores:,} stores; the last {n_tested} days are kept for the test")

# %%
# A network for each store
# ------------------------
# `fastnn.networks` makes networks that differ in their seeds. ``groups`` is the store of each row:
# the network of a store is trained on the rows of that store. Each network stops when its own
# validation loss, computed on the last days of its store, no longer falls.

layers = [Standardize(), Dense(16, "tanh"), Dense(1)]
base = MLP(8, layers, loss="squared_error", optimizer="adam", seed=0)
stop = EarlyStopping(patience=20, restore_best_weights=True)
fits = fit_many(
    networks(base, n=n_stores, learning_rate=[0.01]),
    X,
    y,
    groups=stores,
    validation=0.1,
    epochs=300,
    callbacks=[stop],
)
print(fits)
print(f"they stopped after {min(net.epoch for net in fits)} to {max(n.epoch for n in fits)} epochs")

# %%
# The networks are in the order of ``fits.groups``. For comparison, a single network is trained on
# the rows of all stores, without the store as an input.

pooled = base.copy()
pooled.learning_rate = 0.01
pooled.fit(X, y, epochs=30, batch_size=256)


def error(net, store):
    """Return the root mean squared error of a network on the test days of a store."""
    inputs, sales = (part[-n_tested:] for part in simulated[store])
    return np.sqrt(np.mean((net.predict(inputs).ravel() - sales) ** 2))


own = [error(fits[i], store) for i, store in enumerate(fits.groups)]
joint = [error(pooled, store) for store in fits.groups]
print(f"mean error: a network for each store {np.mean(own):.2f}, one for all {np.mean(joint):.2f}")

# %%
# The simulated noise has a standard deviation of 0.40, so over many days no forecast can have a
# smaller error.
#
# Choosing the network
# --------------------
# ``fit_many`` can also compare architectures and learning rates: ``networks`` makes all
# combinations. Here the networks of the seeds 0, 1 and 2 are trained on the rows of the stores 0, 1
# and 2.

grid = networks(
    base,
    layers=[[Standardize(), Dense(hidden, "tanh"), Dense(1)] for hidden in (4, 16, 64)],
    learning_rate=[1e-3, 1e-2],
    seeds=range(3),
)
rows = [np.flatnonzero(stores == chosen["seeds"]) for chosen in grid.parameters]
found = fit_many(grid, X, y, rows=rows, validation=0.1, epochs=300, callbacks=[stop])
losses = found.values("val_loss").reshape(3, 2, 3).mean(axis=2)
for hidden, row in zip((4, 16, 64), losses, strict=True):
    print(f"{hidden:2d} units: validation loss {row[0]:.3f} at rate 0.001, {row[1]:.3f} at 0.01")

# %%
# The uncertainty of a forecast
# -----------------------------
# Thirty networks are trained for one store, each on days that are drawn with replacement. Their
# predictions differ where the data do not determine the answer. ``validation="rest"`` evaluates
# each network on the days that it did not draw. The errors on these days also contain the noise,
# which no network can predict.

store = 3
inputs, sales = simulated[store]
seen, t = inputs[:-n_tested], sales[:-n_tested]
drawn = [rng.integers(0, len(t), len(t)) for _ in range(30)]
ensemble = fit_many(
    networks(base, n=30, learning_rate=[0.01]),
    seen,
    t,
    rows=drawn,
    validation="rest",
    epochs=300,
    callbacks=[stop],
)

outputs = ensemble.predict(seen)[:, :, 0]
for member, days in zip(outputs, drawn, strict=True):
    member[days] = np.nan  # the days that this network was trained on
residuals = t - np.nanmean(outputs, axis=0)
low, high = np.quantile(residuals, [0.05, 0.95])

# %%
# The forecast is the mean of the networks, and the interval adds the quantiles of these errors to
# it. The interval should contain about nine of ten days.

unseen, truth = inputs[-n_tested:], sales[-n_tested:]
mean = ensemble.predict(unseen, reduce="mean").ravel()
spread = ensemble.predict(unseen, reduce="std").ravel()
inside = np.mean((mean + low <= truth) & (truth <= mean + high))
print(f"{inside:.0%} of the test days lie in the interval")
print(f"the networks differ by {spread.mean():.2f}, the interval is {high - low:.2f} wide")

figure, axes = plt.subplots(figsize=(9, 3.8), layout="constrained")
days = np.arange(n_tested)
axes.fill_between(days, mean + low, mean + high, alpha=0.25, label="90 % interval")
axes.plot(days, mean, label="forecast")
axes.plot(days, truth, "k.", label="sales")
axes.set(xlabel="day of the test", ylabel="sales in hundreds", title=f"store {store}")
axes.legend()
axes.grid(alpha=0.3)

# %%
# ``fits.save`` writes all networks to one file. :doc:`../how-to/many_networks` has checkpoints,
# executors and Ctrl-C; :doc:`../how-to/many_estimators` has ensembles and searches for
# scikit-learn.
