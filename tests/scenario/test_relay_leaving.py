# SPDX-License-Identifier: MIT
"""A client that leaves loses its place, or its upstream connection, in the loop turn that sees it."""
import socket

import pytest

from support.engine import chunk
from support.relay import CHAT, chat, decided, lines_of, metric, posts
from support.waiting import wait_for
from support.wire import Connection, request_bytes

WAYS = {
    "fin": lambda c: c.close(),
    "rst": lambda c: c.reset(),
    "half-close": lambda c: c.sock.shutdown(socket.SHUT_WR),
}
PHASES = ["queued", "waiting", "streaming", "non-streaming", "half of a json answer"]


@pytest.fixture
def held(engine):
    """An engine that sends what body.user says and then waits for ever."""
    forever = engine.new_event()

    async def behaviour(request, reply):
        how = request.json().get("user")
        if how == "streaming":
            await reply.start_stream()
            await reply.event(chunk("a"))
        elif how == "half of a json answer":
            await reply.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
        if how != "quick":
            await forever.wait()
        await reply.json({"choices": []})

    engine.behaviour = posts(behaviour)
    return engine


def ask_in(c, phase, request_id, stream=None):
    stream = phase not in ("non-streaming", "half of a json answer") if stream is None else stream
    c.send(request_bytes("POST", CHAT, {"X-Request-Id": request_id}, chat(stream=stream, user=phase)))


def of(g, request_id):
    return [d for d in g.decisions() if d.get("request") == request_id]


def names(g, request_id):
    return [d["event"] for d in of(g, request_id)]


def is_with_the_engine(engine, n=1):
    wait_for(lambda: engine.in_flight == n, f"the engine has {n}")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("phase", PHASES)
def test_who_leaves_gives_everything_back_in_that_turn_and_the_next_is_granted(held, gateway, tmp_path, phase, way):
    path = tmp_path / "access.jsonl"
    g = gateway(held, model={"max_in_flight": 1}, access_log=str(path))
    holder, leaver, after = Connection(g.port), Connection(g.port), Connection(g.port)
    with holder, leaver, after:
        if phase == "queued":
            ask_in(holder, "waiting", "holder")
            is_with_the_engine(held)
        ask_in(leaver, phase, "leaver")
        wait_for(lambda: ("arrive" if phase == "queued" else "grant") in names(g, "leaver"), "it is where it should be")
        if phase != "queued":
            is_with_the_engine(held)
        if phase in ("streaming", "half of a json answer"):
            leaver.take_until(b"\r\n\r\n")
            assert leaver.pending or leaver.fill()
        ask_in(after, "quick", "after", stream=False)
        wait_for(lambda: "arrive" in names(g, "after"), "the next one waits")
        assert "grant" not in names(g, "after")
        WAYS[way](leaver)
        wait_for(lambda: "abort" in names(g, "leaver"), "the gateway saw it")

        left = [d for d in of(g, "leaver") if d["event"] in ("leave", "upstream_closed", "abort")]
        expected = ["leave", "abort"] if phase == "queued" else ["leave", "upstream_closed", "abort"]
        assert [d["event"] for d in left] == expected
        assert len({d["turn"] for d in left}) == 1, "all in one turn of the loop"
        state = {"queued": "queued", "streaming": "streaming"}.get(phase, "waiting")
        assert left[0]["verdict"] == state and left[0]["reason"] == "client_disconnect"
        assert left[-1]["verdict"] == ("dequeued" if phase == "queued" else "permit")

        if phase == "queued":
            assert len(held.requests) == 1
            holder.close()
        else:
            assert held.requests[0].left.wait(20), "the engine sees its connection closed"
        assert after.response().status == 200, "the permit came back"
        wait_for(lambda: "grant" in names(g, "after"), "its grant is logged")
        assert held.requests[-1].header("x-request-id") == "after"
    lines = wait_for(lambda: {d["request_id"]: d for d in lines_of(path) if d["request_id"] != "holder"}.get("leaver"), "log")
    assert lines["reason"] == "client_disconnect"
    assert lines["status"] == (200 if phase in ("streaming", "half of a json answer") else None)
    if phase in ("waiting", "streaming"):
        assert metric(g.port, "kvwarden_sse_stream_disconnect_total", reason="client_disconnect") == 1


@pytest.mark.parametrize("way", WAYS)
def test_who_leaves_within_its_body_never_reaches_the_queue(held, gateway, tmp_path, way):
    path = tmp_path / "access.jsonl"
    g = gateway(held, access_log=str(path))
    with Connection(g.port) as c:
        head, _, body = request_bytes("POST", CHAT, {"X-Request-Id": "leaver", "Expect": "100-continue"}, chat()).partition(b"{")
        c.send(head)
        assert c.head().status == 100, "the gateway knows of it"
        c.send(b"{" + body[:-5])
        WAYS[way](c)
        line = wait_for(lambda: lines_of(path), "the access log")[0]
        assert line["request_id"] == "leaver" and line["status"] is None and line["reason"] == "client_disconnect"
    decided(g, request="leaver", event="leave")
    assert held.requests == [] and names(g, "leaver") == ["leave"]


def test_a_permit_of_a_request_that_was_aborted_is_not_given_back_twice(held, gateway):
    g = gateway(held, model={"max_in_flight": 2})
    leavers = [Connection(g.port) for _ in range(6)]
    for i, c in enumerate(leavers):
        ask_in(c, "streaming", f"l{i}")
    is_with_the_engine(held, 2)
    wait_for(lambda: len([d for d in g.decisions() if d["event"] == "arrive"]) == 6, "all are there")
    for c in leavers:
        c.reset()
    wait_for(lambda: len([d for d in g.decisions() if d["event"] == "leave"]) == 6, "all have left")
    stay = [Connection(g.port) for _ in range(5)]
    for i, c in enumerate(stay):
        ask_in(c, "streaming", f"s{i}")
    is_with_the_engine(held, 2)
    wait_for(lambda: sum("grant" in names(g, f"s{i}") for i in range(5)) == 2, "as many as the window")
    wait_for(lambda: metric(g.port, "kvwarden_in_flight") == 2, "the window is full")
    assert metric(g.port, "kvwarden_queue_depth") == 3
    for c in stay:
        c.close()
    wait_for(lambda: metric(g.port, "kvwarden_in_flight") == 0 == metric(g.port, "kvwarden_queue_depth"), "all is back")


def test_who_leaves_after_the_answer_is_counted_as_served(engine, gateway, tmp_path):
    path = tmp_path / "access.jsonl"
    g = gateway(engine, access_log=str(path))
    with Connection(g.port) as c:
        c.send(request_bytes("POST", CHAT, {}, chat(stream=True)))
        assert c.response().status == 200
    line = wait_for(lambda: lines_of(path), "the access log")[0]
    assert line["reason"] is None
    assert not [d for d in g.decisions() if d["event"] == "leave"]


def test_who_leaves_with_an_early_head_gives_everything_back(held, gateway):
    g = gateway(held, timeouts={"head_commit_after_s": 0.1, "keepalive_s": 0.1}, model={"max_in_flight": 1})
    with Connection(g.port) as c:
        ask_in(c, "waiting", "leaver")
        c.take_until(b": waiting\n\n")
    wait_for(lambda: "abort" in names(g, "leaver"), "the gateway saw it")
    assert held.requests[0].left.wait(20)
    wait_for(lambda: metric(g.port, "kvwarden_in_flight") == 0, "the permit came back")


def test_a_flood_that_leaves_does_not_delay_who_stays(held, gateway):
    g = gateway(held, model={"max_in_flight": 1})
    flood = [Connection(g.port) for _ in range(200)]
    for i, c in enumerate(flood):
        ask_in(c, "waiting", f"f{i}")
    wait_for(lambda: len([d for d in g.decisions() if d["event"] == "arrive"]) == 200, "the flood is there")
    with Connection(g.port) as c:
        ask_in(c, "quick", "stays", stream=False)
        wait_for(lambda: "arrive" in names(g, "stays"), "it waits")
        for f in flood:
            f.reset()
        assert c.response().status == 200
    assert len(held.requests) <= 3, "those that had left were not sent"
