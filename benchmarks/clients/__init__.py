"""The clients under test. Each is run alone, as ``python -m benchmarks.clients.<name> JOB``, so
that neither the imports nor the memory of another count; it prints its `Report` as JSON."""
