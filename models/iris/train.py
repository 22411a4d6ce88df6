"""The species of an iris by the size of its flower: a scaler and a logistic regression.

usage: train.py FILE, by way of scripts/train
"""

import sys

from skl2onnx.common.data_types import FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from onnx_export import export

# The columns of scikit-learn's data set, in its order, in centimetres.
FEATURES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]

iris = load_iris()
# Newton's method goes on to the optimum itself, so that in float32 the weights are
# the same whatever processor they were found on.
model = Pipeline(
    [
        ("scale", ColumnTransformer([("scale", StandardScaler(), list(range(len(FEATURES))))])),
        ("classify", LogisticRegression(solver="newton-cholesky", tol=1e-10)),
    ]
).fit(iris.data, iris.target_names[iris.target])

export(
    model,
    sys.argv[1],
    name="iris",
    inputs={feature: FloatTensorType([None, 1]) for feature in FEATURES},
    outputs=["species", "probabilities"],
    trained_on=dict(zip(FEATURES, iris.data.T, strict=True)),
)
