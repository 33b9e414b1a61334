"""Digits with an MLP of fastnn."""

from sklearn.datasets import load_digits

import fastnn

X, y = load_digits(return_X_y=True)

net = fastnn.MLP(
    64,
    [
        fastnn.Standardize(),
        fastnn.Dense(64, "relu"),
        fastnn.Dense(10, "softmax"),
    ],
    loss="cross_entropy",
    optimizer=fastnn.Adam(0.01),
    seed=0,
)
net.fit(
    X[:1500],
    y[:1500],
    epochs=200,
    validation_split=0.1,
    callbacks=[fastnn.EarlyStopping(patience=10, restore_best_weights=True)],
)
accuracy = net.evaluate(X[1500:], y[1500:], metrics=["accuracy"])["accuracy"]
print(f"accuracy {accuracy:.1%}")
