# SPDX-License-Identifier: MIT
"""curl through the gateway, with the habits that it has and libraries do not."""
import json
import subprocess

import pytest

from support.engine import chunk
from support.waiting import PATIENCE_S, wait_for

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
BIG = {"model": "m", "messages": [{"role": "user", "content": "x" * (3 << 20)}]}


def curl(*args, stdin=b""):
    """Its CompletedProcess; --max-time ends one that hangs."""
    return subprocess.run(["curl", "-sS", "--noproxy", "*", "--max-time", str(PATIENCE_S), *map(str, args)], input=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture
def url(engine, gateway):
    return f"http://127.0.0.1:{gateway(engine).port}"


def test_data_without_a_content_type_is_json_all_the_same(url, engine):
    done = curl(url + "/v1/chat/completions", "--data", json.dumps(CHAT))
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == "one two three"
    assert engine.requests[0].body == json.dumps(CHAT).encode()
    assert engine.requests[0].header("content-type") == "application/json"


def test_events_come_as_they_are_made(url, engine):
    release = engine.new_event()

    async def slow(request, reply):
        await reply.start_stream()
        await reply.event(chunk("first"))
        await release.wait()
        await reply.event(chunk("second"))
        await reply.event("[DONE]")
        await reply.finish()

    engine.behaviour = slow
    body = json.dumps({**CHAT, "stream": True})
    with subprocess.Popen(["curl", "-sN", "--noproxy", "*", "--max-time", str(PATIENCE_S), url + "/v1/chat/completions", "-d", body],
                          stdout=subprocess.PIPE) as child:
        assert b"first" in child.stdout.readline(), "the first event came only with the second"
        engine.on_loop(release.set)
        rest = child.stdout.read()
    assert child.returncode == 0 and rest.endswith(b"data: [DONE]\n\n") and b"second" in rest


def test_ctrl_c_cancels_at_the_engine(url, engine):
    never = engine.new_event()

    async def hangs(request, reply):
        await never.wait()

    engine.behaviour = hangs
    child = subprocess.Popen(["curl", "-sN", "--noproxy", "*", url + "/v1/chat/completions", "-d", json.dumps(CHAT)])
    wait_for(lambda: engine.requests, "the engine has the request")
    child.terminate()
    child.wait()
    wait_for(engine.requests[0].left.is_set, "the gateway closes the engine's connection")


def test_a_big_body_is_asked_for_with_100_continue(url, engine):
    done = curl("-v", url + "/v1/chat/completions", "-H", "Expect: 100-continue", "-d", "@-", stdin=json.dumps(BIG).encode())
    assert b"HTTP/1.1 100 Continue" in done.stderr and json.loads(done.stdout)["choices"]
    assert engine.requests[0].json() == BIG and engine.requests[0].header("expect") is None


def test_who_is_refused_by_the_head_is_spared_the_body(engine, gateway):
    program = gateway(engine, tenants=[{"id": "quiet", "api_keys": ["sk-quiet"]}])
    done = curl("-w", "%{http_code} %{size_upload}", "-o", "/dev/null", f"http://127.0.0.1:{program.port}/v1/chat/completions",
                "-H", "Expect: 100-continue", "-d", "@-", stdin=json.dumps(BIG).encode())
    assert done.stdout == b"401 0"


def test_a_body_over_the_limit_is_refused_in_the_apis_shape(engine, gateway):
    program = gateway(engine, http={"body_bytes": 1 << 20})
    done = curl(f"http://127.0.0.1:{program.port}/v1/chat/completions", "-d", "@-", stdin=json.dumps(BIG).encode())
    assert json.loads(done.stdout)["error"]["code"] == "request_too_large"


def test_a_chunked_upload_arrives_whole(url, engine):
    done = curl(url + "/v1/chat/completions", "-H", "Transfer-Encoding: chunked", "-d", "@-", stdin=json.dumps(BIG).encode())
    assert json.loads(done.stdout)["choices"], done.stderr
    assert engine.requests[0].json() == BIG and engine.requests[0].header("content-length") == str(len(engine.requests[0].body))


def test_an_upload_of_a_pipe_arrives_whole(url, engine):
    done = curl("-X", "POST", "-T", "-", url + "/v1/chat/completions", stdin=json.dumps(CHAT).encode())
    assert json.loads(done.stdout)["choices"], done.stderr
    assert engine.requests[0].json() == CHAT


def test_head_of_health_has_no_body(url):
    done = curl("-I", url + "/health")
    head = done.stdout.decode().lower()
    assert head.startswith("http/1.1 200") and "content-length: " in head and "{" not in head


def test_the_unix_socket_serves_too(engine, gateway, tmp_path):
    gateway(engine, unix_socket=str(tmp_path / "kw.sock"))
    done = curl("--unix-socket", tmp_path / "kw.sock", "http://any/v1/chat/completions", "-d", json.dumps(CHAT))
    assert json.loads(done.stdout)["choices"]


def test_two_requests_share_a_connection(url):
    done = curl("-v", url + "/health", url + "/live")
    assert b"Re-using existing connection" in done.stderr


def test_http_1_0_and_compression_change_nothing(url, engine):
    for option in ("-0", "--compressed"):
        done = curl(option, url + "/v1/chat/completions", "-d", json.dumps({**CHAT, "stream": True}))
        assert done.returncode == 0 and done.stdout.endswith(b"data: [DONE]\n\n"), option
    assert [r.header("accept-encoding") for r in engine.requests] == ["identity", "identity"]
