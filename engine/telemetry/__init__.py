"""Telemetry: what a program that runs for months wants to know of its requests, its runs and its
tools, as log lines and, where asked for, as spans and metrics of OpenTelemetry.

Log lines go to the logger ``engine.requests``: one a request at INFO, retries at WARNING, heads at
DEBUG without keys; bodies only after `log_bodies`. Nothing is printed unless the program configures
logging.

Spans and metrics follow OpenTelemetry's conventions for generative AI
(https://opentelemetry.io/docs/specs/semconv/gen-ai/) after `instrument`, with the extra ``otel``.

What is written here is told outside of libcurl and of the engine's own steps; what a handler or an
exporter raises is handed to `logging`, and hurts no stream.
"""

from engine.telemetry.hooks import instrument, log_bodies, uninstrument

__all__ = ["instrument", "log_bodies", "uninstrument"]
