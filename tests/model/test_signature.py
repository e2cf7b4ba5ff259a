"""What does not fit between a model and the contract is said from its files, before it is loaded or asked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from weighin.contract.columns import Column
from weighin.model.description import Description, Input, canonical_name, describe
from weighin.model.examined import Examined
from weighin.model.signature import Findings, findings

MODEL = Description({"sklearn": "1.9.1"}, "mlflow.sklearn", "3.17.2", "3.11.9", (), (), True, (), 1000)


def columns(**types: str) -> dict[str, Column]:
    made = {}
    for name, kind in types.items():
        of: dict[str, Any] = {"type": kind}
        if kind == "category":
            of = {"type": "string", "categorical": True, "allowed": ["a", "b"]}
        if kind == "timestamp":
            of["time_zone"] = "UTC"
        made[name] = Column.model_validate(of)
    return made


def found(inputs: Any, missing: dict[str, int] | None = None, model: Description = MODEL, **types: str) -> Findings:
    given = None if inputs is None else tuple(inputs)
    return findings(replace(model, inputs=given), columns(**types), missing or {})


def test_a_model_that_fits_has_no_faults() -> None:
    inputs = [Input("a", "double"), Input("n", "long"), Input("t", "string", required=False), Input("z", "any")]
    assert found(inputs, a="float", n="integer", t="string", z="date") == Findings()


@pytest.mark.parametrize(
    ("given", "contract", "missing", "said"),
    [
        (Input("b", "double"), {"a": "float"}, 0, 'column ["b"]: the signature requires it, and the contract has no'),
        (
            Input("a", "string"),
            {"a": "float"},
            0,
            'column ["a"]: the contract says float, and the signature wants string',
        ),
        (Input("a", "long"), {"a": "float"}, 0, "the contract says float, and the signature wants long"),
        (Input("a", "datetime"), {"a": "string"}, 0, "the contract says string, and the signature wants datetime"),
        (Input("a", "array", items="string"), {"a": "array"}, 0, "the signature wants array of string"),
        (Input("a", "object"), {"a": "string"}, 0, "the signature wants object"),
        (
            Input("a", "long"),
            {"a": "integer"},
            10,
            "10 values are missing in the files (integer), and the signature wants",
        ),
        (
            Input("a", "boolean"),
            {"a": "boolean"},
            1,
            "cannot be missing in a request: log the model with the column as",
        ),
        (Input("a", "string"), {"a": "category"}, 0, "MLflow hands no category to a model whose signature says string"),
    ],
)
def test_a_column_that_does_not_fit_is_named_with_a_remedy(
    given: Input, contract: dict[str, str], missing: int, said: str
) -> None:
    faults = found([given], {"a": missing} if missing else {}, **contract).faults
    assert len(faults) == 1
    assert said in faults[0]
    assert ": " in faults[0]


def test_what_is_optional_or_too_much_is_no_fault() -> None:
    assert found([Input("b", "double", required=False), Input("a", "double")], a="float") == Findings()
    known = found([Input("a", "double")], a="float", c="float")
    assert known.faults == ()
    assert known.unused == ('the signature does not name ["c"]: the model is never given them',)


def test_no_signature_is_said_with_what_follows() -> None:
    known = found(None, a="float", t="timestamp")
    assert known.faults == ()
    assert "given the features in the contract's order" in known.unsigned[0]
    assert '["t"] over as text' in known.unsigned[1]


def test_columns_without_names_are_compared_by_place() -> None:
    assert found([Input("", "double"), Input("", "string")], a="float", t="string") == Findings()
    assert 'column ["t"]' in found([Input("", "double"), Input("", "double")], a="float", t="string").faults[0]
    assert "2 columns without names, and the contract has 1" in found([Input("", "double")] * 2, a="float").faults[0]


def tensor(*shape: int, name: str = "", items: str = "float32") -> Input:
    return Input(name, "tensor", True, items, shape)


def test_tensors() -> None:
    two = {"a": "float", "b": "integer"}
    assert found([tensor(-1, 2)], **two) == Findings()
    assert found([tensor(-1, -1)], **two) == Findings()
    assert "shape [-1, 3], and the features make rows of 2" in found([tensor(-1, 3)], **two).faults[0]
    assert "shape [-1, 2, 2]" in found([tensor(-1, 2, 2)], **two).faults[0]
    assert 'columns ["t"] hold no numbers' in found([tensor(-1, 2)], a="float", t="string").faults[0]
    assert "a tensor of str" in found([tensor(-1, 2, items="str")], **two).faults[0]
    assert 'columns ["b"] have missing values' in found([tensor(-1, 2, items="int64")], {"b": 3}, **two).faults[0]
    named = [tensor(-1, name="a"), tensor(-1, 1, name="b")]
    assert found(named, **two) == Findings()
    assert 'the tensor ["c"]' in found([*named, tensor(-1, name="c")], **two).faults[0]
    assert found([tensor(-1, 4)], e="array") == Findings()
    assert "an array beside other columns makes no tensor" in found([tensor(-1, 4)], e="array", a="float").faults[0]


def test_flavours_that_take_no_text_say_so() -> None:
    lightgbm = replace(MODEL, flavours={"lightgbm": "4.6.0"})
    faults = found([Input("t", "string")], model=lightgbm, t="string").faults
    assert "lightgbm takes no text" in faults[0]


def test_what_the_champion_s_clients_do_not_send() -> None:
    champion = replace(MODEL, inputs=(Input("a", "double"), Input("b", "long")))
    candidate = replace(MODEL, inputs=(Input("a", "float"), Input("b", "long"), Input("c", "double")))
    known = findings(candidate, columns(a="float", b="integer", c="float"), {}, champion)
    assert known.faults == ()
    assert 'requires ["c"]' in known.callers[0]
    assert 'wants ["a"] in another type' in known.callers[1]
    assert findings(candidate, columns(a="float", b="integer", c="float"), {}, candidate).callers == ()


def test_a_name_that_only_the_model_has_is_cut() -> None:
    faults = found([Input("x" * 5000, "double"), Input("y" * 5000, "tensor", items="float32", shape=(-1,))], a="float")
    assert max(len(said) for said in faults.faults) < 300


def logged(folder: Path, inputs: object, **more: Any) -> Path:
    """Write the MLmodel of a scikit-learn model with a signature."""
    pyfunc = {"loader_module": "mlflow.sklearn", "python_version": "3.11.9"}
    value = {
        "flavors": {"python_function": pyfunc, "sklearn": {"sklearn_version": "1.5.2", "code": None}},
        "mlflow_version": "2.22.0",
        "signature": {"inputs": json.dumps(inputs), "outputs": None, "params": json.dumps([{"name": "p"}])},
        **more,
    }
    folder.mkdir(exist_ok=True)
    (folder / "MLmodel").write_text(yaml.safe_dump(value))
    (folder / "requirements.txt").write_text("mlflow==2.22.0\nscikit_learn==1.5.2\nnumpy>=1 # any\n# a comment\n")
    return folder


def test_an_mlmodel_is_read_without_loading_it(tmp_path: Path) -> None:
    inputs = [
        {"type": "double", "name": "a", "required": True},
        {"type": "array", "items": {"type": "float"}, "name": "e", "required": False},
        {"type": "tensor", "name": "x", "tensor-spec": {"dtype": "float32", "shape": [-1, 4]}},
        {"type": "map", "values": {"type": "double"}, "name": "m"},
    ]
    known = describe(logged(tmp_path / "m", inputs))
    assert known.flavours == {"sklearn": "1.5.2"}
    assert (known.loader, known.mlflow, known.python, known.params) == ("mlflow.sklearn", "2.22.0", "3.11.9", ("p",))
    assert known.inputs == (
        Input("a", "double"),
        Input("e", "array", required=False, items="float"),
        Input("x", "tensor", items="float32", shape=(-1, 4)),
        Input("m", "object"),
    )
    assert known.pins == {"mlflow": "2.22.0", "scikit-learn": "1.5.2"}
    assert known.needs == "scikit-learn"
    assert known.bytes > 300
    assert Examined.of(known, Findings(), {"scikit-learn": "1.9.1"}).fitted == {
        "scikit-learn": "1.5.2",
        "python": "3.11",
    }


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "flavors: 3",
        "flavors: {sklearn: {}}",
        "flavors: {python_function: {}}\nsignature: {inputs: '3'}",
        "flavors: {python_function: {}}\nsignature: {inputs: '[3]'}",
        'flavors: {python_function: {}}\nsignature: {inputs: \'[{"type": "tensor"}]\'}',
        "a: &a [x]\nb: [" + "*a, " * 300 + "]",
        "{" * 100,
        "\x00",
    ],
)
def test_an_mlmodel_that_is_none_is_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "MLmodel").write_text(content)
    with pytest.raises(ValueError, match=r"MLmodel|signature"):
        describe(tmp_path)


def test_names_of_packages_are_compared_as_an_index_does() -> None:
    assert canonical_name("Scikit_Learn") == canonical_name("scikit-learn") == "scikit-learn"
