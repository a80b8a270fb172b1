"""The recipes for batch jobs are run, with their places put below a directory of the test's own.

What no test can run here, because an engine or a framework is not there, is compared with the exit codes.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
import yaml

import loader
from loader.errors import ExitCode
from tests import canary
from tests.crash.harness import Crm, environment, sandbox

RECIPES: Final = Path(__file__).parents[2] / "docs" / "recipes"
BIN: Final = Path(sys.executable).parent
GUIDE: Final = Path(__file__).parents[2] / "docs" / "guide" / "batch-jobs.md"
NOBODY: Final = "http://127.0.0.1:9"
"""Where nothing listens."""

AGAIN: Final = {code.value for code in ExitCode if code.run_again}
FOR_A_PERSON: Final = {code.value for code in ExitCode} - AGAIN - {0}

GOOD: Final = '{"Last_Name":"Daly","Email":"daly@example.com"}\n'
REFUSED: Final = '{"Email":"nobody@example.com"}\n'


@pytest.fixture
def crm(tmp_path: Path) -> Iterator[Crm]:
    with sandbox(tmp_path, "--unique", "Leads.Email") as running:
        yield running


def surroundings(directory: Path, extra: Mapping[str, str]) -> dict[str, str]:
    made = environment(directory / "home", extra)
    return {**made, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def ran(line: str, directory: Path, variables: Mapping[str, str]) -> tuple[int, str]:
    """The exit code of a command line, and all that it said."""
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=directory,
        env=surroundings(directory, variables),
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    said = done.stdout + done.stderr
    canary.look_at(said, "a recipe")
    return done.returncode, said


def secret_files(folder: Path, crm: Crm, *, mode: int) -> Path:
    """A folder with the two secrets, as an administrator or a cluster lays them."""
    folder.mkdir()
    for name in ("client-secret", "refresh-token"):
        path = canary.belongs_in(folder / name)
        path.write_text(crm.credentials[f"LOADER_{name.upper().replace('-', '_')}"])
        path.chmod(mode)
    return folder


def replaced(text: str, **words: str) -> str:
    """`text` with each of these, which must be there, as another."""
    for old, new in words.items():
        assert old in text, f"the recipe has no {old!r} any more"
        text = text.replace(old, new)
    return text


class TestCron:
    """`cron/`: the line of the crontab, by sh, with the crontab's variables."""

    def variables(self, crm: Crm) -> dict[str, str]:
        lines = self.crontab().splitlines()
        found = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=", line))
        assert found.pop("LOADER_DC") == "eu"
        kept = {name: value for name, value in found.items() if name in {"LOADER_MODULE", "LOADER_KEY"}}
        return {**kept, "LOADER_API_DOMAIN": crm.url, "LOADER_PATIENCE": "1ms", **crm.credentials}

    def command(self, directory: Path) -> str:
        (line,) = re.findall(r"^\*/30 \* \* \* \* crm (.*)$", self.crontab(), re.MULTILINE)
        return replaced(
            line,
            **{"/var/lib/crm-load": shlex.quote(str(directory)), "/etc/crm-load": str(RECIPES / "cron")},
        )

    def crontab(self) -> str:
        return (RECIPES / "cron" / "crontab").read_text()

    def test_it_loads_what_is_there_and_mails_what_wants_a_person_once(
        self, tmp_path: Path, crm: Crm
    ) -> None:
        inbox = tmp_path / "inbox"
        inbox.mkdir()
        (inbox / "monday.ndjson").write_text(GOOD)
        (inbox / "tuesday.ndjson").write_text(REFUSED)
        code, mail = ran(self.command(tmp_path), tmp_path, self.variables(crm))
        assert code == 1
        assert mail.startswith("inbox/tuesday.ndjson: finished, some records were refused")
        assert len(mail.splitlines()) == 1
        assert (inbox / "tuesday.ndjson.load" / "rejected.ndjson").read_text() == REFUSED
        assert crm.database.rows == 1
        assert ran(self.command(tmp_path), tmp_path, self.variables(crm)) == (0, "")

    def test_a_file_of_duplicates_alone_has_no_refused_lines_to_mend(self, tmp_path: Path, crm: Crm) -> None:
        inbox = tmp_path / "inbox"
        inbox.mkdir()
        (inbox / "a.ndjson").write_text(GOOD)
        (inbox / "b.ndjson").write_text(GOOD)
        code, mail = ran(self.command(tmp_path), tmp_path, self.variables(crm))
        assert (code, crm.database.rows) == (1, 1)
        assert mail == (
            "inbox/b.ndjson: finished, and some records were in the CRM already:"
            " loader results inbox/b.ndjson.load --outcome duplicate\n"
        )
        assert not (inbox / "b.ndjson.load" / "rejected.ndjson").exists()

    def test_what_a_load_says_stands_in_the_log_under_its_time_and_its_file(
        self, tmp_path: Path, crm: Crm
    ) -> None:
        inbox = tmp_path / "inbox"
        inbox.mkdir()
        for name in ("a", "b"):
            (inbox / f"{name}.ndjson").write_text(GOOD)
        wrong = {**self.variables(crm), "LOADER_MODULE": "Leafs"}
        code, mail = ran(self.command(tmp_path), tmp_path, wrong)
        assert (code, mail.count("stopped with exit 2: error: "), mail.count("Leafs")) == (1, 2, 2)
        log = (tmp_path / "load.log").read_text()
        heads = re.findall(r"^--- \d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} (.*)$", log, re.MULTILINE)
        assert heads == ["inbox/a.ndjson", "inbox/b.ndjson"]
        assert ran(self.command(tmp_path), tmp_path, wrong) == (0, ""), "it is mailed once"
        assert ran(self.command(tmp_path), tmp_path, self.variables(crm))[0] == 1
        assert crm.database.rows == 1

    def test_what_may_go_on_by_itself_is_mailed_after_a_day_only(self, tmp_path: Path, crm: Crm) -> None:
        inbox = tmp_path / "inbox"
        inbox.mkdir()
        (inbox / "monday.ndjson").write_text(GOOD)
        away = {**self.variables(crm), "LOADER_API_DOMAIN": NOBODY}
        assert ran(self.command(tmp_path), tmp_path, away) == (0, "")
        os.utime(inbox / "monday.ndjson", (0, 0))
        code, mail = ran(self.command(tmp_path), tmp_path, away)
        assert (code, "not loaded for a day (exit 7)" in mail) == (1, True)
        assert ran(self.command(tmp_path), tmp_path, away) == (0, ""), "once a file, not at each run"
        wrong = {**self.variables(crm), "LOADER_REFRESH_TOKEN": canary.secret()}
        code, mail = ran(self.command(tmp_path), tmp_path, wrong)
        assert (code, "stopped with exit 6" in mail) == (1, True)

    def test_a_second_one_leaves_the_first_alone(self, tmp_path: Path, crm: Crm) -> None:
        (tmp_path / "inbox").mkdir()
        (tmp_path / "inbox" / "monday.ndjson").write_text(GOOD)
        both = f"flock lock sh -c {shlex.quote(self.command(tmp_path))}"
        assert ran(both, tmp_path, self.variables(crm)) == (0, "")
        assert crm.database.calls == 0

    def test_its_codes_for_another_try_are_those_that_are(self) -> None:
        script = (RECIPES / "cron" / "load-inbox.sh").read_text()
        (named,) = re.findall(r"^    (\d+(?: \| \d+)+)\)$", script, re.MULTILINE)
        assert {int(code) for code in named.split("|")} == AGAIN


class TestSystemd:
    """`systemd/`: the unit's own lines, parsed and executed."""

    def unit(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for line in (RECIPES / "systemd" / "crm-load.service").read_text().splitlines():
            if line and line[0] not in "#[":
                name, _, value = line.partition("=")
                found.setdefault(name, []).append(value)
        return found

    def test_its_commands_load_with_credentials_that_the_group_may_read(
        self, tmp_path: Path, crm: Crm
    ) -> None:
        given = secret_files(tmp_path / "credentials", crm, mode=0o440)
        mine = tmp_path / "crm-load"
        mine.mkdir(mode=0o700)
        for name in ("client-secret", "refresh-token"):
            canary.belongs_in(mine / name)
        (tmp_path / "leads.ndjson").write_text(GOOD)
        unit = self.unit()
        (before,), (start,) = unit["ExecStartPre"], unit["ExecStart"]
        before = replaced(before, **{"%d": str(given), "%t": str(tmp_path), "/usr/bin/install": "install"})
        start = replaced(start, **{"/opt/crm-loader/bin/": f"{BIN}/", "--dc eu": f"--api-domain {crm.url}"})
        variables = dict(each.replace("%t", str(tmp_path)).split("=", 1) for each in unit["Environment"])
        variables["LOADER_CLIENT_ID"] = crm.credentials["LOADER_CLIENT_ID"]
        assert ran(before, tmp_path, {}) == (0, "")
        assert {stat.S_IMODE(path.stat().st_mode) for path in mine.iterdir()} == {0o400}
        assert ran(start, tmp_path, variables)[0] == 0
        assert crm.database.rows == 1
        refused = {name: value.replace(str(mine), str(given)) for name, value in variables.items()}
        assert ran(start, tmp_path, refused)[0] == 0, "a finished load asks for no credentials"
        shutil.rmtree(tmp_path / "leads.ndjson.load")
        assert ran(start, tmp_path, refused)[0] == ExitCode.CREDENTIALS

    def test_it_is_restarted_by_exit_code_and_given_time_to_stop(self) -> None:
        unit = self.unit()
        assert {int(code) for code in unit["RestartForceExitStatus"][0].split()} == AGAIN
        assert {int(code) for code in unit["RestartPreventExitStatus"][0].split()} == FOR_A_PERSON
        assert int(unit["TimeoutStopSec"][0]) >= 30
        assert unit["Type"] == ["exec"]

    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
    def test_systemd_takes_the_units(self, tmp_path: Path) -> None:
        for each in (RECIPES / "systemd").iterdir():
            text = each.read_text().replace("/opt/crm-loader/bin/loader", "/bin/true")
            (tmp_path / each.name).write_text(text)
        units = [str(path) for path in sorted(tmp_path.glob("crm-load*"))]
        assert len(units) == 3
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *units],
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )
        told = [line for line in done.stderr.splitlines() if "crm-load" in line]
        assert (done.returncode, told) == (0, [])


class TestContainer:
    """`container/`: the Dockerfile by its instructions, the Job by its structure and its commands."""

    def job(self) -> dict[str, Any]:
        made: dict[str, Any] = yaml.safe_load((RECIPES / "container" / "job.yaml").read_text())
        return made

    def instructions(self) -> list[tuple[str, str]]:
        text = (RECIPES / "container" / "Dockerfile").read_text().replace("\\\n", " ")
        lines = (line for line in text.splitlines() if line and not line.startswith("#"))
        return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]

    def test_the_image_runs_the_loader_itself_and_not_as_root(self) -> None:
        last: dict[str, str] = {}
        for name, value in self.instructions():
            last = {} if name == "FROM" else {**last, name: value}
        assert json.loads(last["ENTRYPOINT"]) == ["loader"], "the exec form: SIGTERM reaches it"
        assert isinstance(json.loads(last["CMD"]), list)
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last["USER"])
        assert "slim" in dict(self.instructions())["FROM"]
        assert all("LOADER_" not in value for name, value in self.instructions() if name in {"ENV", "ARG"})

    def test_each_file_that_the_image_is_made_of_is_there(self) -> None:
        root = RECIPES.parents[1]
        named = [value.split()[:-1] for name, value in self.instructions() if name == "COPY"]
        sources = [source for each in named if not each[0].startswith("--from") for source in each]
        assert sources
        assert all((root / source).exists() for source in sources)

    def test_the_job_decides_by_exit_code(self) -> None:
        spec = self.job()["spec"]
        rules = spec["podFailurePolicy"]["rules"]
        codes = {
            (rule["action"], code) for rule in rules for code in rule.get("onExitCodes", {}).get("values", [])
        }
        assert {code for action, code in codes if action == "FailJob"} == FOR_A_PERSON
        assert {code for action, code in codes if action == "Ignore"} == {ExitCode.SIGINT, ExitCode.SIGTERM}
        assert {code for action, code in codes if action == "Count"} == AGAIN - {130, 143}
        assert rules[0] == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
        names = {each["name"] for each in spec["template"]["spec"]["containers"]}
        assert {rule["onExitCodes"]["containerName"] for rule in rules[1:]} == names

    def test_the_pod_keeps_its_load_and_its_secrets(self) -> None:
        pod = self.job()["spec"]["template"]["spec"]
        assert pod["restartPolicy"] == "Never", "a failure policy demands it"
        assert pod["terminationGracePeriodSeconds"] >= 30
        assert pod["securityContext"]["runAsNonRoot"] is True
        volumes = {each["name"]: each for each in pod["volumes"]}
        (container,) = pod["containers"]
        (data,) = [mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == "/data"]
        assert "persistentVolumeClaim" in volumes[data], "another pod has to find the load"
        assert volumes["secret"]["secret"]["defaultMode"] == 0o400
        assert all("TOKEN" not in each["name"] or each["name"].endswith("_FILE") for each in container["env"])

    def test_its_commands_load(self, tmp_path: Path, crm: Crm) -> None:
        secret_files(tmp_path / "secret", crm, mode=0o440)
        (tmp_path / "credentials").mkdir()
        for name in ("client-secret", "refresh-token"):
            canary.belongs_in(tmp_path / "credentials" / name)
        (tmp_path / "leads.ndjson").write_text(GOOD)
        pod = self.job()["spec"]["template"]["spec"]
        ((first,), (container,)) = pod["initContainers"], pod["containers"]
        copy = re.sub(r"/(secret|credentials)\b(?!-)", rf"{tmp_path}/\1", shlex.join(first["command"]))
        assert ran(copy, tmp_path, {}) == (0, "")
        variables = {each["name"]: each["value"] for each in container["env"]}
        variables = {name: value.replace("/cred", f"{tmp_path}/cred") for name, value in variables.items()}
        variables["LOADER_CLIENT_ID"] = crm.credentials["LOADER_CLIENT_ID"]
        arguments = shlex.join(["loader", *container["args"]])
        line = replaced(arguments, **{"--dc eu": f"--api-domain {crm.url}"})
        assert ran(line, tmp_path, variables)[0] == 0
        assert crm.database.rows == 1


def recipe(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, RECIPES / "python" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestPython:
    """`python/`: the functions that load, without the framework that calls them."""

    @pytest.fixture(autouse=True)
    def _surroundings(self, tmp_path: Path, crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in surroundings(tmp_path, crm.credentials).items():
            monkeypatch.setenv(name, value)
        (tmp_path / "good.ndjson").write_text(GOOD)
        (tmp_path / "refused.ndjson").write_text(REFUSED)

    def test_airflow(self, tmp_path: Path, crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
        dag = recipe("airflow_dag")
        outcomes = dag.load_leads(str(tmp_path / "good.ndjson"), "--api-domain", crm.url)
        assert (outcomes["inserted"], crm.database.rows) == (1, 1)
        with pytest.raises(dag.Stop, match="exit 3"):
            dag.load_leads(str(tmp_path / "refused.ndjson"), "--api-domain", crm.url)
        monkeypatch.setenv("LOADER_PATIENCE", "1ms")
        (tmp_path / "away.ndjson").write_text(GOOD)
        with pytest.raises(dag.Again, match="exit 7"):
            dag.load_leads(str(tmp_path / "away.ndjson"), "--api-domain", NOBODY)

    def test_prefect(self, tmp_path: Path, crm: Crm) -> None:
        flow = recipe("prefect_flow")
        assert flow.load_leads(str(tmp_path / "good.ndjson"), api_domain=crm.url) == {"inserted": 1}
        with pytest.raises(flow.NotAllInsertedError, match="0 of 1") as raised:
            flow.load_leads(str(tmp_path / "refused.ndjson"), api_domain=crm.url)
        assert raised.value.exit_code is ExitCode.NOT_ALL_INSERTED

        class State:
            def __init__(self, error: BaseException) -> None:
                self.error = error

            def result(self) -> None:
                raise self.error

        (tmp_path / "away.ndjson").write_text(GOOD)
        with pytest.raises(loader.NotNowError) as away:
            flow.load_leads(str(tmp_path / "away.ndjson"), api_domain=NOBODY, patience_s=0.001)
        assert flow.worth_another_try(None, None, State(away.value)) is True
        assert flow.worth_another_try(None, None, State(raised.value)) is False
        assert flow.worth_another_try(None, None, State(ValueError())) is False

    def test_dagster(self, tmp_path: Path, crm: Crm) -> None:
        job = recipe("dagster_job")
        code, _, figures = job.load_leads(str(tmp_path / "good.ndjson"), api_domain=crm.url)
        assert (code, figures["inserted"]) == (ExitCode.OK, 1)
        code, said, figures = job.load_leads(str(tmp_path / "refused.ndjson"), api_domain=crm.url)
        assert (code, figures["refused"]) == (ExitCode.NOT_ALL_INSERTED, 1)
        assert "loader results" in said
        (tmp_path / "away.ndjson").write_text(GOOD)
        code, _, _ = job.load_leads(str(tmp_path / "away.ndjson"), api_domain=NOBODY, patience_s=0.001)
        assert code is ExitCode.NOT_NOW
