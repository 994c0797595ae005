# SPDX-License-Identifier: MIT
"""No event that passes through the gateway costs an allocation: counted in the real program."""
import mmap
import pathlib

import pytest

from support.engine import USAGE, chunk
from support.program import binary
from support.wire import stream

WARM = 300      # events until every buffer has its size
COUNTED = 5000
BURST = 20


@pytest.mark.load  # a sanitizer has an allocator of its own
def test_a_relayed_event_allocates_nothing(engine, gateway, tmp_path):
    async def behaviour(request, reply):
        if request.method == "GET":
            await reply.json({"data": [{"id": "m"}]})
            return
        await reply.start_stream()
        for i in range(WARM + COUNTED):
            if i >= WARM and i % BURST == 0:  # the first ones come at once, which makes buffers large enough
                await go.wait()  # until the client has what came before: nobody falls behind
                go.clear()
            await reply.event(chunk(f"word {i}"))
        await reply.event({**chunk(), "choices": [], "usage": USAGE})
        await reply.event("[DONE]")
        await reply.finish()

    go = engine.new_event()
    engine.behaviour = behaviour
    count_file = tmp_path / "allocations"
    count_file.write_bytes(bytes(8))
    library = pathlib.Path(binary()).parents[2] / "tests/support/libcount_allocations.so"
    assert library.exists()
    program = gateway(engine, env={"LD_PRELOAD": str(library), "KW_ALLOCATIONS": str(count_file)},
                      health_check_interval_s=3600)
    with open(count_file, "r+b") as f, mmap.mmap(f.fileno(), 8) as count:
        def allocations():
            return int.from_bytes(count[:8], "little")

        assert allocations() > 100, "the counter is not in front of libc"
        engine.on_loop(go.set)  # the head comes with the first event
        connection, response, events = stream(program.port, "/v1/chat/completions",
                                              {"model": "m", "messages": [], "stream": True})
        with connection:
            seen = 0
            for _ in events:
                seen += 1
                if seen % BURST == 0:
                    engine.on_loop(go.set)
                if seen == WARM:
                    before = allocations()
                if seen == WARM + COUNTED - 100:  # before the end, which logs and frees
                    after = allocations()
        assert seen == WARM + COUNTED + 1  # with [DONE], without the usage that nobody asked for
        assert after - before == 0, f"{after - before} allocations for {COUNTED - 100} events"
