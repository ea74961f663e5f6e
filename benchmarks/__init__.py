"""Measures this engine beside other clients, on loopback, in one run: ``python -m benchmarks``.

    streams   the bytes: one answer in each provider's wire format
    recording a stream that a provider sent, where there are recordings
    origins   who serves them: nginx at full speed, `paced.c` one event a tick
    clients   who reads them, each in a process of its own
    runner    runs the clients in turn, and what it learned of each
    sections  what is measured, and what it showed
    table     how it is printed

What is counted is the CPU time of the client's own process (getrusage: user and system) from its
first request to its last completion, divided by the pieces of text the server sent. The machine's
noise is met in two ways: clients take turns in rounds, and a ratio is that of two runs of the same
round, of which the median is printed. Compare ratios; times belong to one machine.
"""
