# SPDX-License-Identifier: MIT
"""kvwarden man: the pages of docs/, as they are, from a program that needs no checkout."""
import os
import pathlib
import shutil
import subprocess

import pytest

from support.program import TOP, binary, run

PAGES = sorted((TOP / "docs").glob("*.md"))


@pytest.mark.parametrize("args", [(), ("topics",)])
def test_without_a_topic_every_page_is_listed_with_its_title(args):
    done = run("man", *args)
    assert done.returncode == 0 and not done.stderr
    listed = [line.strip().split(None, 1) for line in done.stdout.splitlines() if line.startswith("  ")]
    assert listed == [[p.stem, p.read_text().splitlines()[0].removeprefix("# ")] for p in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_a_page_is_printed_as_it_stands_in_docs(page):
    done = run("man", page.stem)
    assert done.returncode == 0 and done.stdout == page.read_text()


@pytest.mark.parametrize("topic, hint", [("tenant", "tenants"), ("metric", "metrics"), ("Serve", "serve"), ("xyzzyx", None)])
def test_an_unknown_topic_is_1_and_names_the_nearest(topic, hint):
    done = run("man", topic)
    assert done.returncode == 1 and not done.stdout and topic in done.stderr
    assert (f"did you mean '{hint}'" in done.stderr) if hint else "did you mean" not in done.stderr


@pytest.mark.parametrize("args, code", [(("serve", "wire"), 2), (("--frobnicate",), 2), (("--help",), 0)])
def test_wrong_usage_is_2_and_says_how(args, code):
    done = run("man", *args)
    assert done.returncode == code and "usage: kvwarden man" in done.stdout + done.stderr


def test_it_does_not_need_the_folder_that_it_was_built_in(tmp_path):
    there = shutil.copy(binary(), tmp_path / "kvwarden")
    done = subprocess.run([there, "man", "testing"], cwd="/", env={}, stdout=subprocess.PIPE)
    assert done.returncode == 0 and done.stdout == pathlib.Path(TOP / "docs/testing.md").read_bytes()


def test_output_that_cannot_be_written_is_an_error():
    with open("/dev/full", "wb") as full:
        assert subprocess.run([binary(), "man", "testing"], stdout=full, env=dict(os.environ)).returncode == 1
