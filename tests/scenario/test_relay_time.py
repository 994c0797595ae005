# SPDX-License-Identifier: MIT
"""A stream that waits gets its head and comments; an engine that does not answer in time is given up."""
import asyncio
import json
import time

import pytest

from support.engine import chunk
from support.relay import CHAT, DONE, chat, decided, finish, lines_of, metric, post, posts, stream_body, token
from support.waiting import wait_for
from support.wire import Connection, request_bytes, stream

SOON = {"head_commit_after_s": 0.2, "keepalive_s": 0.1}


@pytest.fixture
def hold(engine):
    """The engine answers nothing until hold.set(); then it runs hold.then, if given, or streams."""
    class Hold:
        event, then = engine.new_event(), None

        def set(self):
            engine.on_loop(self.event.set)
    h = Hold()

    async def behaviour(request, reply):
        await h.event.wait()
        if h.then:
            await h.then(request, reply)
            return
        await reply.start_stream()
        await reply.piece(token("a") + finish() + DONE)
        await reply.finish()

    engine.behaviour = posts(behaviour)
    return h


def events_of(g, name):
    return [d for d in g.decisions() if d["event"] == name]


def early(g, body=None, target=CHAT):
    """A stream that waits and has got its head and some comments."""
    c, response, events = stream(g.port, target, body or chat(stream=True))
    assert response.status == 200
    assert response.header("content-type").startswith("text/event-stream")
    assert response.header("x-accel-buffering") == "no" and response.header("x-request-id")
    while c.pending.count(b":") < 3:
        assert c.fill()
    return c, response, events


@pytest.mark.parametrize("where", ["engine", "queue"])
def test_a_stream_that_waits_gets_its_head_and_comments_and_streams_on(engine, hold, gateway, where):
    g = gateway(engine, timeouts=SOON, model={"max_in_flight": 1})
    first = None
    if where == "queue":
        first = Connection(g.port)
        first.send(request_bytes("POST", CHAT, {}, chat(stream=True)))
        wait_for(lambda: engine.in_flight == 1, "the engine has the first")
    c, response, events = early(g)
    with c:
        assert decided(g, event="early_head", request=response.header("x-request-id"))[0]["verdict"] == (
            "queued" if where == "queue" else "waiting")
        hold.set()
        assert list(events) == [token("a")[6:-2].decode(), finish()[6:-2].decode(), "[DONE]"]
        assert response.complete and len(events.comments) >= 3
    if first:
        assert first.response().body.endswith(token("a") + finish() + DONE)
        first.close()


def test_no_head_goes_out_early_when_the_engine_is_quick(engine, gateway):
    g = gateway(engine)
    assert b":" != stream_body(g.port).body[:1]
    assert not events_of(g, "early_head")


def test_a_json_request_gets_no_early_head(engine, hold, gateway):
    async def answers(request, reply):
        await reply.json({"choices": []})

    hold.then = answers
    g = gateway(engine, timeouts=SOON)
    with Connection(g.port) as c:
        c.send(request_bytes("POST", CHAT, {}, chat()))
        wait_for(lambda: engine.in_flight == 1, "the engine has it")
        time.sleep(0.6)
        hold.set()
        response = c.response()
        assert response.status == 200 and response.json() == {"choices": []}
    assert not events_of(g, "early_head")


def later(kind):
    async def behaviour(request, reply):
        if kind == "status":
            await reply.json({"error": {"message": "too long", "code": 400}}, 400)
        elif kind == "empty status":
            await reply.json(b"", 500)
        elif kind == "json":
            await reply.json({"choices": []})
        elif kind == "first event":
            await reply.start_stream()
            await reply.event({"error": {"message": "too long", "code": 400}})
            await reply.event("[DONE]")
            await reply.finish()
        else:
            reply.keep = False
    return behaviour


@pytest.mark.parametrize("kind, message", [("status", "too long"), ("empty status", None), ("json", "without a stream"),
                                           ("first event", "too long"), ("cut", "closed")])
def test_a_failure_after_the_early_head_is_one_error_event(engine, hold, gateway, tmp_path, kind, message):
    path = tmp_path / "access.jsonl"
    g = gateway(engine, timeouts=SOON, access_log=str(path))
    hold.then = later(kind)
    c, response, events = early(g)
    with c:
        hold.set()
        said = list(events)
        assert response.complete and len(said) == 1, said
        error = json.loads(said[0])["error"]
        assert error["message"] and (message is None or message in error["message"])
    line = wait_for(lambda: lines_of(path), "the access log")[0]
    assert line["status"] == 200 and line["reason"]


def test_a_refusal_after_the_early_head_is_an_error_event(engine, hold, gateway):
    g = gateway(engine, timeouts=SOON, model={"max_in_flight": 1}, admission_timeout_s=1)
    with Connection(g.port) as first:
        first.send(request_bytes("POST", CHAT, {}, chat(stream=True)))
        wait_for(lambda: engine.in_flight == 1, "the engine has the first")
        c, response, events = early(g)
        with c:
            said = list(events)
            assert len(said) == 1 and json.loads(said[0])["error"]["code"] == "queue_full"
            assert response.complete


def test_the_early_head_of_messages_ends_in_anthropic_s_shape(engine, hold, gateway):
    g = gateway(engine, timeouts=SOON)
    hold.then = later("cut")
    c, response, events = early(g, target="/v1/messages")
    with c:
        hold.set()
        assert json.loads(list(events)[0])["error"]["type"] == "api_error"


def test_an_error_that_the_engine_does_not_finish_is_told_when_it_is_given_up(engine, gateway):
    """The engine's word is out, so no head goes before it; its connection hangs."""
    async def hangs(request, reply):
        await reply.start_stream()
        await reply.event({"error": {"message": "boom", "code": 400}})
        await engine_hangs.wait()

    engine_hangs = engine.new_event()
    engine.behaviour = posts(hangs)
    g = gateway(engine, timeouts={**SOON, "first_token_s": 1})
    response = stream_body(g.port)
    assert response.status == 400 and response.json()["error"]["message"] == "boom"
    assert wait_for(lambda: engine.requests[0].left.wait(0.1), "the engine's connection is closed")


@pytest.mark.parametrize("streams", [False, True])
def test_no_first_token_in_time_is_504(engine, hold, gateway, tmp_path, streams):
    path = tmp_path / "access.jsonl"
    g = gateway(engine, timeouts={"first_token_s": 0.3}, access_log=str(path), model={"max_in_flight": 1})
    response = post(g.port, chat(stream=streams))
    assert response.status == 504 and response.error()["code"] == "engine_timeout"
    assert engine.requests[0].left.wait(20)
    line = wait_for(lambda: lines_of(path), "the access log")[0]
    assert (line["status"], line["reason"]) == (504, "first_token_timeout")
    timeout, closed, aborted = [decided(g, event=n)[0] for n in ("timeout", "upstream_closed", "abort")]
    assert timeout["turn"] == closed["turn"] == aborted["turn"]
    assert aborted["reason"] == "first_token_timeout" and aborted["verdict"] == "permit"
    assert metric(g.port, "kvwarden_requests_total", status="timeout") == 1
    hold.set()
    assert post(g.port, chat(stream=True)).status == 200, "the permit came back"


def test_a_json_answer_that_stalls_after_its_head_is_given_up(engine, gateway):
    async def stalls(request, reply):
        await reply.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        await forever.wait()

    forever = engine.new_event()
    engine.behaviour = posts(stalls)
    g = gateway(engine, timeouts={"first_token_s": 0.5})
    with Connection(g.port) as c:
        c.send(request_bytes("POST", CHAT, {}, chat()))
        try:
            assert not c.response().complete
        except (EOFError, ConnectionError):
            pass
    assert engine.requests[0].left.wait(20)


def test_comments_of_the_engine_are_no_first_token(engine, gateway):
    async def pings(request, reply):
        await reply.start_stream()
        while True:
            await reply.piece(b": ping\n\n")
            await asyncio.sleep(0.05)

    engine.behaviour = posts(pings)
    g = gateway(engine, timeouts={"first_token_s": 0.5})
    assert stream_body(g.port).status == 504


def one_then_hangs(engine):
    forever = engine.new_event()

    async def behaviour(request, reply):
        await reply.start_stream()
        await reply.event(chunk("a"))
        await forever.wait()
    return posts(behaviour)


@pytest.mark.parametrize("timeouts, reason", [({"no_progress_s": 0.5}, "no_progress"), ({"total_s": 0.5}, "total_timeout")])
def test_a_stream_that_is_given_up_ends_with_an_error_event(engine, gateway, tmp_path, timeouts, reason):
    path = tmp_path / "access.jsonl"
    g = gateway(engine, timeouts=timeouts, access_log=str(path))
    engine.behaviour = one_then_hangs(engine)
    c, response, events = stream(g.port, CHAT, chat(stream=True))
    with c:
        said = list(events)
        assert response.complete and len(said) == 2
        assert json.loads(said[1])["error"]["code"] == "engine_timeout"
    assert engine.requests[0].left.wait(20)
    line = wait_for(lambda: lines_of(path), "the access log")[0]
    assert (line["status"], line["reason"]) == (200, reason)
    assert metric(g.port, "kvwarden_sse_stream_disconnect_total", reason="timeout") == 1


def test_one_stream_that_pauses_is_not_given_up_while_the_engine_moves(engine, gateway):
    async def slow_or_busy(request, reply):
        await reply.start_stream()
        if request.json().get("user") == "pauses":
            await reply.event(chunk("a"))
            await asyncio.sleep(2)
        else:
            for _ in range(40):
                await reply.event(chunk("b"))
                await asyncio.sleep(0.05)
        await reply.piece(finish() + DONE)
        await reply.finish()

    engine.behaviour = posts(slow_or_busy)
    g = gateway(engine, timeouts={"no_progress_s": 1})
    with Connection(g.port) as a, Connection(g.port) as b:
        a.send(request_bytes("POST", CHAT, {}, chat(stream=True, user="pauses")))
        b.send(request_bytes("POST", CHAT, {}, chat(stream=True)))
        assert b.response().body.endswith(DONE)
        assert a.response().body == token("a") + finish() + DONE


def test_a_slow_body_does_not_delay_the_early_head_of_others(engine, hold, gateway):
    """Bodies overtake each other: the list of those that wait is in order all the same."""
    g = gateway(engine, timeouts={"head_commit_after_s": 0.5, "keepalive_s": 1800})
    body = json.dumps(chat(stream=True)).encode()
    with Connection(g.port) as slow, Connection(g.port) as quick:
        whole = request_bytes("POST", CHAT, {}, body)
        slow.send(whole[:-1])
        quick.send(whole)
        wait_for(lambda: len(engine.requests) == 1, "the quick one is there")
        slow.send(whole[-1:])
        for c in (quick, slow):
            assert c.head().status == 200
        assert [d["n"] for d in decided(g, 2, event="early_head")] == [2, 1]
        hold.set()
        for c in (quick, slow):
            assert c.take_until(b"[DONE]")


def test_time_outs_of_requests_that_ended_do_nothing(engine, gateway):
    g = gateway(engine, timeouts={"first_token_s": 0.2, "no_progress_s": 0.2, "total_s": 0.2, **SOON})
    with Connection(g.port) as c:
        for _ in range(3):
            c.send(request_bytes("POST", CHAT, {}, chat(stream=True)))
            assert c.response().body.endswith(DONE)
            time.sleep(0.3)
    assert not events_of(g, "timeout")
