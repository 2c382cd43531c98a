import orjson
import pytest

from flows.core.errors import Conflict, FieldError, InvalidFields, Unavailable
from ingress import problems


@pytest.mark.parametrize(
    ("location", "body", "expected"),
    [
        (("endpoint_id",), {}, "/endpoint_id"),
        (("retry_config", "retry_delays", 1), {"retry_config": {"retry_delays": [1, "x"]}}, "/retry_config/retry_delays/1"),
        (("ordering_key", "OrderingKey", "path"), {"ordering_key": {"path": 1}}, "/ordering_key/path"),
        (("ordering_key", "constrained-str"), {"ordering_key": {"path": 1}}, "/ordering_key"),
        (("a/b~c",), {"a/b~c": 1}, "/a~1b~0c"),
        ((), {}, ""),
        (("x", "y"), None, ""),
    ],
)
def test_a_validators_location_becomes_a_pointer_into_the_body(location: tuple[str | int, ...], body: object, expected: str) -> None:
    assert problems.pointer(location, body, absent=expected == "/endpoint_id") == expected


def test_a_problem_names_each_field() -> None:
    made = problems.of_error(InvalidFields("Wrong.", errors=(FieldError("/a", "missing", "give it"),)))
    assert made.status == 422
    assert orjson.loads(made.body) == {
        "type": "urn:xyra:problem:invalid_fields",
        "title": "Some fields are not valid",
        "status": 422,
        "detail": "Wrong.",
        "errors": [{"pointer": "/a", "code": "missing", "detail": "give it"}],
    }


def test_what_may_work_later_says_when() -> None:
    assert dict(problems.of_error(Unavailable("away")).headers)["retry-after"] == "5"
    assert dict(problems.of_error(Unavailable("away", retry_after_s=60)).headers)["retry-after"] == "60"
    assert "retry-after" not in dict(problems.of_error(Conflict("there")).headers)


def test_errors_are_bounded() -> None:
    many = tuple(FieldError(f"/{n}", "x", "y") for n in range(1000))
    assert len(orjson.loads(problems.of_error(InvalidFields("Wrong.", errors=many)).body)["errors"]) == problems.MOST_ERRORS
