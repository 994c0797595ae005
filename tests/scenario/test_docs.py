# SPDX-License-Identifier: MIT
"""The pages say what the program does: every name of the tables stands in them, and their examples are taken."""
import re

import pytest

from support.program import TOP, run

DOCS = sorted((TOP / "docs").glob("*.md"))
PAGES = [TOP / "README.md", *DOCS]
LABELS = {"GLOBAL": [], "MODEL": ["model"], "MODEL_ENGINE": ["model", "engine"], "TENANT": ["tenant"],
          "MODEL_TENANT": ["model", "tenant"], "MODEL_TENANT_ENGINE": ["model", "engine", "tenant"]}


def page(name):
    return (TOP / "docs" / name).read_text()


def table(path, row):
    found = re.findall(row, (TOP / path).read_text(), re.M)
    assert found, f"no row of {path} was understood"
    return found


def test_every_metric_stands_in_its_page_with_type_and_labels():
    fixed = dict(table("src/metrics/labels.def", r'^L\((\w+), "(\w*)",'))
    rows = {m[0]: m[1:] for m in re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", page("metrics.md"), re.M)}
    known = table("src/metrics/metrics.def", r'^X\(\w+, "(\w+)", (\w+), (\w+), (\w+),')
    for name, kind, scope, label in known:
        assert name in rows, f"docs/metrics.md lacks {name}"
        labels = LABELS[scope] + ([fixed[label]] if fixed[label] else [])
        assert (rows[name][0], re.findall(r"\w+", rows[name][1])) == (kind.lower(), labels), name
    assert len(rows) == len(known), set(rows) - {k[0] for k in known}


@pytest.mark.parametrize("value", [text for _, _, text in table("src/metrics/labels.def", r'V\((\w+), (\w+), "(\w+)"\)')])
def test_every_value_of_a_label_stands_in_the_page_of_metrics(value):
    assert f"`{value}`" in page("metrics.md")


def test_every_error_stands_in_its_page():
    rows = set(re.findall(r"^\| (\d+) \| `(\w+)` \| `(\w+)` \|", page("wire.md"), re.M))
    known = {(status, code, kind) for status, kind, code in table("src/wire/errors.def", r'^X\(\w+, (\d+), "(\w+)", "(\w+)",')}
    assert rows == known


@pytest.mark.parametrize("path", table("src/router/routes.def", r'^(?:NEVER|RELAY|PAGE)\("([^"]+)"'))
def test_every_endpoint_stands_in_its_page(path):
    assert f"`{path}`" in page("wire.md") or f"POST {path}`" in page("wire.md") or f"GET {path}`" in page("wire.md")


def test_every_limit_of_http_and_time_out_stands_with_its_default():
    for section, name in (("HTTP", "wire.md"), ("TIMEOUTS", "serve.md")):
        for key, default in table("src/config/keys.def", rf'^K\({section}, (\w+), \w+, [\w.]+, [^"]*"([^"]*)"'):
            row = re.search(rf"^\| `{key}` \| ([^|]*) \|", page(name), re.M)
            assert row, f"docs/{name} lacks {key}"
            number, *unit = row[1].replace(",", "").split()
            scale = {"KiB": 1 << 10, "MiB": 1 << 20}[unit[0]] if unit else 1
            assert (0 if number == "off" else float(number) * scale) == float(default), key


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_links_to_files_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
        assert (path.parent / link).exists(), link


def test_every_page_is_linked_in_the_readme():
    readme = (TOP / "README.md").read_text()
    assert [p.name for p in DOCS if f"](docs/{p.name})" not in readme] == []


EXAMPLES = [(p.name, n, text) for p in PAGES for n, text in enumerate(re.findall(r"```yaml\n(.*?)```", p.read_text(), re.S))
            if "scrape_configs" not in text]


@pytest.mark.parametrize("name, number, text", EXAMPLES, ids=[f"{n}-{i}" for n, i, _ in EXAMPLES])
def test_an_example_of_a_configuration_is_taken(name, number, text, tmp_path):
    if "models:" not in text:
        text += "models:\n  - { model_id: m, engine: openai, endpoint: \"http://127.0.0.1:9\" }\n"
    path = tmp_path / "example.yaml"
    path.write_text(text)
    done = run("config", "check", path, env={"NIGHTLY_KEY": "sk-nightly"})
    assert done.returncode == 0, done.stdout + done.stderr
