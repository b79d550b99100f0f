"""Messages for pydantic's validation errors."""

import pytest
from pydantic import BaseModel, Field, ValidationError

from core.http.validation import describe, invalid


class Model(BaseModel):
    one: str = Field("x", min_length=1, max_length=1)
    two: str = Field("xx", min_length=2, max_length=2)


@pytest.mark.parametrize(
    ("values", "detail"),
    [
        ({"one": ""}, "must be at least 1 character"),
        ({"one": "xx"}, "must be at most 1 character"),
        ({"two": "x"}, "must be at least 2 characters"),
        ({"two": "xxx"}, "must be at most 2 characters"),
    ],
)
def test_length_has_the_right_plural(values: dict[str, str], detail: str) -> None:
    with pytest.raises(ValidationError) as error:
        Model.model_validate(values)
    problem = invalid(error.value)
    assert problem.detail == "1 field is not valid"
    assert [fault["detail"] for fault in problem.errors] == [detail]


def test_eleven_is_plural() -> None:
    fault = {"type": "string_too_short", "ctx": {"min_length": 11}}
    assert describe(fault) == "must be at least 11 characters"


def test_problem_counts_the_fields() -> None:
    with pytest.raises(ValidationError) as error:
        Model.model_validate({"one": "", "two": ""})
    problem = invalid(error.value)
    assert problem.detail == "2 fields are not valid"
    assert [fault["pointer"] for fault in problem.errors] == ["#/one", "#/two"]
