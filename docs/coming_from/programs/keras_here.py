"""Digits with fastnn."""

from sklearn.datasets import load_digits

import fastnn

X, y = load_digits(return_X_y=True)
X = (X / 16).astype("float32")

net = fastnn.MLP(
    64,
    [
        fastnn.Dense(128, "relu"),
        fastnn.Dropout(0.2),
        fastnn.Dense(10, "softmax"),
    ],
    loss="cross_entropy",
    optimizer=fastnn.Adam(1e-3),
    seed=0,
)
stop = fastnn.EarlyStopping(
    patience=5,
    restore_best_weights=True,
)
history = net.fit(
    X[:1500],
    y[:1500],
    batch_size=32,
    epochs=40,
    validation_split=0.1,
    metrics=["accuracy"],
    callbacks=[stop],
)
net.save("digits.safetensors")

net = fastnn.load("digits.safetensors")
found = net.evaluate(
    X[1500:],
    y[1500:],
    metrics=["accuracy"],
)
accuracy = found["accuracy"]
print(f"accuracy {accuracy:.1%}")
