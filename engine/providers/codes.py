"""What the codes of refusals mean, by the words in them or by number.

A code may come with a status that says the same, or inside a stream, where it alone tells a fault
of the request, which no second try mends, from one of the server.
"""

from __future__ import annotations

from typing import Final

from engine.errors import Category

__all__ = ["category_of_number", "category_of_words"]


def category_of_words(words: str) -> Category | None:
    """The category that `words`, codes, types and reasons without their separators, speak of."""
    return next((category for word, category in _BY_WORD if word in words), None)


def category_of_number(number: int | None) -> Category | None:
    """The category of a code that is a number and no HTTP status."""
    return None if number is None else _BY_NUMBER.get(number)


# Words of codes, types and reasons, without their separators ("RateLimitReached" and
# "rate_limit_reached" are one), in order of trust: the first that occurs decides.
_BY_WORD: Final = (
    ("insufficientquota", Category.QUOTA),
    ("exceededcurrentquota", Category.QUOTA),  # Moonshot
    ("billing", Category.QUOTA),
    ("spendinglimit", Category.QUOTA),
    ("spendlimit", Category.QUOTA),
    ("insufficientcredits", Category.QUOTA),
    ("insufficientbalance", Category.QUOTA),
    ("notenoughbalance", Category.QUOTA),  # Novita
    ("arrearage", Category.QUOTA),  # DashScope
    ("overdue", Category.QUOTA),  # Volcengine
    ("freetieronly", Category.QUOTA),  # DashScope
    ("budgetexceeded", Category.QUOTA),  # LiteLLM
    ("quotareached", Category.QUOTA),  # watsonx
    ("servicequotaexceeded", Category.QUOTA),  # Bedrock
    ("creditlimit", Category.QUOTA),  # Together
    ("paymentrequired", Category.QUOTA),
    ("perday", Category.QUOTA),  # Gemini's quotaId; its retryDelay of seconds lifts no daily limit
    ("contentfilter", Category.CONTENT_FILTER),
    ("contentpolicy", Category.CONTENT_FILTER),
    ("policyviolation", Category.CONTENT_FILTER),
    ("biopolicy", Category.CONTENT_FILTER),
    ("responsibleai", Category.CONTENT_FILTER),  # Azure
    ("moderation", Category.CONTENT_FILTER),
    ("datainspectionfailed", Category.CONTENT_FILTER),  # DashScope
    ("sensitivecontent", Category.CONTENT_FILTER),  # Volcengine
    ("hooksfailed", Category.CONTENT_FILTER),  # Portkey's guardrails
    ("invalidapikey", Category.AUTH),
    ("apikeyinvalid", Category.AUTH),  # Gemini's reason beside 400 INVALID_ARGUMENT
    ("authentication", Category.AUTH),
    ("unauthenticated", Category.AUTH),
    ("unauthorized", Category.AUTH),
    ("permission", Category.AUTH),
    ("accessdenied", Category.AUTH),  # Bedrock, DashScope
    ("forbidden", Category.AUTH),
    ("unrecognizedclient", Category.AUTH),  # Bedrock
    ("expiredtoken", Category.AUTH),  # Bedrock
    ("accountdeactivated", Category.AUTH),
    ("invalidorganization", Category.AUTH),
    ("unsupportedcountry", Category.AUTH),
    ("ratelimit", Category.RATE_LIMIT),
    ("capacityexceeded", Category.RATE_LIMIT),  # Mistral
    ("resourceexhausted", Category.RATE_LIMIT),
    ("toomanyrequests", Category.RATE_LIMIT),
    ("throttling", Category.RATE_LIMIT),
    ("slowdown", Category.RATE_LIMIT),
    ("overloaded", Category.SERVER),
    ("unavailable", Category.SERVER),
    ("deadlineexceeded", Category.TIMEOUT),
    ("timeout", Category.TIMEOUT),
    ("imagefilenotfound", Category.INVALID_ARG),
    ("notfound", Category.NOT_FOUND),
    ("doesnotexist", Category.NOT_FOUND),  # Databricks
    ("unknownmodel", Category.NOT_FOUND),  # GitHub
    ("modelnotsupported", Category.NOT_FOUND),  # Copilot, watsonx
    ("modeldecommissioned", Category.NOT_FOUND),  # Groq
    ("invalidrequest", Category.INVALID_ARG),
    ("invalidargument", Category.INVALID_ARG),
    ("badrequest", Category.INVALID_ARG),
    ("failedprecondition", Category.INVALID_ARG),
    ("contextlength", Category.INVALID_ARG),
    ("contextwindow", Category.INVALID_ARG),
    ("contextsize", Category.INVALID_ARG),
    ("tokenslimit", Category.INVALID_ARG),  # GitHub
    # OpenAI's, many of which come inside a stream, with a type that speaks of the server:
    # https://platform.openai.com/docs/api-reference/responses-streaming/response/failed
    ("invalidprompt", Category.INVALID_ARG),
    ("invalidimage", Category.INVALID_ARG),
    ("invalidbase64", Category.INVALID_ARG),
    ("invalidvalue", Category.INVALID_ARG),
    ("invalidtype", Category.INVALID_ARG),
    ("invalidjsonschema", Category.INVALID_ARG),
    ("invalidfunction", Category.INVALID_ARG),
    ("invalidparameter", Category.INVALID_ARG),
    ("unknownparameter", Category.INVALID_ARG),
    ("missingrequired", Category.INVALID_ARG),
    ("unsupported", Category.INVALID_ARG),
    ("imageparse", Category.INVALID_ARG),
    ("emptyimage", Category.INVALID_ARG),
    ("downloadimage", Category.INVALID_ARG),
    ("dataresidency", Category.INVALID_ARG),
    ("toolarge", Category.INVALID_ARG),
    ("toosmall", Category.INVALID_ARG),
    ("abovemax", Category.INVALID_ARG),
    ("belowmin", Category.INVALID_ARG),
    ("outofrange", Category.INVALID_ARG),
    ("responsevalidation", Category.SERVER),  # what a server's server said was malformed
    ("validation", Category.INVALID_ARG),  # TGI's error_type, FastAPI's, Bedrock's
    ("unprocessable", Category.INVALID_ARG),
    ("server", Category.SERVER),
    ("internal", Category.SERVER),
    ("apierror", Category.SERVER),
)

# Codes that are numbers, of those who have no words for them.
# https://www.minimax.io/platform/document/error_code; https://docs.bigmodel.cn/cn/faq/api-code
_BY_NUMBER: Final = {
    1001: Category.TIMEOUT,
    1002: Category.RATE_LIMIT,
    1004: Category.AUTH,
    1008: Category.QUOTA,
    1026: Category.CONTENT_FILTER,
    1027: Category.CONTENT_FILTER,
    1039: Category.RATE_LIMIT,
    1041: Category.RATE_LIMIT,
    2013: Category.INVALID_ARG,
    2045: Category.RATE_LIMIT,
    2049: Category.AUTH,
    2056: Category.QUOTA,
    1000: Category.AUTH,
    1003: Category.AUTH,
    1113: Category.QUOTA,
    1210: Category.INVALID_ARG,
    1211: Category.NOT_FOUND,
    1214: Category.INVALID_ARG,
    1261: Category.INVALID_ARG,
    1301: Category.CONTENT_FILTER,
    1302: Category.RATE_LIMIT,
    1303: Category.RATE_LIMIT,
    1304: Category.QUOTA,
    1305: Category.RATE_LIMIT,
    1308: Category.QUOTA,
    3505: Category.RATE_LIMIT,  # Mistral: the capacity of the service tier
}
