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
    loss="cross_entropy",  # of probabilities
    optimizer=fastnn.Adam(
        fastnn.CosineDecay(
            1e-3,
            decay_steps=30,
            per="epoch",
        ),
        global_clipnorm=1.0,
    ),
    seed=0,
)
net.fit(X[:1500], y[:1500], batch_size=32, epochs=30)
net.save("digits.safetensors")

net = fastnn.load("digits.safetensors")
predicted = net.predict(X[1500:]).argmax(axis=1)
accuracy = (predicted == y[1500:]).mean()
print(f"accuracy {accuracy:.1%}")
