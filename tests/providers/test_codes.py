"""What the codes of vendors mean: one table, each at three places of an error inside a stream."""

from __future__ import annotations

from typing import Any

from engine.providers.codes import category_of_number, category_of_words
from engine.providers.refusal import http_error, stream_error
from tests.cases import each_case

# What each vendor's reference or SDK lists.
CODES = {
    "INVALID_ARG": """
        invalid_prompt data_residency_mismatch invalid_image invalid_image_format
        invalid_base64_image invalid_image_url image_too_large image_too_small image_parse_error
        invalid_image_mode image_file_too_large unsupported_image_media_type empty_image_file
        failed_to_download_image image_file_not_found string_above_max_length
        integer_below_min_value unsupported_parameter unsupported_value missing_required_parameter
        unknown_parameter invalid_value invalid_type invalid_json_schema
        invalid_function_parameters context_length_exceeded exceed_context_size_error
        invalid_request_error request_too_large payload_too_large tokens_limit_reached
        INVALID_ARGUMENT FAILED_PRECONDITION OUT_OF_RANGE ValidationException BadRequestError
        UnprocessableEntityError unprocessable_entity ContextWindowExceededError validation_error
        validation
        InvalidParameter""",
    "CONTENT_FILTER": """
        bio_policy misalignment_policy_violation image_content_policy_violation content_filter
        ContentPolicyViolationError DataInspectionFailed""",
    "AUTH": """
        authentication_error permission_error invalid_api_key account_deactivated
        invalid_organization unsupported_country_region_territory UNAUTHENTICATED
        PERMISSION_DENIED AccessDeniedException UnrecognizedClientException ExpiredTokenException
        AccessDenied forbidden""",
    "QUOTA": "billing_error insufficient_quota billing_hard_limit_reached Arrearage",
    "NOT_FOUND": "not_found_error model_not_found NOT_FOUND ResourceNotFoundException",
    "RATE_LIMIT": """
        rate_limit_exceeded rate_limit_error slow_down RESOURCE_EXHAUSTED ThrottlingException""",
    "TIMEOUT": "timeout_error vector_store_timeout DEADLINE_EXCEEDED ModelTimeoutException",
    "SERVER": """
        server_error api_error overloaded_error engine_overloaded INTERNAL UNAVAILABLE ABORTED
        UNKNOWN ModelStreamErrorException InternalServerException ServiceUnavailableException
        something_new""",
}
TABLE = [(code, category) for category, codes in CODES.items() for code in codes.split()]


@each_case(("code", "category"), TABLE)
def test_a_code_inside_a_stream_is_told_and_tried_again_for_what_it_is(
    code: str, category: str
) -> None:
    shapes: list[Any] = [
        {"error": {"code": code, "message": "m"}},
        {"error": {"type": code, "message": "m"}},
        {"type": "error", "error": {"type": code, "message": "m"}},
        {"code": code, "message": "m"},
    ]
    if category == "INVALID_ARG":  # beside a type that speaks of the server
        shapes.append({"error": {"type": "server_error", "code": code, "message": "m"}})
    for shape in shapes:
        error = stream_error(shape, "vendor")
        assert error.category == category, shape
        assert error.retryable is (category in ("RATE_LIMIT", "TIMEOUT", "SERVER"))


PROSE = {
    "INVALID_ARG": [
        "This model's maximum context length is 4096 tokens. However, you requested 5000",
        "prompt is too long: 1284668 tokens > 1000000 maximum",
        "Input is too long for requested model.",
        "The input for this model is too long",
        "The request's last message is too long",
        "prompt (last turn) is too long: 9000 tokens",
        "the request exceeds the available context size (16384 tokens)",
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
        "Input validation error: `top_p` must be > 0.0 and < 1.0",
    ],
    "RATE_LIMIT": [
        "Rate limit exceeded",
        "Rate limit reached for gpt-x on tokens per min (TPM): Limit 10000, Used 9000",
        "You have exceeded the rate limit",
        "429 Too Many Requests",
    ],
    "SERVER": [
        "context deadline exceeded",
        "the queue exceeds its maximum length",
        "upstream timed out",
        "CUDA out of memory",
        "The request took too long to process, please try again",
        "Request is taking too long",
        "Input processing took too long",
        "The prompt waited in the queue for too long",
        "The server took your input too long to process",
        "It took the request too long",
        "The request spent too long in the queue",
        "Request execution time too long",
        "The request is pending too long",
        "Request duration was too long",
    ],
}


@each_case(
    ("message", "category"), [(m, category) for category, found in PROSE.items() for m in found]
)
def test_an_error_inside_a_stream_without_a_code_is_told_by_its_words(
    message: str, category: str
) -> None:
    for shape in ({"error": {"message": message}}, {"error": message}, {"detail": message}):
        error = stream_error(shape, "vendor")
        assert error.category == category
        assert error.retryable is (category != "INVALID_ARG")


@each_case(
    ("code", "message", "category"),
    [
        ("timeout", "prompt is too long", "TIMEOUT"),
        ("rate_limit_exceeded", "request too long for your tier", "RATE_LIMIT"),
        ("invalid_request_error", "Rate limit exceeded", "INVALID_ARG"),
        ("server_error", "prompt is too long", "INVALID_ARG"),
        ("APIResponseValidationError", "bad upstream", "SERVER"),
        ("RequestValidationError", "bad field", "INVALID_ARG"),
    ],
)
def test_a_code_that_says_what_is_wrong_counts_for_more_than_the_words(
    code: str, message: str, category: str
) -> None:
    for key in ("code", "type"):
        error = stream_error({"error": {key: code, "message": message}}, "vendor")
        assert error.category == category


@each_case(
    ("kind", "message", "advice"),
    [
        ("invalid_request_error", "Rate limit exceeded", "correct the request"),
        ("BadRequestError", "Too many requests", "correct the request"),
        ("not_found_error", "maximum context length is 9", "check the model's name"),
        ("invalid_request_error", "max_tokens: must be at most 9", "lower max_tokens"),
    ],
)
def test_the_advice_goes_with_what_is_told(kind: str, message: str, advice: str) -> None:
    data = {"error": {"type": kind, "message": message}}
    body = f'{{"error": {{"type": "{kind}", "message": "{message}"}}}}'.encode()
    for error in (stream_error(data, "vendor"), http_error(422, {}, body, "vendor")):
        assert advice in error.message, error.message


@each_case("status", [500, 503, 529])
def test_a_status_of_the_server_is_not_weakened_by_words(status: int) -> None:
    for code in ("unsupported_value", "request_too_large", "validation_error", "forbidden"):
        body = f'{{"error": {{"code": "{code}", "message": "m"}}}}'.encode()
        assert http_error(status, {}, body, "vendor").category == "SERVER"


def test_what_says_nothing_has_no_category() -> None:
    assert category_of_words("") is None and category_of_words("somethingnew") is None
    assert category_of_number(None) is None and category_of_number(-1) is None
    assert category_of_number(1302) == "RATE_LIMIT"
