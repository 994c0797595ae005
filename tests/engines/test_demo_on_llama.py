# SPDX-License-Identifier: MIT
"""The demo's arms on a real engine: a sane table, and nothing called simulated."""
import json

import pytest

from support.program import run


@pytest.mark.load
def test_a_flood_saturates_a_real_engine_and_the_window_spares_the_quiet_tenant(llama, tmp_path):
    file = tmp_path / "report.json"
    done = run("demo", "--engine-url", llama, "--arms", "solo,direct,fifo,window", "--duration", "4", "--json", file, timeout=180)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "SIMULATED" not in done.stdout
    report = json.loads(file.read_text())
    assert report["simulated"] is False
    arms = {arm["name"]: arm for arm in report["arms"]}
    assert list(arms) == ["solo", "direct", "fifo", "window"]
    assert arms["direct"]["saturated"], "the flood was too small"
    for name, arm in arms.items():
        for tenant in arm["tenants"]:
            assert tenant["requests"]["failed"] == 0 and tenant["requests"]["refused"] == 0, name
    never = float("inf")  # a quantile that falls on a request which was not answered
    solo, direct, fifo, window = (arm["tenants"][0]["ttft_ms"]["p50"] or never for arm in arms.values())
    assert solo < min(direct, fifo)
    assert window < max(direct, fifo), "the window did not help"
    assert arms["direct"]["tokens_per_s"] > arms["solo"]["tokens_per_s"] > 0
    for name in ("fifo", "window"):
        assert arms[name]["share_of_direct"] > 0.4, "the gateway leaves the engine idle"
