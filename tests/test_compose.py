"""Checks the names in infra/compose.yaml and infra/Containerfile: settings, commands, versions, routes, Kafka properties."""

import asyncio
import json
import re
import shlex
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from packaging.specifiers import SpecifierSet

from api.cli.app import app
from api.doors import ROUTERS
from api.doors.worker import open_door
from streams.settings import Settings
from tests.conftest import ROOT, require
from tests.support.postgres import Server
from tests.test_documents import PROJECT

INFRA = ROOT / "infra"
CONTAINERFILE = (INFRA / "Containerfile").read_text().replace("\\\n", " ")
SECRETS = {"POSTGRES_PASSWORD": "p0", "INFLUX_TOKEN": "t0", "INFLUX_PASSWORD": "w0"}
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
PROBE = re.compile(r"urlopen\('(http://127\.0\.0\.1:(\d+)(/[^']*))'")
OF_THE_PLACE = {
    "node.id", "controller.quorum.voters", "listeners", "advertised.listeners", "listener.security.protocol.map", "log.dirs",
}  # fmt: skip
"""Properties with a broker's address or name: these differ between a container and the tests."""


def filled(value: Any, variables: dict[str, str]) -> Any:
    """With every ``${NAME:-default}`` as Compose would put it; raises ``LookupError`` with what ``${NAME:?…}`` says."""
    if isinstance(value, dict):
        return {key: filled(part, variables) for key, part in value.items()}
    if isinstance(value, list):
        return [filled(part, variables) for part in value]
    if not isinstance(value, str):
        return value

    def one(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if variables.get(name):
            return variables[name]
        if kind == "-":
            return rest
        raise LookupError(rest or name)

    return VARIABLE.sub(one, value)


COMPOSE = yaml.safe_load((INFRA / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = filled(COMPOSE, SECRETS)["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("vitaltwin:")}
OTHERS = {name: service for name, service in SERVICES.items() if name not in OURS}


def test_what_runs() -> None:
    assert set(OTHERS) == {"kafka", "influxdb", "postgres"}
    assert [service["command"] for service in OURS.values()] == [["init"], *[["worker"]] * 2, *[["api"]] * 2]


@pytest.mark.parametrize("name", OURS)
def test_settings_exist_and_are_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = OURS[name]["environment"]
    assert {key for key in environment if not key.startswith("VITALTWIN_")} == set()
    assert {key.removeprefix("VITALTWIN_").lower() for key in environment} <= set(Settings.model_fields)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    settings = Settings()  # raises for an invalid value
    assert settings.kafka_servers == SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split("//")[1]
    assert settings.kafka_replication == 1
    assert settings.influx_url == "http://influxdb:8086"
    given = SERVICES["influxdb"]["environment"]
    assert settings.influx_token.get_secret_value() == given["DOCKER_INFLUXDB_INIT_ADMIN_TOKEN"] == "t0"
    assert settings.influx_organisation == given["DOCKER_INFLUXDB_INIT_ORG"]
    of = SERVICES["postgres"]["environment"]
    assert settings.accounts_database == (
        f"postgresql+psycopg://{of['POSTGRES_USER']}:{of['POSTGRES_PASSWORD']}@postgres:5432/{of['POSTGRES_DB']}"
    )
    session_min_ms = int(SERVICES["kafka"]["environment"]["KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS"])
    assert settings.kafka_session_seconds * 1000 >= session_min_ms


def test_commands_exist() -> None:
    known = set(typer.main.get_group(app).commands)  # type: ignore[attr-defined]
    assert re.search(r'^ENTRYPOINT \["vitaltwin"]$', CONTAINERFILE, re.MULTILINE)
    named = [service["command"] for service in OURS.values()]
    named.append(json.loads(re.search(r"^CMD (.*)$", CONTAINERFILE, re.MULTILINE)[1]))  # type: ignore[index]
    named += [shlex.split(line)[1:] for line in re.findall(r"^RUN (vitaltwin .*)$", CONTAINERFILE, re.MULTILINE)]
    assert {command[0] for command in named} == {"init", "worker", "api", "warm"} <= known
    assert all(len(command) == 1 for command in named)


def test_images_have_the_versions_of_the_tests() -> None:
    kafka = re.search(r"<kafka.version>(.*)</kafka.version>", (INFRA / "kafka" / "pom.xml").read_text())
    influx = re.search(r"^version=v(.*)$", (INFRA / "influxdb" / "build").read_text(), re.MULTILINE)
    assert kafka
    assert influx
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka[1]}"
    assert SERVICES["influxdb"]["image"] == f"influxdb:{influx[1]}"
    assert {service["image"] for service in OURS.values()} == {f"vitaltwin:{PROJECT['version']}"}
    python = re.search(r"^FROM python:([\d.]+)-slim$", CONTAINERFILE, re.MULTILINE)
    assert python
    assert f"{python[1]}.0" in SpecifierSet(PROJECT["requires-python"])


def test_postgresql_has_the_version_of_the_tests(tmp_path: Path) -> None:
    server = Server(tmp_path / "postgres")
    server.start()
    server.stop()
    major = (server.folder / "data" / "PG_VERSION").read_text().strip()
    assert SERVICES["postgres"]["image"] == f"postgres:{major}"


def test_kafka_has_the_properties_of_the_tests() -> None:
    script = (INFRA / "kafka" / "start").read_text()
    session = re.search(r"session=(\d+)", script)
    assert session
    lines = [line for line in (INFRA / "kafka" / "server.properties").read_text().splitlines() if "=" in line]
    wanted = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    one_broker = {"@RF@": "1", "@ISR@": "1", "@SESSION@": session[1]}
    wanted = {key: one_broker.get(value, value) for key, value in wanted.items() if key not in OF_THE_PLACE}
    given = {
        key.removeprefix("KAFKA_").lower().replace("_", "."): value
        for key, value in SERVICES["kafka"]["environment"].items()
    }
    assert {key: value for key, value in given.items() if key not in OF_THE_PLACE} == wanted
    assert given.keys() >= OF_THE_PLACE


def probes(service: dict[str, Any]) -> tuple[int, str]:
    found = PROBE.search(" ".join(service["healthcheck"]["test"]))
    assert found
    return int(found[2]), found[3]


def test_health_checks_of_doors_use_existing_routes() -> None:
    paths = {route.path for router in ROUTERS for route in router.routes}  # type: ignore[attr-defined]
    for name in ("api-1", "api-2"):
        port, path = probes(SERVICES[name])
        assert path in paths
        assert str(port) == SERVICES[name]["environment"]["VITALTWIN_PORT"]
        assert SERVICES[name]["ports"][0].startswith("127.0.0.1:")
        assert SERVICES[name]["ports"][0].endswith(f":{port}")
    whole = PROBE.search(re.search(r"^HEALTHCHECK .*$", CONTAINERFILE, re.MULTILINE)[0])  # type: ignore[index]
    assert whole
    assert (int(whole[2]), whole[3]) == (Settings.model_fields["port"].default, probes(SERVICES["api-1"])[1])


def test_health_checks_of_workers_use_existing_routes() -> None:
    async def asked(path: str) -> int:
        door, port = await open_door("127.0.0.1", 0, lambda: {"ready": True}, dict)
        try:
            with await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}{path}") as answer:
                return int(answer.status)
        finally:
            await door.cleanup()

    for name in ("worker-1", "worker-2"):
        port, path = probes(SERVICES[name])
        assert asyncio.run(asked(path)) == 200
        assert str(port) == SERVICES[name]["environment"]["VITALTWIN_WORKER_PORT"]


def test_the_start_order() -> None:
    assert OURS["init"]["depends_on"] == {name: {"condition": "service_healthy"} for name in OTHERS}
    assert all("healthcheck" in service for name, service in SERVICES.items() if name != "init")
    for name, service in OURS.items():
        if name != "init":
            assert service["depends_on"] == {"init": {"condition": "service_completed_successfully"}}
            assert service["restart"] == "unless-stopped"
    assert OURS["init"]["restart"] == "no"  # YAML would read a bare one as false
    longest = max(int(service["stop_grace_period"].rstrip("s")) for service in OURS.values())
    assert longest >= 40


def test_volumes_are_not_shared_and_all_stored_data_has_one() -> None:
    named = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])]
    assert sorted(named) == sorted(COMPOSE["volumes"])  # each used by one service
    assert all(volume.endswith(":/var/lib/vitaltwin") for one in OURS.values() for volume in one.get("volumes", []))
    for line in ("ENV XDG_STATE_HOME=/var/lib/vitaltwin/", "USER vitaltwin", "WORKDIR /var/lib/vitaltwin"):
        assert re.search(f"^{line}", CONTAINERFILE, re.MULTILINE)


@pytest.mark.parametrize("missing", SECRETS)
def test_no_secret_is_in_the_file_and_it_says_what_to_do(missing: str) -> None:
    with pytest.raises(LookupError, match=rf"{missing}.*infra/\.env"):
        filled(COMPOSE["services"], {name: value for name, value in SECRETS.items() if name != missing})
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "infra/.env" in ignored


def test_images_are_named_without_a_registry() -> None:
    for service in SERVICES.values():
        assert re.fullmatch(r"([a-z]+/)?[a-z]+:[\w.-]+", service["image"])


def test_files_copied_into_the_image_exist() -> None:
    copied = [shlex.split(line)[:-1] for line in re.findall(r"^COPY (.*)$", CONTAINERFILE, re.MULTILINE)]
    assert {"twins", "streams", "api", "constraints.txt", "pyproject.toml"} <= {
        name for line in copied for name in line
    }
    assert all((ROOT / name).exists() for line in copied for name in line)
    # Dependencies are installed before the code is copied; otherwise every change of code would install them again.
    lines = CONTAINERFILE.splitlines()
    needed = next(number for number, line in enumerate(lines) if "-r requirements.txt" in line)
    assert needed < min(number for number, line in enumerate(lines) if line.startswith(("COPY twins", "COPY README")))
    extras = re.search(r"pip install .* '\.\[(\w+)]'", CONTAINERFILE)
    assert extras
    assert extras[1] in PROJECT["optional-dependencies"]


def test_compose_accepts_the_file(tmp_path: Path) -> None:
    where = subprocess.run([INFRA / "compose-reader", "--where"], capture_output=True, text=True, check=True).stdout
    reader = require(Path(where.strip()), "infra/compose-reader makes it, once, with Go")

    def read(composed: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "infra" / "compose.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump(composed))
        return subprocess.run([reader, "-format", "json", file], capture_output=True, text=True, check=False)

    composed = filled(COMPOSE, SECRETS)
    told = read(composed)
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["services"].keys() == SERVICES.keys()
    assert read(composed | {"servces": {}}).returncode
    composed["services"]["init"]["depends_on"]["kafka"] = {"condition": "healthy"}
    assert read(composed).returncode


def test_services_wait_for_existing_services() -> None:
    assert {one for service in SERVICES.values() for one in service.get("depends_on", {})} <= SERVICES.keys()
