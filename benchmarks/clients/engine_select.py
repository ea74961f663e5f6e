"""This engine in a plain `select` loop: events, accumulated message, callback, completion."""

from __future__ import annotations

import select

import engine
from benchmarks.clients.job import Job, Meter, Report, run
from engine.events import Event, TextDelta


def drive(multi: engine.Multi) -> None:
    """The loop a program would have anyway."""
    while len(multi):
        select.select(*multi.fdset(), multi.timeout())
        multi.perform()
        multi.info_read()


def read(job: Job) -> Report:
    multi = engine.Multi(ca_file=job.ca_file)
    client = engine.Client(
        multi,
        base_url=f"{job.url}/v1",  # its last folder is the dialect's name, and no endpoint
        dialect=job.dialect,
        api_key="sk-bench",
        retry=engine.Retry(max_attempts=1),
    )
    received = accumulated = 0
    left = job.streams

    def on_event(event: Event, stream: engine.Stream) -> None:
        nonlocal received
        if type(event) is TextDelta:
            received += len(event.text)
        else:
            meter.event()

    def on_done(completion: engine.Completion, stream: engine.Stream) -> None:
        nonlocal accumulated
        completion.raise_for_status()
        accumulated += len(completion.message.text)
        meter.end()
        begin()

    def begin() -> None:
        nonlocal left
        if left:
            left -= 1
            question = f"{left}: why is the sky blue?"  # none is like another
            client.stream("gpt-4o-mini", question, on_event=on_event, on_done=on_done)

    meter = Meter(job.at_once)
    for _ in range(job.at_once):
        begin()
    drive(multi)
    assert accumulated == received, "the message is not what the callback was given"
    return meter.report(received)


if __name__ == "__main__":
    run(read)
