# SPDX-License-Identifier: MIT
"""The original's defects, one test each, that this program must not have.  docs/migration.md tells users of them."""
import asyncio
import json
import signal
import socket

import pytest

from support.chat import CHAT, JSON, body, headers, metric, metrics, post, status
from support.engine import USAGE, chunk, well_behaved
from support.program import run
from support.waiting import wait_for
from support.wire import Connection, ask, request_bytes, stream

ONE = {"max_in_flight": 1}


# verified by execution ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("value", [None, "many", {}, [], -1, 1.5, True, 10 ** 30])
def test_x1_max_tokens_that_is_null_or_no_number_leaks_no_slot(engine, gateway, value):
    """There, each such request took one of the tenant's slots for ever."""
    g = gateway(engine, tenant_defaults={"max_concurrent_requests": 1})
    for _ in range(5):
        assert post(g.port, max_tokens=value).status in (200, 400)
    assert post(g.port, max_tokens=5).status == 200
    s = status(g.port)
    assert s["tenants"]["default"]["usage"]["active_requests"] == s["admission"]["in_flight"] == 0


def test_x1_null_is_legal(engine, gateway):
    g = gateway(engine)
    assert post(g.port, max_tokens=None, stream=None, n=None).status == 200
    assert post(g.port, max_tokens="7").status == 400
    assert engine.requests[0].json()["max_tokens"] is None, "the body goes out as it came"


def test_x2_a_queued_waiter_that_leaves_never_gets_a_slot(held, gateway, sender):
    g = gateway(held, model=ONE, tenant_defaults={"max_concurrent_requests": 10})
    s = sender(g.port)
    s.send("runs")
    held.has("runs")
    s.send_in_order(*[(f"w{i}", None, {}) for i in range(5)])
    for i in range(5):
        s.leave(f"w{i}")
    s.queued(0)
    held.release("runs")
    assert s.answer("runs").status == 200
    wait_for(lambda: status(g.port)["admission"]["in_flight"] == 0, "nothing is in flight")
    held.release_all()
    assert post(g.port).status == 200
    assert held.work == ["runs", "?"]
    assert status(g.port)["tenants"]["default"]["usage"]["active_requests"] == 0


@pytest.mark.parametrize("prompt", [["a", "b"], [1, 2, 3], [[1, 2], [3]], "text"])
@pytest.mark.parametrize("streams", [True, False])
def test_x3_a_prompt_may_be_a_list(engine, gateway, prompt, streams):
    g = gateway(engine)
    r = ask(g.port, "POST", "/v1/completions", JSON, {"model": "m", "prompt": prompt, "stream": streams})
    assert r.status == 200
    assert engine.requests[0].json()["prompt"] == prompt


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("code", [400, 404, 422, 429, 500, 503])
def test_x4_an_engines_error_keeps_its_status_and_is_counted_as_error(engine, gateway, code, streams):
    error = {"error": {"message": "no", "type": "BadRequestError", "param": None, "code": code}}

    async def failing(request, reply):
        if request.method == "GET":
            return await well_behaved(request, reply)
        await reply.json(error, status=code)
    engine.behaviour = failing
    g = gateway(engine)
    r = post(g.port, stream=streams)
    assert (r.status, r.json()) == (code, error)
    wait_for(lambda: metric(g.port, "kvwarden_requests_total", status="error") == 1, "it is counted")
    assert metric(g.port, "kvwarden_requests_total", status="ok") == 0
    assert metric(g.port, "kvwarden_tenant_requests_total") == 0


def test_x4_an_error_as_the_first_event_of_a_stream_is_an_error(engine, gateway):
    async def failing(request, reply):
        if request.method == "GET":
            return await well_behaved(request, reply)
        await reply.start_stream()
        await reply.event({"error": {"message": "prompt too long", "type": "BadRequestError", "code": 400}})
        await reply.event("[DONE]")
        await reply.finish()
    engine.behaviour = failing
    g = gateway(engine)
    r = post(g.port, stream=True)
    assert r.status == 400 and "prompt too long" in r.body.decode()
    assert metric(g.port, "kvwarden_requests_total", status="error") == 1


def flooding(engine):
    async def flood(request, reply):
        if request.method == "GET":
            return await well_behaved(request, reply)
        await reply.start_stream()
        while True:
            await reply.event(chunk("x" * 4000))
            await asyncio.sleep(0)
    engine.behaviour = flood


def slow_reader(port):
    c = Connection.__new__(Connection)
    c.sock = socket.socket()
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    c.sock.settimeout(20)
    c.sock.connect(("127.0.0.1", port))
    c.pending, c.eof = b"", False
    c.send(request_bytes("POST", CHAT, JSON, body(stream=True)))
    return c


def test_x5_a_reader_that_does_not_read_is_cut_off_and_counted(engine, gateway):
    flooding(engine)
    g = gateway(engine)
    c = slow_reader(g.port)
    wait_for(lambda: metric(g.port, "kvwarden_http_slow_clients_aborted_total") == 1, "it is cut off")
    assert engine.requests[0].left.wait(20), "the engine's work ends"
    assert metric(g.port, "kvwarden_requests_total", status="error") == 1
    assert metric(g.port, "kvwarden_sse_stream_disconnect_total", reason="client_disconnect") == 1
    wait_for(lambda: status(g.port)["admission"]["in_flight"] == 0, "its permit is back")
    c.close()


def test_x5_the_longest_time_of_a_stream_is_counted_as_timeout(engine, gateway):
    """There, the fence raised the wrong exception, and neither counter nor status said timeout."""
    async def slow(request, reply):
        if request.method == "GET":
            return await well_behaved(request, reply)
        await reply.start_stream()
        while True:
            await reply.event(chunk("x"))
            await asyncio.sleep(0.02)
    engine.behaviour = slow
    g = gateway(engine, timeouts={"total_s": 0.3})
    c, response, events = stream(g.port, CHAT, body(stream=True), JSON)
    last = list(events)[-1]
    assert json.loads(last)["error"]["code"] == "engine_timeout"
    assert metric(g.port, "kvwarden_requests_total", status="timeout") == 1
    assert metric(g.port, "kvwarden_sse_stream_disconnect_total", reason="timeout") == 1
    assert engine.requests[0].left.wait(20)
    c.close()


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\r\r", b"\n\n"])
def test_x6_an_engine_that_ends_lines_with_cr_lf_has_its_tokens_counted(engine, gateway, end):
    async def crlf(request, reply):
        if request.method == "GET":
            return await well_behaved(request, reply)
        await reply.start_stream()
        for word in "abc":
            await reply.event(chunk(word), end=end)
        await reply.event({**chunk(), "choices": [], "usage": USAGE}, end=end)
        await reply.event("[DONE]", end=end)
        await reply.finish()
    engine.behaviour = crlf
    g = gateway(engine)
    r = post(g.port, stream=True)
    assert r.status == 200 and r.body.count(b"data: ") == 4, "the usage that the client did not ask for is left out"
    assert metric(g.port, "kvwarden_tokens_generated_total") == 3
    assert metric(g.port, "kvwarden_tenant_ttft_seconds_count") == 1


@pytest.mark.parametrize("name", ["meta-llama/Llama-3.1-8B-Instruct", "llama31-8b"])
def test_x7_a_model_has_its_short_name_too(engine, gateway, name):
    g = gateway(engine, models=[{"model_id": "meta-llama/Llama-3.1-8B-Instruct", "short_name": "llama31-8b",
                                 "engine": "openai", "endpoint": engine.url}])
    assert post(g.port, model=name).status == 200
    assert {m["id"] for m in ask(g.port, "GET", "/v1/models").json()["data"]} == {"meta-llama/Llama-3.1-8B-Instruct",
                                                                                   "llama31-8b"}


def test_x8_the_status_page_holds_with_tenants(engine, gateway):
    """There, the printed table broke as soon as one tenant existed."""
    g = gateway(engine, tenants=[{"id": "a"}])
    assert post(g.port, tenant='odd"name').status == 200
    s = status(g.port)
    assert isinstance(s["tenants"], dict) and isinstance(s["loaded_models"], dict)
    assert s["tenants"]['odd"name']["usage"]["request_count"] == 1


def test_x10_no_hidden_pool_of_connections_stands_behind_the_queue(held, gateway, sender):
    """There, 100 connections were a second queue that nobody saw."""
    g = gateway(held, model={"max_in_flight": 300})
    s = sender(g.port)
    for i in range(250):
        s.send(str(i))
    wait_for(lambda: len(held.work) == 250, "all 250 are at the engine at once")
    a = status(g.port)["admission"]
    assert (a["in_flight"], a["queue_depth"]) == (250, 0)
    held.release_all()
    assert {s.answer(str(i)).status for i in range(250)} == {200}


# seen in its code --------------------------------------------------------------------------------------------------------

def test_a_request_that_is_refused_later_or_for_an_unknown_model_spends_no_token(held, gateway, sender):
    g = gateway(held, model=ONE, tenant_defaults={"rate_limit_rpm": 0.01, "rate_limit_burst": 2, "queue_requests": 0})
    s = sender(g.port)
    for _ in range(3):
        assert post(g.port, tenant="t", model="nobody").status == 404
    s.send("runs", "t")
    held.has("runs")
    for _ in range(3):
        r = post(g.port, tenant="t")
        assert (r.status, r.error()["code"]) == (429, "queue_full")
    held.release_all()
    assert s.answer("runs").status == 200
    assert post(g.port, tenant="t").status == 200
    assert post(g.port, tenant="t").error()["code"] == "rate_limit_exceeded"


def test_rotating_tenant_names_is_bounded_and_does_not_reach_a_configured_one(engine, gateway):
    g = gateway(engine, tenants=[{"id": "quiet", "rate_limit_rpm": 0.01, "rate_limit_burst": 1}])
    assert post(g.port, tenant="quiet").status == 200
    for i in range(1100):
        assert post(g.port, tenant=f"n{i}").status == 200
    assert len(metrics(g.port)["kvwarden_tenant_requests_total"]) <= 1001
    assert status(g.port)["tenants_not_shown"] <= 3
    assert post(g.port, tenant="quiet").status == 429


def test_names_of_models_that_do_not_exist_make_no_labels(engine, gateway):
    g = gateway(engine)
    for i in range(20):
        assert post(g.port, model=f"evil-{i}").status == 404
    assert "evil" not in ask(g.port, "GET", "/metrics").body.decode()


def test_429s_and_503s_are_in_the_metrics(held, gateway, sender):
    g = gateway(held, model=ONE, admission_queue_size=0, tenant_defaults={"rate_limit_rpm": 0.01, "rate_limit_burst": 2})
    s = sender(g.port)
    s.send("runs", "t")
    held.has("runs")
    assert post(g.port, tenant="u").status == 503
    held.release_all()
    assert post(g.port, tenant="t").status in (200, 503)
    while post(g.port, tenant="t").status == 200:
        pass
    assert metric(g.port, "kvwarden_tenant_rejected_total", tenant="u", reason="overloaded") == 1
    assert metric(g.port, "kvwarden_tenant_rejected_total", tenant="t", reason="rate_limit") == 1


@pytest.mark.parametrize("how,code", [
    (dict(method="GET", target="/nothing"), 404), (dict(method="GET", target=CHAT), 405),
    (dict(method="POST", target=CHAT, payload=b"{"), 400), (dict(method="POST", target=CHAT, payload=b"{}"), 400),
    (dict(method="POST", target=CHAT, payload=b'{"model":"x"}'), 404),
    (dict(method="POST", target=CHAT, payload=b'{"model":"m","pad":"' + b"x" * (2 << 20) + b'"}'), 200),
])
def test_errors_are_objects_and_a_large_body_is_no_invalid_json(engine, gateway, how, code):
    g = gateway(engine)
    r = ask(g.port, how["method"], how["target"], JSON, how.get("payload"))
    assert r.status == code
    if code != 200:
        e = r.error()
        assert e["message"] and e["type"] and r.header("x-request-id")


def test_the_simulators_port_is_loopback_only(start):
    """There, engines listened on all interfaces, a way around the gateway."""
    g = start("serve", "--sim", "--port", 0)
    wait_for(lambda: ask(g.port, "GET", "/health").status == 200, "/health answers 200")
    with open(f"/proc/{g.pid}/task/{g.pid}/children") as f:
        child = int(f.read().split()[0])
    listening = [line.split() for line in open(f"/proc/{child}/net/tcp").read().splitlines()[1:]]
    inodes = {line[9]: line[1].split(":")[0] for line in listening if line[3] == "0A"}
    import os
    own = [os.readlink(f"/proc/{child}/fd/{fd}") for fd in os.listdir(f"/proc/{child}/fd")]
    addresses = {inodes[n[8:-1]] for n in own if n.startswith("socket:[") and n[8:-1] in inodes}
    assert addresses == {"0100007F"}


def test_a_long_load_holds_no_admission_slot(engine, held, gateway, sender):
    """There, a model that loaded kept a slot of the cap over all models for minutes."""
    held.refuse_all = True
    models = [{"model_id": "m", "engine": "openai", "endpoint": engine.url},
              {"model_id": "slow", "engine": "openai", "endpoint": held.url}]
    g = gateway(engine, ready=False, models=models, max_concurrent=1, while_loading="wait")
    s = sender(g.port)
    wait_for(lambda: status(g.port)["models"][0]["state"] == "ready", "m is ready")
    s.send("waits", model="slow")
    wait_for(lambda: any(d["verdict"] == "loading" for d in g.decisions()), "it waits for its model")
    assert post(g.port).status == 200


def test_a_flooder_inside_one_tenant_does_not_starve_its_own_requests_by_age(held, gateway, sender):
    """There, active * 10 put a tenant's later request before its earlier one of another length; window keeps order."""
    g = gateway(held, model=ONE)
    s = sender(g.port)
    s.send("runs")
    held.has("runs")
    s.send_in_order(("long", None, {"max_tokens": 9000}), ("short", None, {"max_tokens": 1}))
    held.release("runs")
    held.release("long")
    held.release("short")
    assert held.work == ["runs", "long", "short"]


def test_engine_up_follows_the_engine(held, gateway):
    g = gateway(held, health_check_interval_s=0.1)
    assert metric(g.port, "kvwarden_engine_up") == 1
    held.refuse_all = True
    wait_for(lambda: metric(g.port, "kvwarden_engine_up") == 0, "the loss is shown")
    assert metric(g.port, "kvwarden_engine_state", state="lost") == 1


def test_ttft_is_not_the_role_frame(engine, gateway):
    go = engine.new_event()

    async def role_first(request, reply):
        if request.method == "GET":
            return await well_behaved(request, reply)
        await reply.start_stream()
        first = chunk()
        first["choices"][0]["delta"] = {"role": "assistant", "content": ""}
        await reply.event(first)
        await go.wait()
        await reply.event(chunk("a"))
        await reply.event("[DONE]")
        await reply.finish()
    engine.behaviour = role_first
    g = gateway(engine)
    c, _, events = stream(g.port, CHAT, body(stream=True), JSON)
    events = iter(events)
    next(events)
    assert metric(g.port, "kvwarden_tenant_ttft_seconds_count") == 0
    engine.on_loop(go.set)
    assert list(events)[-1] == "[DONE]"
    assert metric(g.port, "kvwarden_tenant_ttft_seconds_count") == 1
    c.close()


def test_sigterm_leaves_no_engine_behind(start):
    import os
    g = start("serve", "--sim", "--port", 0)
    wait_for(lambda: ask(g.port, "GET", "/health").status == 200, "/health answers 200")
    with open(f"/proc/{g.pid}/task/{g.pid}/children") as f:
        child = f.read().split()[0]
    g.child.send_signal(signal.SIGKILL)  # not even then
    g.child.wait()
    wait_for(lambda: not os.path.exists(f"/proc/{child}"), "the engine ends with its gateway")


# where its documents contradicted it ----------------------------------------------------------------------------------------

def test_health_listens_while_the_engine_loads(held, gateway):
    held.refuse_all = True
    g = gateway(held, ready=False)
    assert ask(g.port, "GET", "/health").status == 503


def test_the_port_of_the_command_line_counts_with_a_file(engine, gateway):
    assert gateway(engine, port=1, args=("--port", "0")).port != 1


def test_the_metric_that_its_readme_greps_exists(engine, gateway):
    g = gateway(engine, tenant_defaults={"rate_limit_rpm": 0.01, "rate_limit_burst": 1})
    post(g.port, tenant="t")
    post(g.port, tenant="t")
    assert 'kvwarden_tenant_rejected_total{tenant="t",reason="rate_limit"} 1' in ask(g.port, "GET", "/metrics").body.decode()
