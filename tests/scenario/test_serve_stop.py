# SPDX-License-Identifier: MIT
"""A gateway without work does not sit out timeouts.drain_s."""
import signal

from support.wire import Connection, ask, request_bytes

CHAT = {"model": "m", "messages": []}


def test_an_idle_gateway_ends_at_the_first_sigterm(gateway, engine):
    program = gateway(engine, timeouts={"drain_s": 86400})
    assert ask(program.port, "POST", "/v1/chat/completions", {}, CHAT).status == 200
    program.signal(signal.SIGTERM)
    assert program.wait() == 0


def test_a_connection_that_is_kept_alive_does_not_hold_the_end_up(gateway, engine):
    program = gateway(engine, timeouts={"drain_s": 86400})
    with Connection(program.port) as c:
        c.send(request_bytes("POST", "/v1/chat/completions", {}, CHAT))
        assert c.response().status == 200
        program.signal(signal.SIGTERM)
        assert program.wait() == 0
