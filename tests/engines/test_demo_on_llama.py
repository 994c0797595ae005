# SPDX-License-Identifier: MIT
"""The demo's arms on a real engine: a sane table, and nothing called simulated."""
import json

from support.program import run


def test_a_flood_saturates_a_real_engine_and_the_quiet_tenant_waits(llama, tmp_path):
    file = tmp_path / "report.json"
    done = run("demo", "--engine-url", llama, "--arms", "solo,direct", "--duration", "4", "--json", file, timeout=120)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "SIMULATED" not in done.stdout
    report = json.loads(file.read_text())
    assert report["simulated"] is False
    solo, direct = report["arms"]
    assert direct["saturated"], "the flood was too small"
    assert direct["tokens_per_s"] > solo["tokens_per_s"] > 0
    quiet, flooder = direct["tenants"]
    assert flooder["requests"]["ok"] > 0 and flooder["requests"]["failed"] == 0
    assert quiet["requests"]["failed"] == 0
    assert quiet["ttft_ms"]["p50"] is None or quiet["ttft_ms"]["p50"] > solo["tenants"][0]["ttft_ms"]["p50"]
