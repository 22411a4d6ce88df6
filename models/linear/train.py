"""How long a delivery takes, in minutes, by its distance: a linear regression.

usage: train.py FILE, by way of scripts/train
"""

import sys
from pathlib import Path

import numpy
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LinearRegression

from onnx_export import export

data = numpy.loadtxt(Path(__file__).with_name("training.csv"), delimiter=",", skiprows=1)
distance, minutes = data[:, :1], data[:, 1]

export(
    LinearRegression().fit(distance, minutes),
    sys.argv[1],
    name="linear",
    inputs={"distance_km": FloatTensorType([None, 1])},
    outputs=["minutes"],
    trained_on={"distance_km": distance[:, 0]},
)
