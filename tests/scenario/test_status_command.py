# SPDX-License-Identifier: MIT
"""`kvwarden status` and `kvwarden models` against a stand-in that answers whatever a test wants, sane or not."""
import http.server
import json
import os
import pathlib
import signal
import socketserver
import threading
import time

import pytest

from support.program import run
from support.waiting import wait_for

FULL = {
    "version": "0.2.0", "uptime_s": 3725.4, "simulated": False, "state": "ok", "scheduling": "window",
    "loaded_models": {"meta-llama/Llama-3.1-8B-Instruct": {
        "engine": "vllm", "port": 9000, "request_count": 4711, "avg_latency_s": 0.1234, "eviction_score": None,
        "healthy": True, "uptime_s": 3700}},
    "models": [
        {"id": "meta-llama/Llama-3.1-8B-Instruct", "engine": "vllm", "state": "ready", "simulated": False,
         "endpoint": "http://127.0.0.1:9000", "window": 64, "in_flight": 12, "queued": 345, "request_count": 4711,
         "error": None},
        {"id": "other", "engine": "openai", "state": "lost", "simulated": False, "endpoint": "unix:/run/x", "window": None,
         "in_flight": 0, "queued": 0, "request_count": 0, "error": "GET /v1/models: connection refused"}],
    "queue_depths": {"short": 1, "medium": 2, "long": 3, "xlarge": 4},
    "admission": {"max_concurrent": 256, "queue_size": 2048, "in_flight": 12, "queue_depth": 345,
                  "total_admitted": 12345678, "total_rejected": 7, "total_timed_out": 8, "admission_rate": 0.99,
                  "rejection_rate": 0.01},
    "cache": {"total_blocks": None, "hit_rate": None},
    "tenants": {
        "flooder": {"tenant_id": "flooder", "organisation": None, "weight": 1,
                    "budget": {"max_concurrent_requests": 512, "rate_limit_rpm": 600, "priority": 1},
                    "usage": {"request_count": 99999, "token_count_in": 12345678, "token_count_out": 1000000,
                              "gpu_seconds": 12.5, "active_requests": 11, "rate_limit_tokens_remaining": 0.5,
                              "refused": 4321}},
        "quiet": {"tenant_id": "quiet", "organisation": "lab", "weight": 2.5, "budget": {},
                  "usage": {"request_count": 17, "token_count_in": 170, "token_count_out": 34, "gpu_seconds": 0.1,
                            "active_requests": 1, "rate_limit_tokens_remaining": None, "refused": 0}}},
    "metrics": {"uptime_s": 3725.4, "total_requests": 100016},
}
MODELS = {"object": "list", "data": [
    {"id": "meta-llama/Llama-3.1-8B-Instruct", "object": "model", "owned_by": "kvwarden", "engine": "vllm", "healthy": True},
    {"id": "other", "object": "model", "owned_by": "kvwarden", "engine": "openai", "healthy": False},
    {"id": "third", "object": "model"}]}
ODD = [None, True, 0, -1, 1e300, 18446744073709551615, "", "word", "\x1b[2J\u202e\u0000", [], {}, [[]], {"a": {"b": []}}]


class Server:
    """Answers every GET the same way; keeps the requests' headers."""

    def __init__(self, path=None):
        self.status, self.body, self.hang, self.seen = 200, b"{}", threading.Event(), []
        self.hang.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.seen.append((self.path, dict(self.headers)))
                outer.hang.wait(30)
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_):
                pass

            def address_string(self):
                return "peer"

        kind = http.server.ThreadingHTTPServer
        if path:
            kind = type("Unix", (socketserver.ThreadingMixIn, socketserver.UnixStreamServer), {"daemon_threads": True})
        self.server = kind(str(path) if path else ("127.0.0.1", 0), Handler)
        self.port = None if path else self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def says(self, value, status=200):
        self.status = status
        self.body = value if isinstance(value, bytes) else json.dumps(value).encode()

    def close(self):
        self.hang.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def server():
    s = Server()
    yield s
    s.close()


@pytest.fixture
def ask(server):
    """ask("status", FULL) -> the finished command on a server that says FULL."""

    def factory(command, value=None, *args, status=200, env=None):
        if value is not None:
            server.says(value, status)
        return run(command, "--port", server.port, *args, env=env)

    return factory


def assert_terminal_safe(text):
    for line in text.split("\n"):
        assert all(c.isprintable() for c in line), repr(line)
        assert len(line) <= 80 or line.startswith("  ! "), line


# status -----------------------------------------------------------------------------------------------------------------
def test_status_is_a_page_for_a_terminal(ask, server):
    done = ask("status", FULL)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert_terminal_safe(done.stdout)
    assert server.seen[0][0] == "/kvwarden/status"
    lines = done.stdout.splitlines()
    assert lines[0] == "kvwarden 0.2.0  state ok  up 1h 02m  scheduling window"
    assert [line.split() for line in lines if line.startswith("meta-llama")] == [
        ["meta-llama/Llama-3.1-8B-I…", "vllm", "ready", "12/64", "345", "4711"]]
    assert [line.split() for line in lines if line.startswith("other")] == [["other", "openai", "lost", "0", "0", "0"]]
    assert "  ! other: GET /v1/models: connection refused" in lines
    assert "12 in flight, 256 at most, 345 queued, 2048 at most" in done.stdout
    assert "12.3M admitted, 7 rejected, 8 timed out" in done.stdout
    assert "1 short, 2 medium, 3 long, 4 xlarge" in done.stdout
    assert [line.split() for line in lines if line.startswith(("flooder", "quiet"))] == [
        ["flooder", "1", "11", "99999", "4321", "12.3M", "1.0M"], ["quiet", "2.5", "1", "17", "0", "170", "34"]]
    assert "SIMULATED" not in done.stdout
    assert "Cache" not in done.stdout  # nothing is known of it


def test_a_bound_that_is_none_is_not_mentioned(ask):
    done = ask("status", {**FULL, "admission": {**FULL["admission"], "max_concurrent": None, "queue_size": None}})
    assert "Now       12 in flight, 345 queued\n" in done.stdout


def test_columns_are_aligned(ask):
    lines = ask("status", FULL).stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Tenant "))
    ends = {len(line) for line in lines[start:start + 3]}
    assert len(ends) == 1, lines[start:start + 3]


@pytest.mark.parametrize("where", ["page", "model"])
def test_what_is_simulated_is_said_loudly(ask, where):
    value = json.loads(json.dumps(FULL))
    if where == "page":
        value["simulated"] = True
    value["models"][0].update(simulated=True, engine="sim")
    done = ask("status", value)
    assert "*** SIMULATED" in done.stdout.splitlines()[2]
    assert " sim* " in done.stdout
    assert_terminal_safe(done.stdout)


def test_status_without_tenants_and_models(ask):
    done = ask("status", {**FULL, "tenants": {}, "models": [], "loaded_models": {}})
    assert done.returncode == 0, done.stderr
    assert "no tenant has been seen yet" in done.stdout and "no models" in done.stdout


def test_the_page_of_the_original_is_read_too(ask):
    value = {k: v for k, v in FULL.items() if k in ("loaded_models", "queue_depths", "admission", "tenants", "metrics")}
    value["cache"] = {"total_blocks": 0, "hit_rate": 0.0, "tiers": {}, "model_blocks": {}}
    done = ask("status", value)
    assert done.returncode == 0, done.stderr
    assert "healthy" in done.stdout and "4711" in done.stdout and "flooder" in done.stdout
    assert "0 blocks, 0 hit rate" in done.stdout


def places(value, path=()):
    """Every place of a JSON value."""
    yield path
    if isinstance(value, (dict, list)):
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(child, path + (key,))


def replaced(value, path, by):
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


def test_no_odd_value_breaks_the_page(ask):
    """Each place of the page in turn holds something else; the choice walks on from place to place."""
    for i, path in enumerate(places(FULL)):
        if not path:
            continue
        value = replaced(FULL, path, ODD[i % len(ODD)])
        done = ask("status", value)
        assert done.returncode == 0 and done.stderr == "", (path, ODD[i % len(ODD)], done)
        assert_terminal_safe(done.stdout)


@pytest.mark.parametrize("key", [k for k in FULL])
@pytest.mark.parametrize("odd", ["word", 7, [1, "a", None, [], {}], {"a": 1, "b": "c", "d": [], "e": None}])
def test_no_section_of_another_kind_breaks_the_page(ask, key, odd):
    done = ask("status", {**FULL, key: odd})
    assert done.returncode == 0 and done.stderr == "", done
    assert_terminal_safe(done.stdout)


def test_an_empty_object_is_a_page_too(ask):
    done = ask("status", {})
    assert done.returncode == 0 and done.stdout.startswith("kvwarden -  state -  up -  scheduling -\n"), done


def test_names_cannot_move_the_cursor(ask):
    evil = "\x1b]0;owned\x07\r\n\u202eevil\u200b\u009b2J"
    value = {**FULL, "version": evil, "tenants": {evil: FULL["tenants"]["quiet"]},
             "models": [{**FULL["models"][0], "id": evil, "error": evil * 100}]}
    done = ask("status", value)
    assert done.returncode == 0
    assert_terminal_safe(done.stdout)
    assert r"\u001b" in done.stdout
    assert max(map(len, done.stdout.splitlines())) < 200


def test_names_in_other_scripts_stay_readable(ask):
    done = ask("status", {**FULL, "tenants": {"Größe-東京": FULL["tenants"]["quiet"]}})
    assert "Größe-東京" in done.stdout


def test_ten_thousand_tenants_are_shown_shortly_the_busiest_first(ask):
    tenants = {f"t{i:05}": {"tenant_id": f"t{i:05}", "weight": 1, "budget": {},
                            "usage": {"request_count": i, "active_requests": 1 if i == 77 else 0}} for i in range(10000)}
    done = ask("status", {**FULL, "tenants": tenants})
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("t0")]
    assert len(lines) == 40
    assert lines[0].startswith("t00077") and lines[1].startswith("t09999")
    assert "and 9960 more tenants" in done.stdout


def test_many_models_are_cut(ask):
    done = ask("status", {**FULL, "models": [{**FULL["models"][1], "id": f"m{i}"} for i in range(100)]})
    assert done.returncode == 0 and "and 36 more" in done.stdout


def test_json_comes_as_it_came(ask, server):
    server.says(b'{ "odd":   1.50, "\\u0041": [true,\n null] }')
    done = ask("status", None, "--json")
    assert done.returncode == 0
    assert done.stdout == '{ "odd":   1.50, "\\u0041": [true,\n null] }\n'


# models -----------------------------------------------------------------------------------------------------------------
def test_models_is_a_table(ask, server):
    done = ask("models", MODELS)
    assert done.returncode == 0, done.stderr
    assert server.seen[0][0] == "/v1/models"
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["Model", "ID", "Engine", "Healthy"], ["meta-llama/Llama-3.1-8B-Instruct", "vllm", "✓"], ["other", "openai", "✗"],
        ["third", "-", "?"]]
    assert json.loads(ask("models", MODELS, "--json").stdout) == MODELS


@pytest.mark.parametrize("data, says", [
    ([], "no model is ready"), ("word", "no list of models"), (None, "no list of models"),
    ([None, 7, "x", [], {}], "?"), ([{"id": {"a": 1}, "engine": [], "healthy": "yes"}], "?"),
    ([{"id": f"m{i}"} for i in range(1000)], "and 936 more")])
def test_odd_lists_of_models(ask, data, says):
    done = ask("models", {"data": data})
    assert done.returncode == 0 and says in done.stdout, done
    assert_terminal_safe(done.stdout)


# what goes wrong --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("command", ["status", "models"])
def test_nobody_there(command, server):
    server.server.server_close()
    done = run(command, "--port", server.port)
    assert done.returncode == 1 and done.stdout == ""
    assert f"http://127.0.0.1:{server.port}: nobody answers" in done.stderr
    assert "kvwarden serve" in done.stderr


def test_an_unknown_host(ask):
    done = run("status", "--host", "no-such-host.invalid")
    assert done.returncode == 1 and "no-such-host.invalid" in done.stderr


@pytest.mark.parametrize("status", [401, 403])
def test_a_page_that_is_guarded(ask, status):
    without = ask("status", {}, status=status)
    assert without.returncode == 1 and "--admin-key" in without.stderr and "KVWARDEN_ADMIN_KEY" in without.stderr
    wrong = ask("status", {}, "--admin-key", "wrong-key", status=status)
    assert wrong.returncode == 1 and "not its admin_key" in wrong.stderr
    assert "wrong-key" not in wrong.stderr + wrong.stdout


def test_the_admin_key_is_sent(ask, server):
    ask("status", FULL)
    ask("status", FULL, "--admin-key", "k1", env={"KVWARDEN_ADMIN_KEY": "k2"})
    ask("models", MODELS, env={"KVWARDEN_ADMIN_KEY": "k2"})
    ask("models", MODELS, env={"KVWARDEN_ADMIN_KEY": ""})
    assert [headers.get("Authorization") for _, headers in server.seen] == [None, "Bearer k1", "Bearer k2", None]


@pytest.mark.parametrize("body, says", [
    (b"{", "not JSON"), (b"", "not JSON"), (b"<html>", "not JSON"), (b"[]", "no JSON object"), (b"7", "no JSON object"),
    (b'{"a": "\xff"}', "not JSON"), (b"[" * 100000, "not JSON")])
def test_what_is_not_a_page(ask, server, body, says):
    for more in ((), ("--json",)):
        done = ask("status", body, *more)
        assert done.returncode == 1 and says in done.stderr and done.stdout == "", done


def test_deep_json_is_no_matter(ask):
    done = ask("status", b'{"models":' + b"[" * 100000 + b"]" * 100000 + b"}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("status, says", [(404, "is this a kvwarden?"), (500, "it answered 500"), (503, "it answered 503")])
def test_other_answers(ask, status, says):
    done = ask("status", FULL, status=status)
    assert done.returncode == 1 and says in done.stderr


def test_a_server_that_hangs_is_given_five_seconds(ask, server):
    server.hang.clear()
    began = time.monotonic()
    done = ask("status", FULL)
    assert done.returncode == 1 and "no answer in time" in done.stderr
    assert 4.5 < time.monotonic() - began < 15


def kill_simulator(parent, model):
    """Ends the gateway's child that simulates that model's engine."""
    for pid in pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if model.encode() in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            os.kill(int(pid), signal.SIGKILL)
            return
    raise AssertionError(f"no child simulates {model}")


def test_a_real_gateway(start, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("host: 127.0.0.1\nport: 0\nmodels:\n  - {model_id: org/M, engine: sim}\n"
                      "  - {model_id: broken, engine: sim}\n")
    gateway = start("serve", "--config", config)
    wait_for(lambda: " ready " in run("status", "--port", gateway.port).stdout, "the engines run")
    kill_simulator(gateway.pid, "broken")

    def page():
        done = run("status", "--port", gateway.port)
        assert done.returncode == 0, done.stderr
        return done.stdout if " ready " in done.stdout and " failed " in done.stdout else None

    text = wait_for(page, "one model ready, the other failed")
    assert_terminal_safe(text)
    assert "*** SIMULATED" in text and "sim*" in text
    assert "  ! broken: was ended by signal 9" in text
    models = run("models", "--port", gateway.port)
    assert ["org/M", "sim", "✓"] in [line.split() for line in models.stdout.splitlines()]
    assert json.loads(run("status", "--json", "--port", gateway.port).stdout)["simulated"] is True


def test_a_unix_socket(tmp_path):
    path = tmp_path / "s"
    server = Server(path)
    try:
        server.says(FULL)
        assert run("status", "--unix", path).returncode == 0
    finally:
        server.close()
        os.unlink(path)
    done = run("status", "--unix", path)
    assert done.returncode == 1 and f"unix:{path}" in done.stderr


@pytest.mark.parametrize("args", [
    ("--port", "0"), ("--port", "65536"), ("--port", "x"), ("--port",), ("--port=",), ("--prot", "1"), ("word",),
    ("--unix", "/" + "x" * 200), ("--host", "h" * 300), ("--admin-key", "a b"), ("--admin-key", "a\nX: y"), ("--json=1",)])
def test_wrong_usage(args):
    for command in ("status", "models"):
        done = run(command, *args)
        assert done.returncode == 2 and f"usage: kvwarden {command}" in done.stderr, done


def test_help():
    for command in ("status", "models"):
        done = run(command, "--help")
        assert done.returncode == 0 and f"usage: kvwarden {command}" in done.stdout
