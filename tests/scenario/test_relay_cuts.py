# SPDX-License-Identifier: MIT
"""What cuts and nonsense of an engine become, and when a request is sent twice."""
import json
import socket
import threading

import pytest

from support.engine import Engine, chunk, well_behaved
from support.relay import CHAT, DONE, chat, data_of, finish, lines_of, post, posts, says, sends, stream_body, token
from support.waiting import wait_for
from support.wire import Connection, ask, request_bytes

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n"
JSON_HEAD = HEAD % b"application/json"
SSE_HEAD = HEAD % b"text/event-stream" + b"Transfer-Encoding: chunked\r\n\r\n"
BEFORE_A_BYTE = {
    "cut before a byte": b"", "cut in the status line": b"HTTP/1.1 20", "cut in the head": JSON_HEAD,
    "cut after the head of a stream": SSE_HEAD, "cut within the first event": SSE_HEAD + b"14\r\ndata: {\"choices\":[{\r\n",
    "no event at all": SSE_HEAD + b"0\r\n\r\n", "only comments": SSE_HEAD + b"8\r\n: ping\n\n\r\n0\r\n\r\n",
    "not http": b"hello\r\n\r\n", "tls": b"\x15\x03\x01\x00\x02\x02\x46", "http 2": b"HTTP/2 200\r\n\r\n",
    "http 0.9": b"<html>", "no status": b"HTTP/1.1  OK\r\n\r\n", "lf only": b"HTTP/1.1 200 OK\nX: y\n\n",
    "both lengths": JSON_HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, other order": JSON_HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    "two lengths": JSON_HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "negative length": JSON_HEAD + b"Content-Length: -2\r\n\r\n{}",
    "giant head": JSON_HEAD + b"X: " + b"a" * (1 << 20) + b"\r\n\r\n",
    "many fields": JSON_HEAD + b"X: y\r\n" * 1000 + b"\r\n",
    "switching": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "nul in a field": JSON_HEAD + b"X: a\0b\r\n\r\n",
    "folded field": JSON_HEAD + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("name", BEFORE_A_BYTE)
def test_an_answer_that_is_none_is_502(engine, gateway, name):
    g = gateway(engine)
    engine.behaviour = says(BEFORE_A_BYTE[name])
    response = stream_body(g.port)
    assert response.status == 502, response
    assert response.error()["code"] == "bad_gateway" and response.error()["type"] == "server_error"
    if BEFORE_A_BYTE[name]:
        assert len(engine.requests) == 1, "an answer has begun"
    else:
        assert [r.used_before for r in engine.requests] in ([False], [True, False]), "a fresh connection is the last try"
    engine.behaviour = well_behaved
    assert post(g.port, chat()).status == 200


@pytest.mark.parametrize("nonsense", [b"", b"5\r\nda", b"zz\r\n", b"2\r\nxxxx"])
@pytest.mark.parametrize("tail", [b"", b"data: {\"choices", token("x" * (2 << 20))[:1 << 20], token("x" * (2 << 20))[:1500000]])
def test_a_stream_that_is_cut_ends_with_one_error_event_and_no_done(engine, gateway, tail, nonsense):
    async def cuts(request, reply):
        await reply.start_stream()
        await reply.event(chunk("a"))
        await reply.piece(tail or b": x\n\n")
        await reply.raw(nonsense)
        reply.keep = False

    g = gateway(engine)
    engine.behaviour = posts(cuts)
    response = stream_body(g.port)
    assert response.status == 200 and response.complete
    assert response.body.startswith(token("a")) and b"[DONE]" not in response.body
    last = response.body.rstrip(b"\n").split(b"\n\n")[-1]
    error = json.loads(last.removeprefix(b"data: "))["error"]
    assert error["code"] == "bad_gateway" and set(error) == {"message", "type", "param", "code"}
    assert response.body.count(b'"error"') == 1


def test_a_stream_without_its_end_ends_with_an_error_event(engine, gateway):
    g = gateway(engine)
    engine.behaviour = sends(token("a"))
    events = data_of(stream_body(g.port).body)
    assert len(events) == 2 and events[1]["error"]["code"] == "bad_gateway"


def test_a_stream_that_is_cut_after_done_was_whole(engine, gateway, tmp_path):
    async def done_and_cut(request, reply):
        await reply.start_stream()
        await reply.piece(token("a") + finish() + DONE)
        reply.keep = False

    path = tmp_path / "access.jsonl"
    g = gateway(engine, access_log=str(path))
    engine.behaviour = posts(done_and_cut)
    response = stream_body(g.port)
    assert response.complete and response.body == token("a") + finish() + DONE
    assert wait_for(lambda: lines_of(path), "the access log")[0]["reason"] is None


def test_messages_that_are_cut_end_with_anthropic_s_error_event(engine, gateway):
    async def cuts(request, reply):
        await reply.start_stream()
        await reply.event({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}})
        reply.cut()

    g = gateway(engine)
    engine.behaviour = posts(cuts)
    last = stream_body(g.port, target="/v1/messages").body.split(b"\n\n")[-2]
    assert last.startswith(b"event: error\ndata: ")
    body = json.loads(last.split(b"data: ")[1])
    assert body["type"] == "error" and body["error"]["type"] == "api_error"


@pytest.mark.parametrize("framing", [b"Content-Length: 100\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n64\r\n"])
def test_half_of_a_json_answer_is_seen_to_be_half(engine, gateway, framing):
    g = gateway(engine)
    engine.behaviour = says(JSON_HEAD + framing + b'{"choices":[')
    with Connection(g.port) as c:
        c.send(request_bytes("POST", CHAT, {}, chat()))
        try:
            assert not c.response().complete
        except (EOFError, ConnectionError):
            pass
    assert ask(g.port, "GET", "/health").status == 200


def test_an_answer_without_a_length_ends_with_the_connection(engine, gateway):
    g = gateway(engine)
    engine.behaviour = says(JSON_HEAD + b"\r\n" + b'{"choices":[]}')
    response = post(g.port, chat())
    assert response.complete and response.body == b'{"choices":[]}'


def test_interim_answers_are_skipped(engine, gateway):
    g = gateway(engine)
    engine.behaviour = says(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                            + JSON_HEAD + b"Content-Length: 2\r\n\r\n{}")
    assert post(g.port, chat()).body == b"{}"


def test_an_answer_without_a_body_passes(engine, gateway):
    g = gateway(engine)
    engine.behaviour = says(b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n", cut=False)
    response = post(g.port, chat())
    assert response.status == 204 and response.header("x-a") == "b"


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified", b"205 Reset Content"])
@pytest.mark.parametrize("body", [b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                                  b"\r\nhello"])
def test_a_body_where_none_may_be_does_no_harm(engine, gateway, status, body):
    g = gateway(engine)
    engine.behaviour = says(b"HTTP/1.1 " + status + b"\r\n" + body)
    with Connection(g.port) as c:
        c.send(request_bytes("POST", CHAT, {}, chat()))
        assert c.head().status in (int(status[:3]), 502)
    engine.behaviour = well_behaved
    assert post(g.port, chat()).status == 200


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_an_engine_that_is_down_is_503_with_retry_after(gateway, dialect):
    e = Engine()
    g = gateway(e)
    e.stop()
    response = post(g.port, chat(), "/v1/messages" if dialect == "anthropic" else CHAT)
    assert response.status == 503
    assert int(response.header("retry-after")) >= 1 and int(response.header("retry-after-ms")) >= 1
    if dialect == "openai":
        assert response.error()["code"] == "engine_unavailable"
    else:
        assert response.json()["error"]["type"] == "api_error"


def used_connection(engine, g):
    assert post(g.port, chat()).status == 200
    wait_for(lambda: engine.in_flight == 0, "the engine is idle")



def test_a_request_that_met_a_closed_connection_is_sent_again_once(engine, gateway):
    g = gateway(engine)
    used_connection(engine, g)
    attempts = []

    async def first_closes(request, reply):
        attempts.append(request)
        if len(attempts) == 1:
            reply.keep = False
        else:
            await well_behaved(request, reply)

    engine.behaviour = posts(first_closes)
    response = post(g.port, chat())
    assert response.status == 200 and response.json()["choices"]
    assert [a.used_before for a in attempts] == [True, False]
    assert attempts[0].body == attempts[1].body
    assert attempts[0].header("x-request-id") == attempts[1].header("x-request-id")


def test_never_twice(engine, gateway):
    g = gateway(engine)
    used_connection(engine, g)
    attempts = []

    async def always_closes(request, reply):
        attempts.append(request)
        reply.keep = False

    engine.behaviour = posts(always_closes)
    assert post(g.port, chat()).status == 502
    assert len(attempts) == 2


@pytest.mark.parametrize("said", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n", JSON_HEAD])
def test_never_after_a_byte(engine, gateway, said):
    g = gateway(engine)
    used_connection(engine, g)
    attempts = []

    async def says_and_closes(request, reply):
        attempts.append(request)
        await reply.raw(said)
        reply.keep = False

    engine.behaviour = posts(says_and_closes)
    assert post(g.port, chat()).status == 502
    assert [a.used_before for a in attempts] == [True]


def test_an_engine_may_answer_before_it_has_read_the_body(gateway, start):
    """The body stays until it was sent: the engine reads on after its answer has begun."""
    server = socket.create_server(("127.0.0.1", 0))
    body = b'{"model":"m","x":"' + b"y" * (24 << 20) + b'"}'
    got = []

    def serve():
        while True:
            try:
                s, _ = server.accept()
            except OSError:
                return
            data = b""
            while b"\r\n\r\n" not in data:
                data += s.recv(4096)
            if data.startswith(b"GET"):
                s.sendall(JSON_HEAD + b"Connection: close\r\nContent-Length: 36\r\n\r\n" + b'{"object":"list","data":[{"id":"m"}]}'[:36])
                s.close()
                continue
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + token("a"))
            rest = data.partition(b"\r\n\r\n")[2]
            first_read.wait(20)
            while len(rest) < len(body):
                rest += s.recv(1 << 20)
            got.append(rest)
            s.sendall(finish() + DONE)
            s.close()

    first_read = threading.Event()
    threading.Thread(target=serve, daemon=True).start()
    try:
        g = gateway(f"http://127.0.0.1:{server.getsockname()[1]}")
        with Connection(g.port) as c:
            c.send(request_bytes("POST", "/v1/anything", {}, body))
            response = c.head()
            pieces = c.body_pieces(response)
            assert next(pieces) == token("a")
            first_read.set()
            assert b"".join(pieces).endswith(DONE)
        assert got[0] == body
    finally:
        server.close()
