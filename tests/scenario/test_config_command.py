# SPDX-License-Identifier: MIT
"""`kvwarden config` and the words around it, as a user meets them on a terminal."""
import json

import pytest

from support.program import TOP, run

SHOWN = """\
host: 127.0.0.1
port: 8000
models:
  - model_id: m
    engine: openai            # an OpenAI-compatible server that runs already
    endpoint: http://127.0.0.1:9000            # or unix:/path; a trailing /v1 is not doubled
    endpoint_api_key: "${ENGINE_KEY:-}"        # ours towards the engine; the client's own key never goes upstream
tenant_defaults:
  rate_limit_rpm: 600
  rate_limit_burst: 10
organisations:
  - {id: lab, weight: 2}
tenants:
  - id: quiet
    organisation: lab
    weight: 1
    rate_limit_rpm: 6000
    api_keys: ["sha256:54f4e673f2b10d68a1fa98fb02224ef953f6bff5ef2ad358a6f61c4795b07239"]
  - id: "team-*"              # each name that matches is its own tenant
    rate_limit_tpm: 100000
scheduling: fair              # fair | window | fifo | drr
"""


@pytest.fixture
def check(tmp_path):
    """check(TEXT) -> the finished `config check` on a file of that text; .path is the file's."""
    path = tmp_path / "kvwarden.yaml"

    def factory(text):
        path.write_text(text)
        done = run("config", "check", path)
        done.path = path
        return done

    return factory


def test_the_file_of_the_documentation_is_good(check):
    done = check(SHOWN)
    assert done.returncode == 0, done.stderr


# What is replaced in the good file, by what; the line of the error; what the message must name.
WRONG = {
    "unknown key": ("scheduling: fair", "schedulng: fair", 21, ["schedulng", "scheduling"]),
    "unknown key in a tenant": ("    weight: 1\n", "    wieght: 1\n", 16, ["wieght", "weight"]),
    "duplicate key": ("port: 8000", "host: 127.0.0.1", 2, ["host"]),
    "duplicate key in a list item": ("    weight: 1\n", "    id: other\n", 16, ["id"]),
    "wrong type": ("port: 8000", "port: many", 2, ["port"]),
    "a list for a scalar": ("port: 8000", "port: [8000]", 2, ["port"]),
    "out of range": ("port: 8000", "port: 65536", 2, ["65535"]),
    "negative rate": ("rate_limit_rpm: 6000", "rate_limit_rpm: -1", 17, ["rate_limit_rpm"]),
    "no such policy": ("scheduling: fair", "scheduling: fare", 21, ["fare", "fair"]),
    "no such engine": ("engine: openai", "engine: opneai", 5, ["opneai", "openai"]),
    "bad endpoint": ("http://127.0.0.1:9000", "ftp://127.0.0.1:9000", 6, ["endpoint"]),
    "not YAML": ("scheduling: fair", "scheduling: [fair", None, []),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_shown_where_it_stands(check, name):
    old, new, line, words = WRONG[name]
    assert old in SHOWN
    done = check(SHOWN.replace(old, new, 1))
    assert done.returncode == 1
    assert f"{done.path}:{line or ''}" in done.stderr, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    if line:
        assert new.strip().split("\n")[0].split("#")[0].strip()[:12] in done.stderr, "no excerpt"


def test_a_mistake_in_a_secret_is_placed_but_not_repeated(check):
    done = check(SHOWN.replace("sha256:54f4", "sha256:54g4"))
    assert done.returncode == 1
    assert f"{done.path}:18:" in done.stderr and "SHA-256" in done.stderr
    assert "54g4" not in done.stderr


SHIPPED = sorted(str(p.relative_to(TOP)) for p in (TOP / "configs").rglob("*.yaml"))
ORIGINALS = """quickstart_fairness gate0_multi_model gate1_admission gate1_admission_off gate2_fairness_fifo gate2_fairness_drr
gate2_fairness_drr_cap16 gate2_fairness_drr_ratelimit gate2_fairness_token_bucket gate2_fairness_token_bucket_n6
gate2_fairness_fifo_token_bucket gate2_multi_tenant gate2_round_robin gate21_fairness_n8 gate21b_fifo_n8
gate21b_tokenbucket_n8 gate22_fifo_n8 gate23_fairness_70b_tp4 gate24_fairness_mixtral_tp2 gate3_kv_eviction
models/llama31_8b models/llama4_scout docker/quickstart-compose t2_cache_pressure_shadow""".split()


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_file_is_good(name):
    done = run("config", "check", TOP / name)
    assert done.returncode == 0 and done.stderr == "", done.stderr


def test_each_file_of_the_original_has_its_like():
    assert {f"configs/{name}.yaml" for name in ORIGINALS} <= set(SHIPPED)


@pytest.mark.parametrize("name, section", [("gate3_kv_eviction", "cache_manager"),
                                           ("t2_cache_pressure_shadow", "cache_pressure_admission")])
def test_a_section_without_effect_is_taken_whole_with_one_word(name, section):
    done = run("config", "check", TOP / f"configs/{name}.yaml")
    assert done.stdout.count(f"notice: {section}: accepted whole") == 1


def test_a_file_without_a_word_is_one_of_defaults(check):
    for text in ("", "\n", "# later\n"):
        done = check(text)
        assert done.returncode == 0 and "no model is configured" in done.stdout, (text, done)


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    done = run("config", "check", tmp_path / "none.yaml")
    assert done.returncode == 1 and "none.yaml" in done.stderr


def test_show_prints_defaults_and_hides_secrets(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(SHOWN.replace("${ENGINE_KEY:-}", "sk-engine-secret"))
    done = run("config", "show", path)
    assert done.returncode == 0, done.stderr
    assert "head_commit_after_s: 15" in done.stdout
    assert "sk-engine-secret" not in done.stdout


def test_what_show_prints_can_be_checked_again(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("models:\n  - {model_id: m, engine: openai, endpoint: 'http://127.0.0.1:9000'}\n")
    shown = run("config", "show", path)
    path.write_text(shown.stdout)
    again = run("config", "check", path)
    assert again.returncode == 0, again.stderr


def test_the_schema_is_json_and_knows_the_keys():
    done = run("config", "schema", "--json")
    assert done.returncode == 0
    assert "rate_limit_tpm" in json.dumps(json.loads(done.stdout))


def test_words_of_the_program():
    assert run("--version").stdout.startswith("kvwarden ")
    assert run("--help").returncode == 0
    nothing = run()
    assert nothing.returncode == 1 and "commands" in nothing.stdout + nothing.stderr
    unknown = run("confg")
    assert unknown.returncode == 2 and "config" in unknown.stderr


@pytest.mark.parametrize("key", ["sim_preset", "sim_host"])
@pytest.mark.parametrize("command", [("config", "check"), ("serve", "--config")])
def test_a_preset_that_the_simulator_does_not_have_is_named(tmp_path, key, command):
    path = tmp_path / "f.yaml"
    path.write_text("models: [{model_id: lab/m, engine: sim, %s: a1000}]" % key)
    done = run(*command, path)
    assert done.returncode == 1
    assert "lab/m" in done.stderr and key in done.stderr and "a1000" in done.stderr and "sim presets" in done.stderr
