"""Secrets are known by their values, wherever they come from and however they are written."""

from __future__ import annotations

import dataclasses

import pytest

from runbook.errors import PlanError
from runbook.plan.plan import Command, Health, Plan, Window
from runbook.plan.read import parse_plan
from runbook.plan.secrets import (
    Secrets,
    hide_in_addresses,
    of_command,
    of_environment,
    of_window,
    without_secrets,
)
from runbook.run.secret_plan import same_plan

HIDDEN = (
    (("deploy", "--password=hunter2"), "hunter2"),
    (("deploy", "--password", "hunter2"), "hunter2"),
    (("deploy", "-p", "hunter2"), "hunter2"),
    (("mysql", "-uroot", "-phunter"), "hunter"),
    (("env", "STRIPE_SK=abcdef", "deploy"), "abcdef"),
    (("env", "WHATEVER=abcdef", "deploy"), "abcdef"),
    (("docker", "run", "-e", "DBPASS=abcdef", "image"), "abcdef"),
    (("curl", "-u", "me:abcdef", "https://x/"), "abcdef"),
    (("curl", "-H", "Authorization: Bearer abcdef"), "abcdef"),
    (("curl", "--header", "X-Api-Key: abcdef"), "abcdef"),
    (("curl", "https://me:abcdef@host/"), "abcdef"),
    (("curl", "https://me:ab@cdef@host/"), "ab@cdef"),
    (("curl", "https://host/?a=1&access_token=abcdef"), "abcdef"),
    (("psql", "postgres://me:ab%40cdef@host/db"), "ab@cdef"),
    (("deploy", "sk_live_4242"), "sk_live_4242"),
    (("deploy", "--with", "Zm9vYmFyMTIzNDU2Nzg5QUJD"), "Zm9vYmFyMTIzNDU2Nzg5QUJD"),
)

SHELLS = (
    ("DBPASS='a b;c' ./deploy.sh", "a b;c"),
    ("cd /srv && STRIPE_SK=abcdef; ./deploy.sh", "abcdef"),
    ('sh -c "./deploy.sh --token abcdef"', "abcdef"),
    ("./deploy.sh --api-key=abcdef > /dev/null 2>&1", "abcdef"),
    ("an open ' quote --password=abcdef", "abcdef"),
)

HARMLESS = (
    ("mkdir", "-p", "build"),
    ("find", ".", "-print"),
    ("ssh", "-p", "2222", "host"),
    ("touch", "/tmp/x/maintenance"),
    ("deploy", "--token-file", "/etc/token"),
    ("deploy", "--mode=fast", "v2"),
    ("env", "NODE_ENV=production", "deploy"),
    ("env", "PORT=8080", "CONFIG=/etc/app.toml", "deploy"),
    ("docker", "login", "--password-stdin"),
    ("git", "checkout", "2f1d7c0e9b8a7f6e5d4c3b2a19080706f5e4d3c2"),
)


@pytest.mark.parametrize(("words", "secret"), HIDDEN)
def test_arguments_that_look_like_secrets(words: tuple[str, ...], secret: str) -> None:
    command = Command(words)
    assert secret in of_command(command).values
    plan = Plan(window=Window(deploy=command, secrets=()))
    kept = without_secrets(plan)
    assert secret not in repr(kept)
    assert same_plan(kept, plan)
    assert not same_plan(kept, dataclasses.replace(plan, window=Window()))


@pytest.mark.parametrize(("line", "secret"), SHELLS)
def test_secrets_in_a_line_for_the_shell(line: str, secret: str) -> None:
    assert secret in of_command(Command(shell=line)).values
    assert secret not in repr(without_secrets(Plan(window=Window(smoke=Command(shell=line)))))


@pytest.mark.parametrize("words", HARMLESS)
def test_what_everybody_may_read(words: tuple[str, ...]) -> None:
    assert of_command(Command(words)).values == frozenset()


def test_values_of_the_environment_whatever_their_names() -> None:
    environment = {
        "DBPASS": "hunter2",
        "STRIPE_SK": "4242",
        "X": "correct horse",
        "HOME": "/home/somebody",
        "PATH": "/bin:/usr/bin",
        "APP_DIR": "/srv/app",
        "WORKERS": "16000",
        "APP_ENV": "staging",
        "APP_URL": "https://app.example/",
        "SHORT": "ab",
    }
    assert of_environment(environment).values == {"hunter2", "4242", "correct horse"}
    assert "ab" in of_environment(environment, ["SHORT", "MISSING"]).values


def test_the_plan_names_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_DIR", "/srv/app")
    plan = parse_plan('[window]\nsecrets = ["APP_DIR"]\n')
    assert of_window(plan.window).hide("in /srv/app") == "in ***"


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("a b&c", "https://x/?q=a%20b%26c or a+b%26c"),
        ('say "so"', r'{"x": "say \"so\""}'),
        ("<tag>", "&lt;tag&gt;"),
        ("it's it", "+ echo 'it'\\''s it'"),
        ("first line\nsecond line", "says: second line"),
        ("umlaut-ü", r"umlaut-\u00fc"),
        ("me:hunter2!", "Basic bWU6aHVudGVyMiE="),
    ],
)
def test_however_it_is_quoted(secret: str, text: str) -> None:
    hidden = Secrets(frozenset({secret})).hide(text)
    assert "***" in hidden
    for part in ("b%26c", "so", "tag", "s it", "second", "umlaut", "bWU6"):
        assert part not in hidden


def test_longer_secrets_go_first_and_a_mask_is_not_masked() -> None:
    assert Secrets(frozenset({"abcd", "abcdefgh"})).hide("abcdefgh abcd") == "*** ***"


def test_addresses() -> None:
    plan = Plan(window=Window(health=Health("https://me:abcdef@h/x?key=zzzz&n=1")))
    assert of_window(plan.window, {}).values == {"abcdef", "zzzz"}
    kept = without_secrets(plan)
    assert kept.window.health == Health("https://***@h/x?key=***&n=1")
    assert same_plan(kept, plan)
    assert hide_in_addresses("no address") == "no address"


def test_the_plan_s_own_errors_quote_no_password() -> None:
    with pytest.raises(PlanError) as error:
        parse_plan('[window.health]\nurl = "ftp://me:hunter2@host/"\n')
    assert "hunter2" not in str(error.value)
    with pytest.raises(PlanError, match="too deeply"):
        parse_plan("x = " + "[" * 5000 + "]" * 5000)
