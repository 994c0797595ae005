# SPDX-License-Identifier: MIT
"""Requests that two HTTP readers could understand differently are refused, whole, by every listener.

The simulated engine serves with the same HTTP server as the gateway; --instant answers at once.  Behind the gateway
stands an engine that would see whatever was let through.
"""
import pytest

from support.wire import Connection, ask, request_bytes

BODY = b'{"model":"llama31-8b","prompt":"x","max_tokens":1}'
JSON = {"Content-Type": "application/json"}
POST = "POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
GET = "GET /v1/models HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture(params=["sim", "gateway"])
def server(request, start):
    if request.param == "sim":
        return start("sim", "--port", 0, "--instant")
    engine = request.getfixturevalue("engine")
    program = request.getfixturevalue("gateway")(engine, model={"model_id": "llama31-8b"})
    program.engine = engine
    return program


REFUSED = {
    "both lengths": POST + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two equal lengths": POST + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "two lengths": POST + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "length list": POST + "Content-Length: 5, 5\r\n\r\nhello",
    "signed length": POST + "Content-Length: +5\r\n\r\nhello",
    "negative length": POST + "Content-Length: -1\r\n\r\n",
    "hex length": POST + "Content-Length: 0x5\r\n\r\nhello",
    "length overflow": POST + "Content-Length: 99999999999999999999999\r\n\r\n",
    "space in length": POST + "Content-Length: 5 5\r\n\r\nhello",
    "empty length": POST + "Content-Length:\r\n\r\n",
    "chunked twice": POST + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked not last": POST + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "other coding": POST + "Transfer-Encoding: gzip\r\n\r\n",
    "coding with a tab": POST + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding header twice": POST + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "space before colon": POST + "Content-Length : 5\r\n\r\nhello",
    "folded header": GET + "X-A: b\r\n c\r\n\r\n",
    "header without colon": GET + "Foo\r\n\r\n",
    "empty header name": GET + ": x\r\n\r\n",
    "nul in value": GET + "X-A: a\0b\r\n\r\n",
    "lf only": "GET /v1/models HTTP/1.1\nHost: a\n\n",
    "cr in value": GET + "X-A: a\rb\r\n\r\n",
    "two hosts": GET + "Host: b\r\n\r\n",
    "no host": "GET /v1/models HTTP/1.1\r\n\r\n",
    "space in target": "GET /v1/ models HTTP/1.1\r\nHost: a\r\n\r\n",
    "bad version": "GET /v1/models HTTP/1.x\r\nHost: a\r\n\r\n",
    "http 2 preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "bad chunk size": POST + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "negative chunk size": POST + "Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n",
    "chunk size overflow": POST + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    "chunk without crlf": POST + "Transfer-Encoding: chunked\r\n\r\n1\r\nxy0\r\n\r\n",
    "chunk size with lf": POST + "Transfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n",
    "tls hello": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("name", REFUSED)
def test_ambiguous_framing_is_refused_and_the_connection_ends(server, name):
    with Connection(server.port) as c:
        c.send(REFUSED[name].encode("latin-1") + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        response = c.response()
        assert response.status in (400, 411, 413, 501, 505), response
        assert "callback" not in response.error()["message"], "the reason is lost"
        assert c.closed_by_peer() == b"", "what stood behind the refused request was answered"
    if hasattr(server, "engine"):
        assert server.engine.requests == [], "it reached the engine"


def test_the_listener_serves_on_after_all_of_them(server):
    for text in REFUSED.values():
        with Connection(server.port) as c:
            c.send(text.encode("latin-1"))
    assert ask(server.port, "GET", "/v1/models").status == 200


def test_pipelined_requests_are_answered_in_order(server):
    with Connection(server.port) as c:
        c.send(request_bytes("POST", "/v1/completions", JSON, BODY) + request_bytes("GET", "/v1/models"))
        assert c.response().json()["object"] == "text_completion"
        assert c.response().json()["object"] == "list"


def test_a_request_in_single_bytes_is_one_request(server):
    with Connection(server.port) as c:
        for byte in request_bytes("POST", "/v1/completions", JSON, BODY):
            c.send(bytes([byte]))
        assert c.response().status == 200


def test_a_chunked_body_is_read(server):
    with Connection(server.port) as c:
        c.send(POST + "Transfer-Encoding: chunked\r\n\r\n")
        for i in range(0, len(BODY), 7):
            piece = BODY[i:i + 7]
            c.send(b"%x;ext=1\r\n" % len(piece) + piece + b"\r\n")
        c.send("0\r\nX-Trailer: 1\r\n\r\n")
        assert c.response().status == 200


def test_expect_100_continue_is_answered_before_the_body(server):
    with Connection(server.port) as c:
        c.send(POST + f"Content-Length: {len(BODY)}\r\nExpect: 100-continue\r\n\r\n")
        assert c.head().status == 100
        c.send(BODY)
        assert c.response().status == 200


def test_an_unknown_expectation_is_417(server):
    with Connection(server.port) as c:
        c.send(POST + "Content-Length: 1\r\nExpect: 200-ok\r\n\r\n")
        assert c.response().status == 417


def test_http_1_0_gets_an_answer_and_a_close(server):
    with Connection(server.port) as c:
        c.send("GET /v1/models HTTP/1.0\r\n\r\n")
        response = c.response()
        assert response.status == 200 and response.json()["object"] == "list"
        assert c.closed_by_peer() == b""


def test_connection_close_is_kept(server):
    with Connection(server.port) as c:
        c.send(request_bytes("GET", "/v1/models", {"Connection": "close"}))
        assert c.response().status == 200
        assert c.closed_by_peer() == b""


def test_a_giant_head_is_431(server):
    with Connection(server.port) as c:
        try:
            c.send("GET / HTTP/1.1\r\nHost: a\r\n" + "X-Filler: " + "a" * (1 << 20) + "\r\n\r\n")
        except ConnectionError:
            pass  # refused while we were still sending: as good
        response = c.response()
        assert response.status == 431
        response.error()


def test_too_many_headers_are_431(server):
    with Connection(server.port) as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n" + "".join(f"X-{i}: 1\r\n" for i in range(500)) + "\r\n")
        assert c.response().status == 431


def test_a_body_over_the_limit_is_413_before_it_is_sent(server):
    with Connection(server.port) as c:
        c.send(POST + f"Content-Length: {1 << 40}\r\nExpect: 100-continue\r\n\r\n")
        response = c.response()
        assert response.status == 413
        response.error()
