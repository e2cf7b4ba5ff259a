"""Bodies of requests and their answers, in the V2 protocol and in templates."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from pydantic import ValidationError

from weighin.contract.load import Server
from weighin.errors import NotEvaluated
from weighin.load.answer import read_answer
from weighin.load.bodies import rows_as_json
from weighin.runner.plan import Answers, Interface

TABLE = pa.table(
    {
        "amount": pa.array([0.1, 0.2, None], pa.float32()),
        "count": pa.array([1, 2, 3], pa.int64()),
        "small": pa.array([1, 2, 3], pa.uint8()),
        "yes": [True, False, True],
        "word": ["a", "b", "ü"],
        "at": pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * 3),
        "price": pa.array([Decimal("1.5")] * 3),
    }
)
ONE, ALL = Answers((0,)), Answers((0, 1), "probabilities", (0, 1))


def body(template: str, rows: tuple[int, ...] = (0, 1), *names: str) -> object:
    table = TABLE.select(names) if names else TABLE
    return json.loads(rows_as_json(table, Interface(form="template", template=template), range(3)).of(rows))


def test_tensors_have_the_types_of_their_columns() -> None:
    found = json.loads(rows_as_json(TABLE, Interface(form="v2"), range(3)).of((2, 0)))["inputs"]
    assert [t["datatype"] for t in found] == ["FP32", "INT64", "UINT8", "BOOL", "BYTES", "BYTES", "FP64"]
    assert [t["shape"] for t in found] == [[2, 1]] * 7
    assert [t["data"] for t in found][1:] == [
        [3, 1],
        [3, 1],
        [True] * 2,
        ["ü", "a"],
        ["2026-01-01T00:00:00+00:00"] * 2,
        [1.5] * 2,
    ]
    assert found[0]["data"][0] is None


def test_every_form_of_the_rows_can_stand_in_a_template() -> None:
    numbers = ("count", "small")
    assert body('{"n": {{count}}, "x": {{values}}}', (0, 2), *numbers) == {"n": 2, "x": [1, 1, 3, 3]}
    assert body("{{lists}}", (0, 2), *numbers) == [[1, 1], [3, 3]]
    assert body("{{rows}}", (0, 2), *numbers) == [{"count": 1, "small": 1}, {"count": 3, "small": 3}]
    told = body('{"parameters": {"content_type": "pd"}, "inputs": {{tensors}}}', (1,), *numbers)
    assert isinstance(told, dict)
    assert [t["data"] for t in told["inputs"]] == [[2], [2]]


@pytest.mark.parametrize(
    "template", ["{{rows}} {{values}}", "{{values}}{{values}}", '"{{lists}}"', "{{count}}", "[{{tensors}}"]
)
def test_a_template_needs_the_rows_once_and_is_json(template: str) -> None:
    with pytest.raises(NotEvaluated, match="the template of requests"):
        body(template)


def tensor(name: str, shape: object, data: object) -> dict[str, object]:
    return {"name": name, "shape": shape, "datatype": "FP64", "data": data}


RIGHT = {
    "flat, one value": ([tensor("p", [2], [0.1, 0.2])], ONE, [0.1, 0.2]),
    "flat, a column": ([tensor("p", [2, 1], [0.1, 0.2])], ONE, [0.1, 0.2]),
    "flat, classes": ([tensor("p", [2, 2], [0.9, 0.1, 0.8, 0.2])], ALL, [0.9, 0.1, 0.8, 0.2]),
    "nested, classes": ([tensor("p", [2, 2], [[0.9, 0.1], [0.8, 0.2]])], ALL, [0.9, 0.1, 0.8, 0.2]),
    "the second class": ([tensor("p", [2, 2], [0.9, 0.1, 0.8, 0.2])], Answers((1,)), [0.1, 0.2]),
    "one tensor by its place": (tensor("p", [2], [0.1, 0.2]), ONE, [0.1, 0.2]),
    "a tensor for each class": (
        [tensor("0", [2], [0.9, 0.8]), tensor("1", [2], [0.1, 0.2])],
        ALL,
        [0.9, 0.1, 0.8, 0.2],
    ),
    "a tensor by its name": ([tensor("id", [2], [7, 8]), tensor("p", [2], [0.1, 0.2])], Answers(("p",)), [0.1, 0.2]),
}


@pytest.mark.parametrize("case", RIGHT)
def test_answers_of_the_v2_protocol_are_read(case: str) -> None:
    outputs, meant, expected = RIGHT[case]
    assert read_answer(json.dumps({"outputs": outputs}).encode(), 2, "/outputs", meant) == ("", expected)


@pytest.mark.parametrize("shape", [[3], [2, 2], [], "2", None, [-1, -2], [2.0], [True, 2], [[2]]], ids=str)
def test_a_tensor_that_does_not_fill_its_shape_is_no_answer(shape: object) -> None:
    content = json.dumps({"outputs": [tensor("p", shape, [0.1, 0.2])]}).encode()
    assert read_answer(content, 2, "/outputs", ONE) == ("a tensor of the answer does not fill its shape", None)


def test_answers_that_are_an_object_for_each_row_are_read() -> None:
    content = b'{"predictions": [{"id": 1, "result": {"score": 0.1}}, {"id": 2, "result": {"score": 0.2}}]}'
    assert read_answer(content, 2, "/predictions/*/result/score", ONE) == ("", [0.1, 0.2])
    flat = b'[{"label": "no", "score": 0.1}, {"label": "yes", "score": 0.2}]'
    assert read_answer(flat, 2, "", Answers(("score",))) == ("", [0.1, 0.2])
    assert read_answer(flat, 2, "/*/score", ONE) == ("", [0.1, 0.2])
    assert read_answer(flat, 2, "/*/no", ONE) == ("no /*/no in the answer", None)
    assert read_answer(b'{"a": 1}', 1, "/*/score", ONE) == ("no /*/score in the answer", None)


def test_the_v2_protocol_has_its_own_places() -> None:
    server = Server(request="v2", path="/v2/models/fraud/infer")
    assert (server.health, server.predictions) == ("/v2/health/ready", "/outputs")
    assert Server(request="v2", path="/x", predictions="/outputs/0").predictions == "/outputs/0"


REFUSED = {
    "gRPC is not spoken here": {"url": "grpc://triton:8001"},
    "needs a `path`": {"request": "v2"},
    "the template needs one of": {"request": "template", "template": '{"n": {{count}}}'},
    "once: every request": {"request": "template", "template": "[{{rows}}, {{values}}]"},
    "`template` belongs to": {"request": "v2", "path": "/x", "template": "{{rows}}"},
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_a_contract_may_not_say_of_a_server(why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Server.model_validate(REFUSED[why])
