"""The facts of an error, wherever they stand in its object."""

from __future__ import annotations

from typing import Any

from engine.providers.error_body import ErrorBody
from engine.providers.refusal import is_error
from tests.cases import each_case

# Objects that say "Boom" in the clothes of one vendor or framework or another.
TOLD: dict[str, Any] = {
    "OpenAI's": {"error": {"message": "Boom", "code": "x"}},
    "a text": {"error": "Boom"},
    "a list": [{"error": {"message": "Boom"}}],
    "Cloudflare's": {"success": False, "result": {}, "errors": [{"code": 7009, "message": "Boom"}]},
    "watsonx's": {"errors": [{"code": "x", "message": "Boom"}], "trace": "t", "status_code": 400},
    "texts in a list": {"errors": ["Boom"]},
    "Apigee's": {"fault": {"faultstring": "Boom", "detail": {"errorcode": "x"}}},
    "AWS's": {"Error": {"Code": "x", "Message": "Boom"}},
    "Bedrock's in a stream": {"internalServerException": {"message": "Boom"}},
    "Baidu's": {"error_code": 336003, "error_msg": "Boom"},
    "Databricks'": {"error_code": "BAD_REQUEST", "message": "Boom"},
    "FastAPI's": {"detail": [{"loc": ["body", "model"], "msg": "Boom"}]},
    "an object as detail": {"detail": {"error": "Boom"}},
    "Mistral's": {"object": "error", "message": {"detail": [{"msg": "Boom"}]}},
    "RFC 9457": {"type": "about:blank", "title": "Bad", "detail": "Boom", "status": 400},
    "a gateway's": {"success": False, "message": "Boom"},
    "OpenRouter's": {"error": {"message": None, "code": 502, "metadata": {"raw": "Boom"}}},
    "MiniMax's": {"base_resp": {"status_code": 1008, "status_msg": "Boom"}},
    "API Management's": {"statusCode": 500, "message": "Boom"},
    "Lambda's": {"errorMessage": "Boom", "errorType": "Sandbox.Timedout"},
    "Coral's": {"message": "Boom", "__type": "ThrottlingException"},
    "Nest's": {"statusCode": 500, "error": "Internal Server Error", "message": "Boom"},
}


@each_case("whose", TOLD)
def test_what_happened_is_found(whose: str) -> None:
    assert is_error(TOLD[whose])
    assert "Boom" in ErrorBody(TOLD[whose]).message


@each_case(
    "data",
    [
        {"errors": [], "success": True},
        {"message": "Boom", "success": True},
        {"message": "Boom", "status": "ok"},
        {"message": "Boom", "status": "IN_PROGRESS", "code": 0},
        {"message": "Boom", "type": "status"},
        {"message": "Boom", "status": True},
        {"msg": "Boom", "code": "OK"},
        {"msg": "Boom", "code": 200},
        {"Exception": "Boom", "choices": []},
        {"fault": None},
        [],
        [[]],
        {"id": "x", "object": "chat.completion.chunk"},
    ],
)
def test_what_only_looks_like_one_is_none(data: Any) -> None:
    assert not is_error(data)


def test_codes_and_numbers() -> None:
    aws = ErrorBody(TOLD["AWS's"])
    assert (aws.code, aws.status) == ("x", None)
    assert ErrorBody(TOLD["Nest's"]).status == 500
    assert ErrorBody(TOLD["Baidu's"]).number == 336003
    assert ErrorBody(TOLD["Bedrock's in a stream"]).code == "internalServerException"
    assert ErrorBody({"error": "Bad Request", "message": "Bad Request: x"}).message == "Bad Request"


@each_case("odd", [5, True, [], {}, None])
def test_a_message_that_is_none_is_passed_over(odd: Any) -> None:
    assert ErrorBody({"message": odd, "detail": "Boom"}).message.endswith("Boom")
