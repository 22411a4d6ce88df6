"""Makes the models of the benchmark, each the only one of a model repository of its own.

    REPOSITORIES/linear/linear      this repository's own model of one number
    REPOSITORIES/trees/trees        gradient-boosted trees on 30 features
    REPOSITORIES/resnet50/resnet50  a convolutional network
    REPOSITORIES/encoder/encoder    a transformer encoder
    REPOSITORIES/pair/{linear,slow} the model of one number beside one of 50 ms a run

What is there already, made by this same code, is left as it is.
"""

import os
import shutil
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import publish

ROOT = Path(__file__).parents[2]
VERSION = "v1.0.0"

# The encoder: 6 layers of 384, as in small sentence encoders.
LAYERS, WIDTH, HEADS, TOKENS, VOCABULARY = 6, 384, 12, 32, 1000


def make(repositories: Path) -> None:
    """Makes every repository in `repositories` that is not there yet."""
    code = sha256(Path(__file__).read_bytes() + onnxruntime.__version__.encode()).hexdigest()
    for name, build in BUILDERS.items():
        folder = repositories / name
        made = folder / ".made"
        if made.exists() and made.read_text() == code:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        build(folder)
        made.write_text(code)


def lay_out(folder: Path, model: onnx.ModelProto, description: str, cases: dict, more: str = "") -> None:
    """Makes `folder` a model's: the manifest, the stamped file, and golden cases of `cases`."""
    (folder / "cases").mkdir(parents=True)
    unhashed = "0" * 64
    (folder / "model.toml").write_text(
        f'name = "{folder.name}"\nversion = "{VERSION}"\ndescription = "{description}"\n\n'
        f'[[files]]\npath = "model.onnx"\nsha256 = "{unhashed}"\n{more}'
    )
    for name, inputs in cases.items():
        (folder / "cases" / f"{name}.json").write_text(publish.render(inputs, []))
    unstamped = folder / "unstamped.onnx"
    onnx.save(model, unstamped)
    publish.publish(folder, unstamped)
    unstamped.unlink()


def tensor(name: str, datatype: str, array: numpy.ndarray) -> dict:
    """An input in the form of the Open Inference Protocol."""
    return {"name": name, "shape": list(array.shape), "datatype": datatype, "data": array.ravel().tolist()}


def linear(folder: Path) -> None:
    shutil.copytree(ROOT / "models" / "linear", folder / "linear")


def trees(folder: Path) -> None:
    """A classifier of 100 trees, trained on scikit-learn's data of 569 tumours."""
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import GradientBoostingClassifier

    from onnx_export import export

    data, target = load_breast_cancer(return_X_y=True)
    data = data.astype(numpy.float32)
    model = GradientBoostingClassifier(n_estimators=100, max_depth=5, random_state=0).fit(data, target)
    file = folder / "trees.onnx"
    export(
        model,
        file,
        name="trees",
        inputs={"features": FloatTensorType([None, data.shape[1]])},
        outputs=["benign", "probabilities"],
    )
    rows = numpy.array([[float(str(x)) for x in row] for row in data[[0, 19, 100, 300]]])
    cases = {
        "one": [tensor("features", "FP32", rows[:1])],
        "batch": [tensor("features", "FP32", rows)],
    }
    lay_out(folder / "trees", onnx.load(file), "Whether a tumour is benign, by 30 features of its cells", cases)
    file.unlink()


def resnet50(folder: Path) -> None:
    """The light ResNet-50 that ships as test data in the onnx package, as it is but for its weights.

    There every weight is the same number, so that every image gets the same answer; here they are
    drawn at random, so that a wrong answer shows. The graph takes one image at a time, of a fixed
    shape: nothing of it can be batched.
    """
    path = Path(onnx.__file__).parent / "backend/test/data/light/light_resnet50.onnx"
    model = onnx.load(path)
    graph = model.graph
    generator = numpy.random.default_rng(50)
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = list(graph.node)
    filled = {
        node.output[0]: weights(node.output[0], shapes[node.input[0]], generator)
        for node in nodes
        if node.op_type == "ConstantOfShape"
    }
    vectors = {
        name: array for name, array in shapes.items() if name.split("_")[-2:-1] in (["s"], ["b"], ["rm"], ["riv"])
    }
    filled |= {name: weights(name, array.shape, generator) for name, array in vectors.items()}
    del graph.node[:]
    graph.node.extend(node for node in nodes if node.op_type != "ConstantOfShape")
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used and tensor.name not in filled]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in filled.items())
    image = next(value for value in graph.input if value.name == "gpu_0/data_0")
    del graph.input[:]
    graph.input.append(image)
    model.ir_version = 4
    image = generator.integers(-8, 9, (1, 3, 224, 224)) / 8
    cases = {"one": [tensor("gpu_0/data_0", "FP32", image)]}
    lay_out(folder / "resnet50", model, "The classes of an image: a ResNet-50 with weights drawn at random", cases)


def weights(name: str, shape, generator: numpy.random.Generator) -> numpy.ndarray:
    """Weights that keep the activations' size from layer to layer."""
    shape = [int(n) for n in shape]
    if name.endswith("_riv_0"):
        array = numpy.ones(shape)
    elif name.endswith("_s_0"):
        # The last of a residual block adds little, or the sum would grow with each block.
        array = numpy.full(shape, 0.25 if "branch2c" in name else 1.0)
    elif len(shape) == 1:
        array = numpy.zeros(shape)
    else:
        array = generator.standard_normal(shape) * numpy.sqrt(2 / numpy.prod(shape[1:]))
    return array.astype(numpy.float32)


def encoder(folder: Path) -> None:
    """A transformer encoder: token numbers in, the mean of the last layer out."""
    generator = numpy.random.default_rng(6)
    nodes, initializers = [], []

    def constant(name: str, array: numpy.ndarray) -> str:
        initializers.append(numpy_helper.from_array(array, name))
        return name

    def drawn(name: str, *shape: int) -> str:
        array = generator.standard_normal(shape) / numpy.sqrt(shape[0])
        return constant(name, array.astype(numpy.float32))

    def node(kind: str, inputs: list[str], output: str, **attributes) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def dense(prefix: str, x: str, inner: int, outer: int) -> str:
        x = node("MatMul", [x, drawn(f"{prefix}.weight", inner, outer)], f"{prefix}.product")
        return node("Add", [x, constant(f"{prefix}.bias", numpy.zeros(outer, numpy.float32))], f"{prefix}.out")

    def normalised(prefix: str, x: str) -> str:
        scale = constant(f"{prefix}.scale", numpy.ones(WIDTH, numpy.float32))
        shift = constant(f"{prefix}.shift", numpy.zeros(WIDTH, numpy.float32))
        return node("LayerNormalization", [x, scale, shift], f"{prefix}.out", axis=-1, epsilon=1e-12)

    def headed(prefix: str, x: str, order: list[int]) -> str:
        x = node("Reshape", [x, heads], f"{prefix}.heads")
        return node("Transpose", [x], f"{prefix}.turned", perm=order)

    heads = constant("heads", numpy.array([0, TOKENS, HEADS, WIDTH // HEADS], numpy.int64))
    flat = constant("flat", numpy.array([0, TOKENS, WIDTH], numpy.int64))
    root = constant("root", numpy.array(numpy.sqrt(WIDTH // HEADS), numpy.float32))
    x = node("Gather", [drawn("tokens.weight", VOCABULARY, WIDTH), "tokens"], "tokens.out")
    x = node("Add", [x, drawn("positions.weight", TOKENS, WIDTH)], "embedded")
    x = normalised("embedded.norm", x)
    for layer in range(LAYERS):
        at = f"layer{layer}"
        query = headed(f"{at}.query", dense(f"{at}.query", x, WIDTH, WIDTH), [0, 2, 1, 3])
        key = headed(f"{at}.key", dense(f"{at}.key", x, WIDTH, WIDTH), [0, 2, 3, 1])
        value = headed(f"{at}.value", dense(f"{at}.value", x, WIDTH, WIDTH), [0, 2, 1, 3])
        scores = node("Div", [node("MatMul", [query, key], f"{at}.scores"), root], f"{at}.scaled")
        mixed = node("MatMul", [node("Softmax", [scores], f"{at}.shares", axis=-1), value], f"{at}.mixed")
        mixed = node("Transpose", [mixed], f"{at}.unturned", perm=[0, 2, 1, 3])
        mixed = dense(f"{at}.output", node("Reshape", [mixed, flat], f"{at}.joined"), WIDTH, WIDTH)
        x = normalised(f"{at}.norm1", node("Add", [x, mixed], f"{at}.sum1"))
        wide = node("Gelu", [dense(f"{at}.wide", x, WIDTH, 4 * WIDTH)], f"{at}.gelu")
        narrow = dense(f"{at}.narrow", wide, 4 * WIDTH, WIDTH)
        x = normalised(f"{at}.norm2", node("Add", [x, narrow], f"{at}.sum2"))
    node("ReduceMean", [x, constant("axis", numpy.array([1], numpy.int64))], "embedding", keepdims=0)
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("tokens", TensorProto.INT64, ["batch", TOKENS])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", WIDTH])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    text = generator.integers(0, VOCABULARY, (4, TOKENS))
    cases = {
        "one": [tensor("tokens", "INT64", text[:1])],
        "batch": [tensor("tokens", "INT64", text)],
    }
    description = f"The embedding of a text of {TOKENS} tokens: {LAYERS} layers of {WIDTH}, drawn at random"
    lay_out(folder / "encoder", model, description, cases)


def pair(folder: Path) -> None:
    shutil.copytree(ROOT / "models" / "linear", folder / "linear")
    slow(folder / "slow", milliseconds=50)


def slow(folder: Path, milliseconds: float) -> None:
    """One number in, the same out, after as many products of matrices as take the time given."""
    size = 256
    turn, _ = numpy.linalg.qr(numpy.random.default_rng(1).standard_normal((size, size)))
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["going_on"]),
            helper.make_node("MatMul", ["state", "turn"], ["turned"]),
        ],
        "turn_once",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [size, size]),
        ],
        [
            helper.make_tensor_value_info("going_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("turned", TensorProto.FLOAT, [size, size]),
        ],
    )

    def model(turns: int) -> onnx.ModelProto:
        graph = helper.make_graph(
            [
                helper.make_node("Mul", ["x", "unit"], ["start"]),
                helper.make_node("Loop", ["turns", "", "start"], ["end"], body=body),
                # Turning keeps the sum of squares, which is that of x.
                helper.make_node("ReduceSumSquare", ["end"], ["sum"], keepdims=1),
                helper.make_node("Sqrt", ["sum"], ["y"]),
            ],
            "slow",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
            [
                numpy_helper.from_array(turn.astype(numpy.float32), "turn"),
                numpy_helper.from_array(numpy.full((size, size), 1 / size, numpy.float32), "unit"),
                numpy_helper.from_array(numpy.array(turns, numpy.int64), "turns"),
            ],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)

    trial = 20
    each = shortest(model(trial), {"x": numpy.ones((1, 1), numpy.float32)}) / trial
    turns = max(1, round(milliseconds / 1000 / each))
    case = [tensor("x", "FP32", numpy.array([[21]]))]
    lay_out(folder, model(turns), f"The number given, after {milliseconds} ms of work", {"one": case})


def shortest(model: onnx.ModelProto, feed: dict) -> float:
    """The shortest of some runs, in seconds: others on the machine only ever lengthen one."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    times = []
    for _ in range(30):
        start = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - start)
    return min(times)


BUILDERS: dict[str, Callable[[Path], None]] = {
    "linear": linear,
    "trees": trees,
    "resnet50": resnet50,
    "encoder": encoder,
    "pair": pair,
}

if __name__ == "__main__":
    make(Path(os.environ.get("BENCH_MODELS", ROOT / "target" / "bench" / "models")))
