# SPDX-License-Identifier: MIT
"""Clients that are slow, early, malformed, huge or many: bounded, and nobody else notices."""
import json
import pathlib
import socket
import threading
import time

import pytest

from support.engine import chunk
from support.relay import CHAT, DONE, answers, chat, finish, lines_of, metric, posts, stream_body, token
from support.waiting import wait_for
from support.wire import Connection, request_bytes

POST = f"POST {CHAT} HTTP/1.1\r\nHost: a\r\n"


def resident_mib(program):
    return int(pathlib.Path(f"/proc/{program.pid}/statm").read_text().split()[1]) * 4096 / (1 << 20)


def flood(events):
    """Streams that many events of 16 KiB, unless the gateway leaves."""
    async def behaviour(request, reply):
        await reply.start_stream()
        piece = token("x" * (16 << 10))
        for _ in range(events if request.json().get("user") == "slow" else 20):
            await reply.piece(piece)
        await reply.piece(finish() + DONE)
        await reply.finish()
    return posts(behaviour)


def small_window(port):
    """A client whose kernel takes little for it."""
    c = Connection.__new__(Connection)
    c.sock = socket.socket()
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    c.sock.settimeout(20)
    c.sock.connect(("127.0.0.1", port))
    c.pending, c.eof = b"", False
    return c


def test_a_client_that_does_not_read_is_cut_off_and_counted_and_costs_little(engine, gateway, tmp_path):
    path = tmp_path / "access.jsonl"
    g = gateway(engine, access_log=str(path), model={"max_in_flight": 100})
    engine.behaviour = flood(100000)
    before = resident_mib(g)
    slow = [small_window(g.port) for _ in range(20)]
    for c in slow:
        c.send(request_bytes("POST", CHAT, {}, chat(stream=True, user="slow")))
    others = [stream_body(g.port) for _ in range(10)]
    assert all(r.complete and r.body.endswith(DONE) for r in others)
    wait_for(lambda: metric(g.port, "kvwarden_http_slow_clients_aborted_total") == 20, "all are cut off")
    assert resident_mib(g) - before < 100, "20 clients at most 1 MiB each, and the kernel's part is not ours"
    wait_for(lambda: engine.in_flight == 0, "the engine is free of them")
    lines = wait_for(lambda: [d for d in lines_of(path) if d["reason"] == "client_slow"][19:] and lines_of(path), "the log")
    assert len([d for d in lines if d["reason"] == "client_slow" and d["status"] == 200]) == 20
    assert metric(g.port, "kvwarden_in_flight") == 0
    assert metric(g.port, "kvwarden_http_buffered_bytes") < 100000
    for c in slow:
        c.close()


def test_what_is_read_ahead_is_bounded(engine, gateway):
    hold = engine.new_event()
    engine.behaviour = posts(lambda request, reply: hold.wait())
    g = gateway(engine)
    with Connection(g.port) as c:
        c.send(request_bytes("POST", CHAT, {}, chat()))
        wait_for(lambda: engine.in_flight == 1, "it is in work")
        try:
            for _ in range(100):
                c.send(b"x" * 4096)
                time.sleep(0.002)
        except ConnectionError:
            pass
        assert c.closed_by_peer() == b""
    assert engine.requests[0].left.wait(20), "the request in work is given up with its connection"
    assert metric(g.port, "kvwarden_http_readahead_aborted_total") == 1


def test_pipelined_requests_are_answered_in_order(engine, gateway):
    async def by_user(request, reply):
        await reply.json({"user": request.json()["user"]})

    g = gateway(engine)
    engine.behaviour = posts(by_user)
    with Connection(g.port) as c:
        c.send(b"".join(request_bytes("POST", CHAT, {}, chat(user=str(i))) for i in range(20))
               + request_bytes("DELETE", CHAT) + request_bytes("GET", "/health")
               + request_bytes("POST", CHAT, {}, b"{") + request_bytes("POST", CHAT, {}, chat(user="last")))
        assert [c.response().json()["user"] for _ in range(20)] == [str(i) for i in range(20)]
        assert [c.response().status for _ in range(3)] == [405, 200, 400]
        assert c.response().json() == {"user": "last"}
    assert engine.connections <= 2, "one after the other"


@pytest.mark.parametrize("body", [b"{", b'{"model":"other"}', b'{}'])
def test_keep_alive_survives_errors_that_were_read_whole(engine, gateway, body):
    g = gateway(engine)
    with Connection(g.port) as c:
        for _ in range(3):
            c.send(request_bytes("POST", CHAT, {}, body))
            assert c.response().status in (400, 404)
        c.send(request_bytes("POST", CHAT, {}, chat(stream=True)))
        assert c.response().body.endswith(DONE)


def test_an_error_in_the_middle_of_a_body_closes_the_connection(engine, gateway):
    g = gateway(engine)
    with Connection(g.port) as c:
        c.send(POST + 'Content-Length: 1000\r\n\r\n{"model":1' + " " * 100)
        response = c.response()
        assert response.status == 400 and response.error()["param"] == "model"
        assert response.header("connection") == "close"
        assert c.closed_by_peer() == b""


def test_expect_is_answered_after_the_checks_of_the_head(engine, gateway):
    g = gateway(engine, auth="keys", tenants=[{"id": "t", "api_keys": ["sk-client-0123456789"]}])
    body = json.dumps(chat()).encode()
    head = POST + f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n"
    with Connection(g.port) as c:
        c.send(head + "\r\n")
        response = c.response()
        assert response.status == 401 and response.error()["code"] == "invalid_api_key"
        assert response.header("x-should-retry") == "false"
        c.closed_by_peer()
    with Connection(g.port) as c:
        c.send(head + "Authorization: Bearer sk-client-0123456789\r\n\r\n")
        assert c.head().status == 100
        c.send(body)
        assert c.response().status == 200
    assert len(engine.requests) == 1 and engine.requests[0].header("expect") is None


def test_a_body_that_does_not_come_is_408(engine, gateway, tmp_path):
    path = tmp_path / "access.jsonl"
    g = gateway(engine, http={"body_s": 0.3, "head_s": 0.3}, access_log=str(path))
    with Connection(g.port) as c:
        c.send(POST + 'Content-Length: 100\r\n\r\n{"model"')
        response = c.response()
        assert response.status == 408 and response.error()["code"] == "request_timeout"
        assert c.closed_by_peer() == b""
    line = wait_for(lambda: lines_of(path), "the access log")[0]
    assert (line["status"], line["reason"]) == (408, "body_timeout")
    with Connection(g.port) as c:
        c.send("POST /v1/chat/comp")
        assert c.response().status == 408
    assert engine.requests == []


def test_a_slow_loris_is_closed_and_others_are_served(engine, gateway):
    g = gateway(engine, http={"head_s": 0.5, "body_s": 0.5})
    slow = [Connection(g.port) for _ in range(100)]
    for i, c in enumerate(slow):
        c.send(POST if i % 2 else POST + "Content-Length: 10\r\n\r\n{")
    stop = threading.Event()

    def drip():
        while not stop.wait(0.1):
            for c in slow[1::2]:
                try:
                    c.send("X-A: b\r\n")
                except OSError:
                    pass

    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        for _ in range(10):
            assert stream_body(g.port).complete
        for c in slow:
            assert c.response().status == 408
    finally:
        stop.set()
        dripping.join()
    assert all(r.json() == chat(stream=True, stream_options={"include_usage": True}) for r in engine.requests)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_json_answer_passes_to_a_client_that_reads_slower_than_the_engine_writes(engine, gateway, chunked):
    big = json.dumps({"data": ["x" * 1000] * 8000}).encode()

    async def answers_in_pieces(request, reply):
        await reply.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(0, len(big), 100000):
            await reply.piece(big[i:i + 100000])
        await reply.finish()

    g = gateway(engine)
    engine.behaviour = posts(answers_in_pieces) if chunked else answers(big)
    with small_window(g.port) as c:
        c.send(request_bytes("POST", "/v1/embeddings", {}, chat()))
        wait_for(lambda: engine.in_flight == 0 and engine.requests, "the engine is through")
        assert c.response().body == big


@pytest.mark.load
def test_a_thousand_streams_are_all_with_the_engine_at_once(engine, gateway):
    go = engine.new_event()

    async def together(request, reply):
        await reply.start_stream()
        await reply.event(chunk("a"))
        await go.wait()
        await reply.piece(finish() + DONE)
        await reply.finish()

    engine.behaviour = posts(together)
    g = gateway(engine, model={"max_in_flight": 1000})
    clients = [Connection(g.port) for _ in range(1000)]
    try:
        for c in clients:
            c.send(request_bytes("POST", CHAT, {}, chat(stream=True)))
        wait_for(lambda: engine.in_flight == 1000, "all are there", patience_s=60)
        extra = Connection(g.port)
        extra.send(request_bytes("POST", CHAT, {}, chat(stream=True)))
        wait_for(lambda: metric(g.port, "kvwarden_queue_depth") == 1, "one more waits")
        assert engine.in_flight == 1000
        engine.on_loop(go.set)
        for c in [*clients, extra]:
            response = c.response()
            assert response.complete and response.body == token("a") + finish() + DONE
        extra.close()
    finally:
        for c in clients:
            c.close()
    wait_for(lambda: metric(g.port, "kvwarden_in_flight") == 0, "all permits are back")
