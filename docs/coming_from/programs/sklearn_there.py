"""Digits with scikit-learn."""

from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X, y = load_digits(return_X_y=True)

model = make_pipeline(
    StandardScaler(),
    MLPClassifier(
        hidden_layer_sizes=(64,),
        early_stopping=True,
        learning_rate_init=0.01,
        random_state=0,
    ),
)
search = GridSearchCV(
    model,
    {"mlpclassifier__alpha": [1e-4, 1e-1]},
    cv=3,
)
search.fit(X[:1500], y[:1500])
accuracy = search.score(X[1500:], y[1500:])
print(f"accuracy {accuracy:.1%}")
