"""The peer: what a user would write with FastAPI and onnxruntime instead, served by uvicorn.

PEER_MODEL is the model's folder in a model repository. PEER_HANDLERS says how a model is run:
"async", in the handler, on the event loop; "threads", in a handler that FastAPI gives a thread.
"""

import os
import tomllib
from pathlib import Path

import numpy
import onnxruntime
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

folder = Path(os.environ["PEER_MODEL"])
manifest = tomllib.loads((folder / "model.toml").read_text())
NAME, VERSION = manifest["name"], manifest["version"]

options = onnxruntime.SessionOptions()
# One worker for each processor: more threads in each would only get in each other's way.
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(folder / "model.onnx", options)
first = session.get_inputs()[0]
INPUT, SHAPE = first.name, [size if isinstance(size, int) else -1 for size in first.shape]
DTYPE = {"tensor(float)": numpy.float32, "tensor(int64)": numpy.int64}[first.type]
OUTPUTS = [output.name for output in session.get_outputs()]

app = FastAPI()


class Rows(BaseModel):
    """Rows of features."""

    rows: list[list[float]]


def of_number(n: float) -> dict:
    (y,) = session.run(None, {INPUT: numpy.array([[n]], DTYPE)})
    return {"input": n, "prediction": y.item(), "model_version": VERSION}


def of_rows(rows: list[list[float]]) -> dict:
    predictions, *others = session.run(None, {INPUT: numpy.array(rows, DTYPE)})
    answer = {"predictions": predictions.tolist(), "model_name": NAME, "model_version": VERSION}
    if others:
        names = OUTPUTS[1:]
        answer["outputs"] = {name: value.tolist() for name, value in zip(names, others, strict=True)}
    return answer


def of_bytes(body: bytes) -> Response:
    outputs = session.run(None, {INPUT: numpy.frombuffer(body, DTYPE).reshape(SHAPE)})
    return Response(b"".join(value.tobytes() for value in outputs), media_type="application/octet-stream")


if os.environ["PEER_HANDLERS"] == "async":

    @app.get("/predict/{n}")
    async def predict_number(n: float):
        return of_number(n)

    @app.post("/predict")
    async def predict_rows(body: Rows):
        return of_rows(body.rows)

    @app.post("/infer")
    async def infer(request: Request):
        return of_bytes(await request.body())

else:

    @app.get("/predict/{n}")
    def predict_number(n: float):
        return of_number(n)

    @app.post("/predict")
    def predict_rows(body: Rows):
        return of_rows(body.rows)

    @app.post("/infer")
    async def infer(request: Request):
        return await run_in_threadpool(of_bytes, await request.body())
