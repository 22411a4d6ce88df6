"""Every datatype, shape and kind of value, in every encoding."""

import json

import numpy as np
import pytest

import specimens
from open_inference.encodings import RefusedError, encodings
from open_inference.tensors import DATATYPES, Tensor, pack, unpack

WAYS = ["REST JSON", "REST binary", "gRPC raw", "gRPC typed"]


@pytest.fixture(scope="module", params=WAYS)
def way(request, service):
    return encodings(service.address)[request.param]


@pytest.mark.parametrize("datatype", DATATYPES)
def test_each_datatype_survives(way, datatype):
    sent = specimens.samples(datatype)
    (back,) = way.infer(f"identity-{datatype.lower()}", [Tensor("x", sent)])
    assert back.datatype == datatype
    assert back.array.shape == sent.shape
    if sent.dtype == object:
        assert back.array.tolist() == sent.tolist()
    else:
        same = back.array.view(f"u{sent.itemsize}") == sent.view(f"u{sent.itemsize}")
        assert (same | (np.isnan(sent.astype(float)) & np.isnan(back.array.astype(float)))).all()


def test_text_that_onnx_runtime_can_not_hold_is_refused(way):
    with pytest.raises(RefusedError, match="NUL"):
        way.infer("identity-bytes", [Tensor("x", np.array([["a\0b"]], dtype=object))])


@pytest.mark.parametrize("datatype", DATATYPES)
@pytest.mark.parametrize("shape", [(0, 2), (3, 0)])
def test_empty_tensors(way, datatype, shape):
    sent = np.zeros(shape, DATATYPES[datatype])
    (back,) = way.infer(f"identity-{datatype.lower()}", [Tensor("x", sent)])
    assert back.array.shape == shape


def test_scalars(way):
    (back,) = way.infer("scalar", [Tensor("x", np.array(1.5, np.float32))])
    assert back.array.shape == () and back.array == 1.5


@pytest.mark.parametrize("shape", [(), (3,), (1, 2, 1, 2, 1)])
def test_any_rank(way, shape):
    sent = np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)
    (back,) = way.infer("any-rank", [Tensor("x", sent)])
    np.testing.assert_array_equal(back.array, sent)


def test_large_tensors(way):
    sent = np.random.default_rng(0).random((300, 1000), np.float32)
    (back,) = way.infer("identity-fp32", [Tensor("x", sent)])
    np.testing.assert_array_equal(back.array, sent)


def test_a_shape_that_does_not_fit_is_named(way):
    ones = np.ones((3, 3), np.float32)
    with pytest.raises(RefusedError, match=r'"x" has shape \[3,3\], and the model takes \[2,3\]'):
        way.infer("fixed", [Tensor("x", ones)])
    with pytest.raises(RefusedError, match=r'dimension "n" is 2 in the input "a" and 3 in "b"'):
        way.infer("sum", [Tensor("a", ones[:2]), Tensor("b", ones)])
    with pytest.raises(RefusedError, match=r'"x" has datatype FP64, and the model takes FP32'):
        way.infer("fixed", [Tensor("x", np.ones((2, 3)))])


def test_inputs_are_named(way):
    ones = np.ones((1, 3), np.float32)
    with pytest.raises(RefusedError, match='the input "b" is missing'):
        way.infer("sum", [Tensor("a", ones)])
    with pytest.raises(RefusedError, match='no input "c"; it takes "a", "b"'):
        way.infer("sum", [Tensor("c", ones)])
    with pytest.raises(RefusedError, match='"a" is given twice'):
        way.infer("sum", [Tensor("a", ones), Tensor("a", ones)])


def test_inputs_with_defaults_may_be_left_out(way):
    x = Tensor("x", np.array([1, 2], np.float32))
    (back,) = way.infer("defaults", [x])
    assert back.array.tolist() == [2, 4]
    (back,) = way.infer("defaults", [x, Tensor("factor", np.array([5], np.float32))])
    assert back.array.tolist() == [5, 10]


@pytest.mark.parametrize(
    ("model", "keys", "order"),
    [("zipmap-int", [3, 5, 7], [1, 2, 0]), ("zipmap-text", ["maybe", "no", "yes"], [2, 0, 1])],
)
def test_maps_are_columns_in_the_order_of_their_keys(way, model, keys, order):
    sent = np.array([[0.5, 0.2, 0.3], [0.1, 0.8, 0.1]], np.float32)
    labels, probabilities = way.infer(model, [Tensor("x", sent)])
    assert labels.array.tolist() == [0, 1]
    np.testing.assert_array_equal(probabilities.array, sent[:, order])
    assert json.loads(probabilities.parameters["keys"]) == keys


def test_sequences(way):
    sent = Tensor("x", np.array([1, 2, 3, 4], np.float32))
    (even,) = way.infer("sequence-even", [sent])
    assert even.array.tolist() == [[1, 2], [3, 4]]
    (ragged,) = way.infer("sequence-ragged", [sent])
    assert json.loads(ragged.parameters["shapes"]) == [[1], [3]]
    assert [part.tolist() for part in unpack(ragged, [])] == [[1], [2, 3, 4]]


@pytest.mark.parametrize("lengths", [[2, 2], [1, 3], [1, 0, 2]])
def test_sequences_as_inputs(way, lengths):
    parts = [np.arange(n, dtype=np.float32) for n in lengths]
    (whole,) = way.infer("sequence-in", [pack("s", parts)])
    np.testing.assert_array_equal(whole.array, np.concatenate(parts))


def test_optional_outputs(way):
    (back,) = way.infer("optional", [Tensor("x", np.array([1, 2], np.float32))])
    assert back.array.tolist() == [1, 2]


def test_an_input_that_may_hold_nothing(way):
    held = Tensor("x", np.array([1, 2], np.float32))
    beside = Tensor("a", np.array([3], np.float32))
    for name, given, left_out, rest in (
        ("maybe-tensor", [1, 2], [7], []),
        ("maybe-beside", [1, 2], [7], [beside]),
    ):
        outputs = way.infer(name, [held, *rest])
        assert [o.array.tolist() for o in outputs] == [given, *(r.array.tolist() for r in rest)]
        outputs = way.infer(name, rest)
        assert [o.array.tolist() for o in outputs] == [left_out, *(r.array.tolist() for r in rest)]
    (count,) = way.infer("maybe-sequence", [pack("x", [np.float32([1]), np.float32([2, 3])])])
    assert count.array == 2
    (count,) = way.infer("maybe-sequence", [])
    assert count.array == -1


def test_an_input_that_the_model_needs_after_all(way):
    held = Tensor("x", np.array([1, 2], np.float32))
    assert way.infer("maybe-needed", [held])[0].array.tolist() == [1, 2]
    with pytest.raises(RefusedError, match=r"(400|INVALID_ARGUMENT).*contains no data"):
        way.infer("maybe-needed", [])
