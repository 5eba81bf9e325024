"""A window whose commands, addresses and environment hold secrets: nothing that stays shows one."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from runbook.archive.seal import seal
from runbook.errors import PlanError, RunFolderError, WindowFailed
from runbook.run.folder import Run
from runbook.stages.monitor import Watching, monitor
from runbook.stages.open_run import open_run
from runbook.window import steps
from runbook.window.store import read_step
from tests.support.windows import Direct, Site, Window, states

SECRETS = ("hunter2", "sk_live_4242", "p4ssw0rd", "zzz-key", "from-the-environment", "n4med")


def settings(site: Site) -> dict[str, object]:
    """The site's own settings, with a secret of each kind; every command prints what it has."""
    known = site.settings()
    address = site.url.replace("http://", "http://me:p4ssw0rd@")
    known["window"] = {"quiet_seconds": 0.3, "secrets": ["APP_MODE"]}
    known["window.maintenance_on"] = {
        "command": ["sh", "-c", f'echo "$0 $DBPASS $APP_MODE"; touch {site.maintenance}', "hunter2"]
    }
    known["window.deploy"] = {
        "shell": f"STRIPE_SK=sk_live_4242 env | grep -v ^PATH; echo --password=hunter2;"
        f" echo new > '{site.code}'; echo ERROR hunter2 and $DBPASS >> {site.log}"
    }
    known["window.smoke"] = {
        "command": ["sh", "-c", 'echo "$1" >&2', "smoke", "--password=hunter2"]
    }
    known["window.health"] |= {"url": f"{address}/health?key=zzz-key"}  # type: ignore[operator]
    return known


def shown(folder: Path) -> dict[str, str]:
    """Whatever of the secrets is in a file of the folder or of its archive."""
    archive = seal(folder).path
    with zipfile.ZipFile(archive) as container:
        texts = {name: container.read(name) for name in container.namelist()}
        texts["comment"] = container.comment
    texts |= {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    archive.unlink()
    return {
        name: secret
        for name, text in texts.items()
        for secret in SECRETS
        if secret.encode() in text
    }


def test_no_secret_stays(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DBPASS", "from-the-environment")
    monkeypatch.setenv("APP_MODE", "n4med")
    window = Window.of(site, settings(site))
    window.go(executor := Direct())
    assert states(window.run) == ("migrated", "new", "off")
    with site.log.open("a") as log:
        log.write("ERROR for hunter2 of n4med\n")
    record = monitor(window.run, Watching(0.2, 0.1))
    assert record.log_lines == 1
    executor(window.run, "report", {"run_dir": str(window.run.folder)})
    assert shown(window.run.folder) == {}
    assert "ERROR for *** of ***" in (window.run.folder / "monitor.jsonl").read_text()
    said = window.text + capsys.readouterr().out
    assert not [secret for secret in SECRETS if secret in said]


def test_a_failure_says_no_secret(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBPASS", "from-the-environment")
    known = settings(site)
    known["window.smoke"] = {"shell": "echo $DBPASS --password hunter2; exit 3"}
    window = Window.of(site, known)
    with pytest.raises(WindowFailed) as failure:
        window.go()
    said = f"{failure.value} {window.text}"
    assert "exit status 3" in said
    assert not [secret for secret in SECRETS if secret in said]
    smoke = read_step(window.run.folder, "smoke")
    assert smoke is not None
    assert smoke.output == "*** --password ***"
    assert shown(window.run.folder) == {}


def test_commands_still_run_with_their_secrets(site: Site) -> None:
    """Also by another process, which knows the run folder alone; and with a changed password."""
    known = settings(site)
    out = site.folder / "out"
    known["window.deploy"] = {"command": ["sh", "-c", f'echo "$1" > {out}', "x", "--token=hunter2"]}
    run = Window.of(site, known).run
    plan = site.folder / "run.toml"
    steps.deploy(Run.open(run.folder))
    assert out.read_text() == "--token=hunter2\n"
    assert open_run(plan=str(plan), run_dir=str(run.folder)).info == run.info

    plan.write_text(plan.read_text().replace("hunter2", "another"))
    known_plan = run.info.plan
    assert open_run(plan=str(plan), run_dir=str(run.folder)).info.plan == known_plan
    steps.undeploy(Run.open(run.folder))
    plan.write_text(plan.read_text().replace("--token", "--other"))
    with pytest.raises(PlanError, match="not the one"):
        steps.smoke(Run.open(run.folder))
    with pytest.raises(RunFolderError, match="another plan"):
        open_run(plan=str(plan), run_dir=str(run.folder))
    plan.unlink()
    with pytest.raises(PlanError, match="is gone; put it back"):
        steps.smoke(Run.open(run.folder))
