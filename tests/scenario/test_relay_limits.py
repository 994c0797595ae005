# SPDX-License-Identifier: MIT
"""Heads and bodies that are too big, or too many, are refused or bounded, and nobody else waits for them."""
import asyncio
import threading
import time

import pytest

from support.engine import chunk, well_behaved
from support.relay import CHAT, DONE, chat, finish, lines_of, metric, post, posts
from support.waiting import wait_for
from support.wire import Connection, ask, request_bytes

POST = f"POST {CHAT} HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize("text, status, reason", [
    (POST + "Content-Length: 2000\r\n\r\n", 413, None),
    (POST + "Transfer-Encoding: chunked\r\n\r\n7d0\r\n" + '"' + "x" * 1999, 413, "bad_body"),
    ("POST /v1/" + "x" * 300 + " HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", 414, None),
    (POST + "X: " + "x" * 2000 + "\r\nContent-Length: 2\r\n\r\n{}", 431, None),
    (POST + "X: x\r\n" * 20 + "Content-Length: 2\r\n\r\n{}", 431, None),
    (POST + "Content-Length: 2\r\nExpect: tea\r\n\r\n{}", 417, None),
    (POST + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "bad_body"),
    (POST + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}", 400, None),
    (POST + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, None),
    (f"POST {CHAT} HTTP/2.0\r\nHost: a\r\nContent-Length: 2\r\n\r\n{{}}", 505, None),
])
def test_what_is_too_big_or_odd_has_the_api_s_error_shape(engine, gateway, tmp_path, text, status, reason):
    path = tmp_path / "access.jsonl"
    g = gateway(engine, http={"body_bytes": 1500, "uri_bytes": 256, "head_bytes": 1024, "headers": 10}, access_log=str(path))
    with Connection(g.port) as c:
        c.send(text)
        response = c.response()
        assert response.status == status and response.error()["message"]
        c.closed_by_peer()
    if reason:
        line = wait_for(lambda: lines_of(path), "the access log")[0]
        assert (line["status"], line["reason"]) == (status, reason)
    assert engine.requests == []


def test_a_post_without_a_length_is_400_for_its_empty_body(engine, gateway):
    g = gateway(engine)
    with Connection(g.port) as c:
        c.send(POST + "\r\n")
        assert c.response().status in (400, 411)
    assert engine.requests == []


def test_a_body_of_32_mib_passes_and_one_more_byte_does_not(engine, gateway):
    g = gateway(engine)
    start, end = b'{"model":"m","x":"', b'"}'
    body = start + b"y" * ((32 << 20) - len(start) - len(end)) + end
    assert post(g.port, body).status == 200
    assert engine.requests[0].body == body
    with Connection(g.port) as c:
        c.send(POST + f"Content-Length: {len(body) + 1}\r\n\r\n")
        assert c.response().status == 413
    assert len(engine.requests) == 1
    wait_for(lambda: metric(g.port, "kvwarden_http_buffered_bytes") == 0, "the body's memory is back")


def test_a_body_of_ones_is_checked_without_stalling_a_stream(engine, gateway):
    """32 MiB of [1,1,1… is one of the slowest to check: other streams go on meanwhile."""
    async def ticks(request, reply):
        if "stream" not in request.json():
            return await well_behaved(request, reply)
        await reply.start_stream()
        for _ in range(150):
            await reply.event(chunk("a"))
            await asyncio.sleep(0.01)
        await reply.piece(finish() + DONE)
        await reply.finish()

    g = gateway(engine)
    engine.behaviour = posts(ticks)
    body = b'{"model":"m","input":[' + b"1," * ((32 << 19) - 20) + b"1"
    with Connection(g.port) as c, Connection(g.port) as big:
        c.send(request_bytes("POST", CHAT, {}, chat(stream=True)))
        pieces = c.body_pieces(c.head())
        next(pieces)
        sent = threading.Thread(target=lambda: big.send(
            f"POST /v1/embeddings HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body))
        sent.start()
        gaps, last = [], time.monotonic()
        for _ in pieces:
            gaps.append(time.monotonic() - last)
            last = time.monotonic()
        sent.join()
        assert big.response().status == 400, "the list does not end"
    assert max(gaps) < 1.0, f"a stream stalled for {max(gaps):.3f} s"
    assert len(engine.requests) == 1
    assert ask(g.port, "GET", "/live").status == 200


def test_bodies_over_all_are_bounded(engine, gateway):
    hold = engine.new_event()
    engine.behaviour = posts(lambda request, reply: hold.wait())
    g = gateway(engine, http={"buffered_bytes": 4 << 20}, model={"max_in_flight": 1})
    body = b'{"model":"m","x":"' + b"y" * (1 << 20) + b'"}'
    clients = [Connection(g.port) for _ in range(6)]
    refused = 0
    for c in clients:
        try:
            c.send(request_bytes("POST", CHAT, {}, body))
        except ConnectionError:
            pass
    wait_for(lambda: metric(g.port, "kvwarden_rejects_total", reason="overloaded") >= 2, "those over the bound are refused")
    refused = int(metric(g.port, "kvwarden_rejects_total", reason="overloaded"))
    assert 2 <= refused <= 5
    for c in clients:
        c.close()
    wait_for(lambda: metric(g.port, "kvwarden_http_buffered_bytes") == 0, "all is back")
