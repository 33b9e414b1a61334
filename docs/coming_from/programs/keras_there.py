"""Digits with Keras."""

import keras
from sklearn.datasets import load_digits

X, y = load_digits(return_X_y=True)
X = (X / 16).astype("float32")

keras.utils.set_random_seed(0)
net = keras.Sequential(
    [
        keras.Input((64,)),
        keras.layers.Dense(128, "relu"),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(10, "softmax"),
    ]
)
net.compile(
    loss="sparse_categorical_crossentropy",
    optimizer=keras.optimizers.Adam(1e-3),
    metrics=["accuracy"],
)
stop = keras.callbacks.EarlyStopping(
    patience=5,
    restore_best_weights=True,
)
history = net.fit(
    X[:1500],
    y[:1500],
    batch_size=32,
    epochs=40,
    validation_split=0.1,
    callbacks=[stop],
    verbose=0,
)
net.save("digits.keras")

net = keras.saving.load_model("digits.keras")
found = net.evaluate(
    X[1500:],
    y[1500:],
    return_dict=True,
    verbose=0,
)
accuracy = found["accuracy"]
print(f"accuracy {accuracy:.1%}")
