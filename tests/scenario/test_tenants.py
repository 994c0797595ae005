# SPDX-License-Identifier: MIT
"""Who is asking: keys, names by header, inheritance of the contract, and that names are bounded."""
import hashlib
import json

import pytest

from support.chat import CHAT, body, headers, metric, metrics, post, status
from support.program import run
from support.wire import ask

QUIET, NOISY, ADMIN = "sk-quiet-0123456789abcdef", "sk-noisy-0123456789abcdef", "sk-admin-0123456789abcdef"
SHA = {"quiet": "sha256:" + hashlib.sha256(QUIET.encode()).hexdigest()}
TENANTS = [{"id": "quiet", "api_keys": [SHA["quiet"]]}, {"id": "noisy", "api_keys": [NOISY]}]


def tenant_of(program):
    """Whose the last finished request was."""
    return [d for d in program.decisions() if d["event"] == "finish"][-1]["tenant"]


# auth ------------------------------------------------------------------------------------------------------------

def test_a_configured_key_names_its_tenant(engine, gateway):
    g = gateway(engine, tenants=TENANTS)
    assert post(g.port, key=QUIET).status == 200
    assert post(g.port, key=NOISY).status == 200
    assert set(t for t, s in status(g.port)["tenants"].items() if s["usage"]["request_count"]) == {"quiet", "noisy"}


@pytest.mark.parametrize("name", ["x-api-key", "api-key", "x-goog-api-key", "Authorization"])
def test_a_key_is_taken_from_the_header_that_the_sdk_uses(engine, gateway, name):
    g = gateway(engine, tenants=TENANTS)
    value = f"bearer  {QUIET} " if name == "Authorization" else QUIET
    assert post(g.port, more_headers={name: value}).status == 200
    assert status(g.port)["tenants"]["quiet"]["usage"]["request_count"] == 1
    assert [n for n, v in engine.requests[0].headers if QUIET in v] == []


@pytest.mark.parametrize("key", [None, "sk-wrong-0123456789abcdef", SHA["quiet"], SHA["quiet"][7:], "", QUIET + "x"])
def test_under_keys_an_unknown_or_missing_key_is_401(engine, gateway, key):
    g = gateway(engine, tenants=TENANTS)
    r = post(g.port, key=key)
    assert (r.status, r.error()["code"], r.header("x-should-retry")) == (401, "invalid_api_key", "false")
    assert engine.requests == []
    assert metric(g.port, "kvwarden_rejects_total", reason="unauthorized") == 1


def test_401_comes_before_the_body_is_read(engine, gateway):
    g = gateway(engine, tenants=TENANTS)
    r = ask(g.port, "POST", CHAT, {**headers(), "Expect": "100-continue"}, None)
    assert r.status == 401


def test_under_keys_the_tenant_header_is_not_believed(engine, gateway):
    g = gateway(engine, tenants=TENANTS)
    assert post(g.port, tenant="noisy").status == 401
    assert post(g.port, tenant="noisy", key=QUIET).status == 200
    assert status(g.port)["tenants"]["noisy"]["usage"]["request_count"] == 0


def test_a_trusted_peer_names_tenants_without_a_key(engine, gateway):
    g = gateway(engine, tenants=TENANTS, trusted_peers=["local"])
    assert post(g.port, tenant="noisy").status == 200
    assert status(g.port)["tenants"]["noisy"]["usage"]["request_count"] == 1
    assert post(g.port).status == 401
    assert post(g.port, tenant="noisy", key=QUIET).status == 200, "the key counts before the header"
    assert status(g.port)["tenants"]["quiet"]["usage"]["request_count"] == 1


def test_a_trusted_peer_can_be_given_by_address(engine, gateway):
    assert post(gateway(engine, tenants=TENANTS, trusted_peers=["127.0.0.1"]).port, tenant="noisy").status == 200
    assert post(gateway(engine, tenants=TENANTS, trusted_peers=["127.0.0.2"]).port, tenant="noisy").status == 401


def test_allow_anonymous_makes_who_has_no_known_key_the_default_tenant(engine, gateway):
    g = gateway(engine, tenants=TENANTS, allow_anonymous=True)
    assert post(g.port).status == 200
    assert post(g.port, key="sk-wrong-0123456789abcdef").status == 200
    assert post(g.port, key=QUIET).status == 200
    tenants = status(g.port)["tenants"]
    assert tenants["default"]["usage"]["request_count"] == 2
    assert tenants["quiet"]["usage"]["request_count"] == 1


def test_auth_none_ignores_authorization_and_believes_the_header(engine, gateway):
    g = gateway(engine, auth="none", tenants=TENANTS)
    assert post(g.port, tenant="alice", key=QUIET).status == 200
    assert post(g.port, key=QUIET).status == 200
    tenants = status(g.port)["tenants"]
    assert tenants["alice"]["usage"]["request_count"] == 1
    assert tenants["default"]["usage"]["request_count"] == 1
    assert tenants["quiet"]["usage"]["request_count"] == 0
    assert "ignores the api_keys" in g.log()


def test_auth_keys_without_any_key_refuses_everybody_and_says_so(engine, gateway):
    g = gateway(engine, auth="keys")
    assert post(g.port).status == 401
    assert "refuses everybody" in g.log()


@pytest.mark.parametrize("name", ["X-Tenant-ID", "x-llm-d-inference-fairness-id", "x-gateway-inference-fairness-id"])
def test_each_name_of_the_tenant_header_works_and_never_goes_to_the_engine(engine, gateway, name):
    g = gateway(engine)
    assert post(g.port, more_headers={name: "alice"}).status == 200
    assert tenant_of(g) == "alice"
    assert engine.requests[0].header(name) is None


@pytest.mark.parametrize("bad", ["", "a b", "a" * 129, "t\u00e4nzer"])
def test_a_tenant_name_that_is_none_is_400(engine, gateway, bad):
    g = gateway(engine)
    r = post(g.port, more_headers={"X-Tenant-ID": bad})
    assert (r.status, r.error()["code"]) == (400, "invalid_tenant")
    assert post(g.port, tenant="a" * 128).status == 200


def test_a_key_from_the_environment(engine, gateway):
    g = gateway(engine, tenants=[{"id": "quiet", "api_keys": [{"env": "QUIET_KEY", "name": "ci", "weight": 2}]}],
                env={"QUIET_KEY": QUIET})
    assert post(g.port, key=QUIET).status == 200
    assert post(g.port, key="QUIET_KEY").status == 401


def test_a_key_as_hash_with_a_name(engine, gateway):
    g = gateway(engine, tenants=[{"id": "quiet", "api_keys": [{"hash": SHA["quiet"], "name": "laptop"}, NOISY]}])
    assert post(g.port, key=QUIET).status == 200
    assert post(g.port, key=NOISY).status == 200
    assert status(g.port)["tenants"]["quiet"]["usage"]["request_count"] == 2


# contracts -------------------------------------------------------------------------------------------------------

def budget(g, tenant):
    return status(g.port)["tenants"][tenant]["budget"]


def test_fields_are_inherited_one_by_one(engine, gateway):
    g = gateway(engine, tenant_defaults={"rate_limit_rpm": 600, "rate_limit_burst": 10, "priority": 3},
                tenants=[{"id": "a", "rate_limit_rpm": 6000}, {"id": "b", "priority": 5, "max_concurrent_requests": 7}])
    assert budget(g, "a") == {"max_concurrent_requests": None, "rate_limit_rpm": 6000, "rate_limit_burst": 10,
                              "rate_limit_tpm": None, "max_gpu_memory_gb": 40, "priority": 3}
    b = budget(g, "b")
    assert (b["rate_limit_rpm"], b["rate_limit_burst"], b["priority"], b["max_concurrent_requests"]) == (600, 10, 5, 7)


def test_an_exact_id_beats_the_longest_glob_and_that_beats_a_shorter_one(engine, gateway):
    g = gateway(engine, tenants=[{"id": "team-*", "rate_limit_rpm": 1}, {"id": "*", "rate_limit_rpm": 2},
                                 {"id": "team-a*", "rate_limit_rpm": 3}, {"id": "team-abc", "rate_limit_rpm": 4},
                                 {"id": "team-?", "rate_limit_rpm": 5}])
    for name in ("team-abc", "team-abd", "team-x", "team-yy", "other"):
        assert post(g.port, tenant=name).status == 200
    assert {t: budget(g, t)["rate_limit_rpm"] for t in ("team-abc", "team-abd", "team-yy", "other")} == {
        "team-abc": 4, "team-abd": 3, "team-yy": 1, "other": 2}
    assert budget(g, "team-x")["rate_limit_rpm"] in (1, 5)  # both globs are as long


def test_each_name_that_a_glob_fits_is_its_own_tenant(engine, gateway):
    g = gateway(engine, tenants=[{"id": "team-*", "rate_limit_rpm": 1, "rate_limit_burst": 1}])
    assert post(g.port, tenant="team-a").status == 200
    assert post(g.port, tenant="team-a").status == 429
    assert post(g.port, tenant="team-b").status == 200
    assert post(g.port, tenant="else").status == 200
    assert post(g.port, tenant="else").status == 200


# bounds ----------------------------------------------------------------------------------------------------------

def test_rotating_names_share_a_bounded_table_and_bounded_labels(engine, gateway):
    """Every request another name: state and labels are capped, the configured tenant keeps its own."""
    g = gateway(engine, tenants=[{"id": "quiet", "rate_limit_rpm": 60, "rate_limit_burst": 1}])
    assert post(g.port, tenant="quiet").status == 200
    for i in range(1300):
        assert post(g.port, tenant=f"rotating-{i}").status == 200
    assert post(g.port, tenant="quiet").status == 429, "what the configured tenant has used is not forgotten"
    s = status(g.port)
    assert len(s["tenants"]) + s["tenants_not_shown"] <= 1003
    names = {dict(p.split("=", 1) for p in pairs)["tenant"] for pairs in metrics(g.port)["kvwarden_tenant_requests_total"]}
    assert len(names) <= 1001 and "_other" in names
    assert metric(g.port, "kvwarden_tenant_requests_total", tenant="_other") >= 300
    assert metric(g.port, "kvwarden_tenant_requests_total") == 1301


def test_the_shared_tenant_can_be_named_without_a_series_that_stands_twice(engine, gateway):
    g = gateway(engine)
    assert post(g.port, tenant="_other").status == 200
    for i in range(1000):
        assert post(g.port, tenant=f"n{i}").status == 200
    lines = [line.rpartition(" ")[0] for line in ask(g.port, "GET", "/metrics").body.decode().splitlines()
             if not line.startswith("#")]
    assert len(lines) == len(set(lines)), [line for line in set(lines) if lines.count(line) > 1][:5]


def test_many_configured_tenants_load_fast_and_each_has_its_own_state(engine, gateway):
    tenants = [{"id": f"customer-{i}", "rate_limit_rpm": 1, "rate_limit_burst": 1} for i in range(20000)]
    g = gateway(engine, tenants=tenants + [{"id": "team-*"}])
    for i in (0, 19999):
        assert post(g.port, tenant=f"customer-{i}").status == 200
        assert post(g.port, tenant=f"customer-{i}").status == 429


# secrets ---------------------------------------------------------------------------------------------------------

def test_keys_stand_in_no_log_and_on_no_page(engine, gateway, tmp_path):
    g = gateway(engine, tenants=TENANTS, admin_key=ADMIN, access_log=str(tmp_path / "access.jsonl"), log_level="debug",
                model={"endpoint_api_key": "sk-engine-0123456789"})
    assert post(g.port, key=QUIET).status == 200
    assert post(g.port, key=NOISY).status == 200
    assert post(g.port, key="sk-unknown-0123456789abcdef").status == 401
    pages = "".join(ask(g.port, "GET", page, {"Authorization": f"Bearer {ADMIN}"}).body.decode()
                    for page in ("/health", "/ready", "/metrics", "/kvwarden/status", "/v1/models"))
    shown = run("config", "show", g.config_path).stdout
    assert g.stop() == 0
    everything = pages + shown + g.log() + json.dumps(g.decisions()) + (tmp_path / "access.jsonl").read_text()
    for secret in (QUIET, NOISY, ADMIN, "sk-engine-0123456789", "sk-unknown-0123456789abcdef"):
        assert secret not in everything


@pytest.mark.parametrize("mistake", [
    "tenants:\n  - {id: a, api_keys: [sk-plain-0123456789], wieght: 1}\n",
    "tenants:\n  - id: a\n    api_keys: [sk-plain-0123456789, sk-plain-0123456789]\n",
    "tenants:\n  - id: a\n    api_keys: [\"sk-plain-0123456789]\n",
    "tenants:\n  - id: 'a-*'\n    api_keys: [sk-plain-0123456789]\n",
    "tenants:\n  - id: a\n    api_keys: [{hash: sk-plain-0123456789}]\n",
    "tenants:\n  - id: a\n    api_keys: {x: sk-plain-0123456789}\n",
    "tenants:\n  - id: a\n    api_keys:\n      - sk-plain-0123456789: 1\n",
    "tenants:\n  - id: a\n    api_keys:\n    - {x: sk-plain-0123456789}\n",
    "tenants:\n  - id: a\n    api_keys:\n      - name: x\n\n        env: sk-plain-0123456789\n",
    "tenants:\n  - id: a\n    api_keys: [\n      {\n        sk-plain-0123456789}]\n",
    "admin_key: [sk-plain-0123456789]\n",
    "admin_keyy: sk-plain-0123456789\n",
    "models: [{model_id: m, endpoint: 'ftp://x', endpoint_api_key: sk-plain-0123456789}]\n",
    "tenants: [{id: a, api_keys: [sk-plain-0123456789]}, {id: a}]\n",
])
def test_a_message_about_a_mistake_never_shows_a_key(tmp_path, mistake):
    path = tmp_path / "c.yaml"
    path.write_text(mistake)
    for command in (["serve", "--config", path], ["config", "check", path]):
        done = run(*command)
        assert done.returncode == 1
        assert "c.yaml" in done.stderr + done.stdout
        assert "sk-plain-0123456789" not in done.stdout + done.stderr


# bodies ----------------------------------------------------------------------------------------------------------

def test_the_form_type_of_curl_is_taken_as_json(engine, gateway):
    g = gateway(engine)
    r = ask(g.port, "POST", CHAT, {"Content-Type": "application/x-www-form-urlencoded"}, body())
    assert r.status == 200
    assert engine.requests[0].header("content-type") == "application/json"
