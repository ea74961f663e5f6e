"""Many streams, few descriptors: the limits of the machine."""

from __future__ import annotations

import pytest

from tests.transport.paced import paced_server, raise_file_limit
from tests.transport.process import run_script

_MANY = """
    import select, sys
    import engine
    from tests.transport.paced import raise_file_limit, text_of

    url, many = sys.argv[1], int(sys.argv[2])
    raise_file_limit(many + 300)
    multi = engine.Multi()
    deltas, done = [0] * many, [0] * many

    def on_text(delta, stream):
        deltas[stream.user_data] += 1

    def on_done(completion, stream):
        n = stream.user_data
        done[n] += 1
        assert completion.status == "complete", completion.error
        assert completion.text == text_of(n, 3), (n, completion.text)

    for n in range(many):
        client = engine.Client(multi, base_url=f"{url}/{n}/3/4000")  # they begin in slices
        client.stream("m", "hi", on_text=on_text, on_done=on_done, user_data=n)
    widest = 0
    while len(multi):
        select.select(*multi.fdset(), multi.timeout())
        multi.perform()
        multi.info_read()
        widest = max(widest, multi.statistics().streaming)
    assert deltas == [3] * many
    assert done == [1] * many
    print(widest)
    multi.close()
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_five_thousand_streams_driven_by_nothing_but_select() -> None:
    if not raise_file_limit(8192):
        pytest.skip("this machine allows fewer than 8,192 open files (ulimit -Hn)")
    with paced_server() as url:
        widest = int(run_script(_MANY, url, "5000", timeout=150))
    assert widest > 1024, "more at once than select() itself could take"


@pytest.mark.slow
def test_a_process_with_eleven_hundred_open_files_streams_as_well_as_any() -> None:
    if not raise_file_limit(4096):
        pytest.skip("this machine allows fewer than 4,096 open files (ulimit -Hn)")
    with paced_server() as url:
        run_script(
            """
            import os, select, sys
            import engine
            from tests.transport.paced import raise_file_limit, text_of

            raise_file_limit(4096)
            multi = engine.Multi()
            held = [os.dup(0) for _ in range(1100)]
            streams = []
            for n in range(20):
                client = engine.Client(multi, base_url=f"{sys.argv[1]}/{n}/5/1")
                streams.append(client.stream("m", "hi"))
            while len(multi):
                select.select(*multi.fdset(), multi.timeout())
                multi.perform()
                multi.info_read()
            assert [s.text for s in streams] == [text_of(n, 5) for n in range(20)]
            multi.close()
            """,
            url,
        )


@pytest.mark.slow
def test_with_few_descriptors_streams_wait_their_turn_and_all_complete() -> None:
    with paced_server() as url:
        out = run_script(
            """
            import resource, sys
            import engine
            from tests.transport.paced import text_of

            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
            multi = engine.Multi()
            streams = []
            for n in range(300):
                client = engine.Client(multi, base_url=f"{sys.argv[1]}/{n}/2/5")
                streams.append(client.stream("m", "hi"))
            queued = 0
            while len(multi):
                multi.poll()
                queued = max(queued, multi.statistics().queued)
            for n, stream in enumerate(streams):
                assert stream.completion.status == "complete", stream.completion.error
                assert stream.text == text_of(n, 2)
            assert queued > 100
            print("all")
            multi.close()
            """,
            url,
        )
    assert out == "all\n"


@pytest.mark.slow
def test_where_nothing_else_runs_they_wait_for_a_descriptor_too() -> None:
    with paced_server() as url:
        run_script(
            """
            import os, sys
            import engine
            from tests.transport.paced import take_all_descriptors, text_of

            once = engine.Retry(max_attempts=1)
            multi = engine.Multi()
            client = engine.Client(multi, base_url=sys.argv[1] + "/1/2/0", retry=once)
            assert client.stream("m", "hi").result().status == "complete"  # all is imported
            cold = engine.Multi()
            held = take_all_descriptors()
            client = engine.Client(cold, base_url=sys.argv[1] + "/1/2/0", retry=once)
            streams = [client.stream("m", "hi") for _ in range(10)]
            for _ in range(20):
                cold.poll(0.005)
            assert cold.statistics().queued == 10 and cold.timeout() < 0.1
            for fd in held:
                os.close(fd)
            cold.run()
            assert [s.text for s in streams] == [text_of(1, 2)] * 10
            cold.close()
            multi.close()
            """,
            url,
        )


@pytest.mark.slow
def test_without_a_descriptor_the_error_names_the_limit() -> None:
    with paced_server() as url:
        out = run_script(
            """
            import os, sys
            import engine
            from tests.transport.paced import take_all_descriptors, text_of

            multi = engine.Multi()
            client = engine.Client(
                multi, base_url=sys.argv[1] + "/1/2/0", retry=engine.Retry(max_attempts=1)
            )
            assert client.stream("m", "hi").result().status == "complete"  # all is imported
            for connection in range(2):
                multi.poll(0)
            cold = engine.Multi()
            held = take_all_descriptors()
            stream = engine.Client(
                cold, base_url=sys.argv[1] + "/1/2/0", retry=engine.Retry(max_attempts=1)
            ).stream("m", "hi")
            completion = stream.result()
            try:
                engine.Multi()
            except engine.errors.ResourceError as error:
                refused = str(error)
            for fd in held:
                os.close(fd)
            error = completion.error
            print(completion.status, error.category, "ulimit -n" in str(error))
            print("ulimit -n" in refused)
            cold.close()
            multi.close()
            """,
            url,
        )
    assert out == "error RESOURCE True\nTrue\n"
