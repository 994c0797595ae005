# SPDX-License-Identifier: MIT
"""What of a head goes to the engine and comes back, and which endpoints reach an engine at all."""
import asyncio
import threading

import pytest

from support.engine import well_behaved
from support.relay import CHAT, DONE, answers, chat, decided, finish, post, sends, stream_body, token
from support.wire import Connection, ask, request_bytes

SECRET = {"Authorization": "Bearer sk-client", "x-api-key": "sk-2", "api-key": "sk-3", "x-goog-api-key": "sk-4",
          "Cookie": "session=1", "X-Tenant-ID": "quiet", "x-llm-d-inference-fairness-id": "a",
          "x-gateway-inference-fairness-id": "b", "Proxy-Authorization": "Basic eA=="}
HOP = {"TE": "trailers", "Trailer": "x", "Keep-Alive": "timeout=5", "Proxy-Connection": "keep-alive",
       "Upgrade": "h2c", "X-Named": "1", "Connection": "keep-alive, X-Named"}
PASSED = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=b",
          "User-Agent": "OpenAI/Python", "X-Stainless-Lang": "python", "anthropic-version": "2023-06-01",
          "Accept": "application/json", "X-Empty": "", "X-Utf8": "\u00e9"}


def test_secrets_and_hop_by_hop_fields_stay_here_and_the_rest_passes(engine, gateway):
    g = gateway(engine)
    assert post(g.port, chat(), headers={**SECRET, **HOP, **PASSED, "Accept-Encoding": "gzip, br"}).status == 200
    sent = engine.requests[0]
    for name in [*SECRET, *HOP]:
        assert sent.header(name) is None, name
    for name, value in PASSED.items():
        assert sent.header(name) is not None and sent.header(name).encode("latin-1").decode() == value, name
    assert sent.header("accept-encoding") == "identity"
    assert sent.header("content-type") == "application/json"
    assert sent.header("host") == f"127.0.0.1:{engine.port}"
    assert b"sk-client" not in sent.raw_head


def test_the_engine_s_own_key_goes_up_and_the_client_s_never(engine, gateway):
    g = gateway(engine, model={"endpoint_api_key": "sk-engine"}, auth="keys",
                tenants=[{"id": "t", "api_keys": ["sk-client-0123456789"]}])
    assert post(g.port, chat(), headers={"Authorization": "Bearer sk-client-0123456789"}).status == 200
    assert engine.requests[0].header("authorization") == "Bearer sk-engine"
    assert b"sk-client" not in engine.requests[0].raw_head
    assert {r.header("authorization") for r in engine.gets} == {"Bearer sk-engine"}


@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain", "application/x-www-form-urlencoded", "junk"])
def test_a_json_body_is_taken_under_any_type_and_goes_up_as_json(engine, gateway, content_type):
    g = gateway(engine)
    headers = {"Content-Type": content_type} if content_type else {}
    assert post(g.port, chat(), headers=headers).status == 200
    assert engine.requests[0].header("content-type") == "application/json"


@pytest.mark.parametrize("coding", ["gzip", "br", "x"])
def test_a_coded_body_is_415(engine, gateway, coding):
    g = gateway(engine)
    response = post(g.port, b"\x1f\x8b", headers={"Content-Encoding": coding})
    assert response.status == 415 and response.error()["code"] == "unsupported_media_type"
    assert post(g.port, chat(), headers={"Content-Encoding": "identity"}).status == 200
    assert len(engine.requests) == 1 and engine.requests[0].header("content-encoding") is None


@pytest.mark.parametrize("target", [CHAT + "?a=1&b=%20", "/v1/completions?", "/v1/embeddings?api-version=2024-10-21&x"])
def test_the_query_passes(engine, gateway, target):
    g = gateway(engine)
    assert post(g.port, chat(), target).status == 200
    assert engine.requests[0].target == target.removesuffix("?")


def test_an_endpoint_s_base_path_stands_before_every_target(engine, gateway):
    g = gateway(engine.url + "/deep/base/v1")
    assert post(g.port, chat(), CHAT + "?a=b").status == 200
    assert engine.requests[0].target == "/deep/base" + CHAT + "?a=b"


@pytest.mark.parametrize("given", ["a", "req-1.2_3:4", "x" * 128])
def test_a_sane_request_id_is_kept_on_the_way_up_and_back(engine, gateway, given):
    g = gateway(engine)
    assert post(g.port, chat(), headers={"X-Request-Id": given}).header("x-request-id") == given
    assert engine.requests[0].header("x-request-id") == given
    assert decided(g, request=given)


@pytest.mark.parametrize("given", [None, "", "x" * 129, "a b", "a/b", "\u00e9", 'a"b'])
def test_any_other_request_id_is_replaced_by_one_of_ours(engine, gateway, given):
    g = gateway(engine)
    ids = set()
    for _ in range(2):
        response = post(g.port, chat(), headers={} if given is None else {"X-Request-Id": given})
        made = response.header("x-request-id")
        assert made != given and 1 <= len(made) <= 128 and made.isascii() and " " not in made
        assert engine.requests[-1].header("x-request-id") == made
        ids.add(made)
    assert len(ids) == 2


def test_an_error_of_ours_has_a_request_id_too(engine, gateway):
    g = gateway(engine)
    assert post(g.port, b"{", headers={"X-Request-Id": "r1"}).header("x-request-id") == "r1"
    assert ask(g.port, "POST", "/sleep", {"X-Request-Id": "r2"}, b"{}").header("x-request-id") == "r2"


def test_the_engine_s_fields_come_back_less_those_of_its_connection(engine, gateway):
    g = gateway(engine)
    engine.behaviour = answers({"x": 1}, 200, [("X-Engine", "e"), ("Server", "uvicorn"), ("Connection", "X-Mine"),
                                               ("X-Mine", "1"), ("Keep-Alive", "timeout=5"), ("X-Request-Id", "theirs"),
                                               ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    response = post(g.port, chat(), headers={"X-Request-Id": "ours"})
    assert response.header("x-engine") == "e" and response.header("server") == "uvicorn"
    assert response.header("x-mine") is None and response.header("keep-alive") is None
    assert response.header("x-request-id") == "ours"
    assert [v for n, v in response.headers if n == "set-cookie"] == ["a=1", "b=2"]
    assert response.header("content-length") == str(len(response.body))


def test_what_we_say_of_the_tenant_s_limits_is_not_said_twice(engine, gateway):
    g = gateway(engine, tenants=[{"id": "t", "rate_limit_rpm": 60}])
    engine.behaviour = answers({}, headers=[("X-RateLimit-Limit-Requests", "1000"), ("X-RateLimit-Limit-Tokens", "9"),
                                            ("Request-Id", "theirs")])
    response = post(g.port, chat(), headers={"X-Tenant-ID": "t"})
    assert response.header("x-ratelimit-limit-requests") == "60"
    assert response.header("x-ratelimit-limit-tokens") == "9", "of which we say nothing"
    assert response.header("request-id") == "theirs"
    assert post(g.port, chat(), "/v1/messages").header("request-id") != "theirs"


@pytest.mark.parametrize("theirs", [[], [("Cache-Control", "no-store"), ("X-Accel-Buffering", "no")]])
def test_a_stream_tells_proxies_not_to_hold_it_back(engine, gateway, theirs):
    g = gateway(engine)
    engine.behaviour = sends(token(), finish(), DONE, headers=theirs)
    response = stream_body(g.port)
    assert response.header("x-accel-buffering") == "no"
    assert response.header("cache-control") == (theirs[0][1] if theirs else "no-cache")
    assert response.header("content-type") == "text/event-stream"
    assert response.header("transfer-encoding") == "chunked" and response.header("content-length") is None


PASSING = ["/v1/embeddings", "/v1/rerank", "/v1/score", "/v1/anything", "/v1/responses", "/v1/messages",
           "/v1/messages/count_tokens", "/tokenize", "/detokenize", "/rerank", "/v1/audio/speech", "/completion", "/a.b/c:d"]


@pytest.mark.parametrize("target", PASSING)
def test_any_other_post_with_a_model_passes(engine, gateway, target):
    g = gateway(engine)
    engine.behaviour = answers({"ok": target})
    body = b'{ "input":["a","b"], "model":"m" }'
    response = post(g.port, body, target)
    assert response.status == 200 and response.json() == {"ok": target}
    assert engine.requests[0].body == body and engine.requests[0].target == target


NEVER = ["/sleep", "/wake_up", "/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/load_lora_adapter", "/collective_rpc",
         "/update_weights", "/start_profile", "/flush_cache", "/abort_request", "/slots/0", "/props", "/SLEEP", "/Sleep/x",
         "/%73leep", "//sleep", "/./sleep", "/v1/../sleep", "/sleep/", "/sleep;x", "/x/..%2fsleep", "/sleep%00",
         "/v1//load_lora_adapter", "/models/load", "http://test/sleep", "/kvwarden/status/x", "/admin/x", "/", "/*"]


@pytest.mark.parametrize("target", NEVER)
def test_an_administration_endpoint_is_never_proxied(engine, gateway, target):
    g = gateway(engine)
    response = post(g.port, chat(), target)
    assert response.status == 404 and response.error()["code"] == "not_found"
    assert post(g.port, chat(), target + "?x=1").status == 404
    assert engine.requests == []


@pytest.mark.parametrize("method, target, status", [
    ("GET", CHAT, 405), ("DELETE", CHAT, 405), ("PUT", "/v1/completions", 405), ("OPTIONS", CHAT, 405),
    ("GET", "/v1/messages", 405), ("POST", "/health", 405), ("POST", "/metrics", 405), ("DELETE", "/v1/models", 405),
    ("GET", "/nothing", 404), ("DELETE", "/v1/anything", 404), ("GET", "/sleep", 404), ("HEAD", "/nothing", 404)])
def test_a_wrong_method_or_path_has_the_api_s_error_shape(engine, gateway, method, target, status):
    g = gateway(engine)
    with Connection(g.port) as c:
        c.send(request_bytes(method, target))
        response = c.response(method)
        assert response.status == status
        if method != "HEAD" and target != "/v1/messages":
            assert response.error()["code"] == {404: "not_found", 405: "method_not_allowed"}[status]
        if status == 405:
            assert response.header("allow") == ("GET, HEAD" if target in ("/health", "/metrics", "/v1/models") else "POST")
        c.send(request_bytes("POST", CHAT, {}, chat()))
        assert c.response().status == 200, "the connection is as good as before"


def test_head_on_a_page_has_the_head_of_get_and_no_body(engine, gateway):
    g = gateway(engine)
    with Connection(g.port) as c:
        for target in ("/health", "/v1/models"):
            c.send(request_bytes("HEAD", target) + request_bytes("GET", target))
            head, full = c.response("HEAD"), c.response("GET")
            assert head.status == full.status == 200
            assert head.header("content-length") == full.header("content-length") == str(len(full.body))


@pytest.mark.parametrize("body, status, kind", [
    (b"{", 400, "invalid_request_error"), (b'{"model":"x"}', 404, "not_found_error"),
    (b'{"model":"m","model":"m"}', 400, "invalid_request_error")])
def test_errors_of_messages_have_anthropic_s_shape(engine, gateway, body, status, kind):
    g = gateway(engine)
    response = post(g.port, body, "/v1/messages")
    assert response.status == status
    answer = response.json()
    assert answer["type"] == "error" and answer["error"]["type"] == kind
    assert set(answer["error"]) == {"type", "message"}


@pytest.mark.parametrize("text, status, kind", [
    ("Content-Length: 2000000\r\n\r\n", 413, "request_too_large"), ("Content-Length: 2\r\nExpect: tea\r\n\r\n", 417, "invalid_request_error"),
    ("Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "invalid_request_error"), ("Content-Length: x\r\n\r\n", 400, "invalid_request_error"),
    ("Content-Length: 9\r\n\r\n{", 408, "invalid_request_error"), ("X: " + "x" * 40000 + "\r\n\r\n", 431, "invalid_request_error")])
def test_what_http_itself_refuses_has_that_shape_too(engine, gateway, text, status, kind):
    g = gateway(engine, http={"body_bytes": 1000000, "body_s": 0.3})
    with Connection(g.port) as c:
        c.send("POST /v1/messages HTTP/1.1\r\nHost: a\r\n" + text)
        response = c.response()
        assert response.status == status
        assert response.json()["type"] == "error" and response.json()["error"]["type"] == kind


def test_messages_without_a_key_or_by_get_have_anthropic_s_shape(engine, gateway):
    g = gateway(engine, auth="keys", tenants=[{"id": "t", "api_keys": ["sk-client-0123456789"]}])
    response = post(g.port, chat(), "/v1/messages")
    assert response.status == 401 and response.json()["error"]["type"] == "authentication_error"
    response = ask(g.port, "GET", "/v1/messages")
    assert response.status == 405 and response.json()["type"] == "error"
    assert post(g.port, chat(), "/v1/messages", {"x-api-key": "sk-client-0123456789"}).status == 200


def test_both_sides_may_be_unix_sockets(engine, gateway, tmp_path):
    """The stand-in engine listens on TCP; a second listener of its loop takes the Unix socket."""
    path, own = tmp_path / "engine.sock", tmp_path / "kw.sock"
    done = threading.Event()

    async def listen():
        await asyncio.start_unix_server(engine._serve, str(path))
        done.set()

    engine.on_loop(lambda: asyncio.ensure_future(listen()))
    assert done.wait(10)
    g = gateway(f"unix:{path}", unix_socket=str(own))
    engine.behaviour = well_behaved
    for unix in (None, own):
        with Connection(g.port, unix=unix) as c:
            c.send(request_bytes("POST", CHAT, {}, chat(stream=True)))
            response = c.response()
            assert response.status == 200 and response.body.endswith(DONE)
    assert len(engine.requests) == 2 and engine.requests[0].header("host") == "localhost"
