from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from starlette.routing import Route

from streams.embedded.stack import EmbeddedBroker
from streams.http.app import build_routes
from streams.settings import Settings
from tests.http.support import SERVER, WRITE, Api, eventually, running_api


def _with(settings: Settings, **changes: Any) -> Settings:
    return Settings(**{**{name: getattr(settings, name) for name in settings.__struct_fields__}, **changes})


EVENT = {"id": "e", "visitor": "v", "type": "page_view"}


# --- probes


async def test_healthy_and_ready(api: Api) -> None:
    health, ready = await api.client.get("/healthz"), await api.client.get("/readyz")
    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "kafka": True, "redis": True})


async def test_there_are_no_metrics_on_the_public_port(api: Api) -> None:
    assert (await api.client.get("/metrics")).status_code == 404


# --- the broker's absence


async def test_without_a_broker_nothing_is_promised_and_pages_go_on(settings: Settings) -> None:
    async with running_api(_with(settings, kafka_bootstrap="127.0.0.1:1"), connected=False) as api:
        response = await api.send(EVENT)
        assert (response.status_code, response.json()["error"]) == (503, "broker_unavailable")
        assert int(response.headers["retry-after"]) >= 1
        receipt = {"suggestion": "s", "visitor": "v", "kind": "shown"}
        assert (await api.client.post("/v1/receipts", json=receipt, headers=SERVER)).status_code == 503
        assert await api.suggestions("v") == []
        assert (await api.client.get("/healthz")).status_code == 200
        ready = await api.client.get("/readyz")
        assert (ready.status_code, ready.json()["kafka"]) == (503, False)


async def test_a_broker_that_comes_late_is_found(settings: Settings) -> None:
    broker = EmbeddedBroker()
    try:
        async with running_api(_with(settings, kafka_bootstrap=broker.address), connected=False) as api:
            assert (await api.send(EVENT)).status_code == 503
            broker.start()
            await eventually(lambda: api.services.log.available)
            assert (await api.send(EVENT)).status_code == 202
            assert len(await api.events()) == 1
    finally:
        broker.stop()


async def test_a_broker_that_dies_is_noticed_and_found_again(settings: Settings) -> None:
    with EmbeddedBroker() as broker:
        async with running_api(_with(settings, kafka_bootstrap=broker.address)) as api:
            assert (await api.send(EVENT)).status_code == 202
            broker.kill()
            assert (await api.send(EVENT)).status_code == 503
            assert (await api.client.get("/readyz")).status_code == 503
            broker.start()  # it has forgotten all its topics

            async def accepted() -> bool:
                return (await api.send({**EVENT, "id": "after"})).status_code == 202

            await eventually(accepted)
            assert "after" in {kept["id"] for kept in await api.events()}


@pytest.mark.parametrize(("existing", "partitions"), [(None, 2), ("decisions", 5)])
async def test_the_topics_get_as_many_partitions_as_those_that_are_there(
    settings: Settings, existing: str | None, partitions: int
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap)
    await admin.start()
    try:
        if existing:
            await admin.create_topics([NewTopic(settings.topic(existing), 5, 1)])
        async with running_api(settings):
            described = await admin.describe_topics([settings.topic("clickstream"), settings.topic("deadletter")])
        assert [len(topic["partitions"]) for topic in described] == [partitions, partitions]
    finally:
        await admin.close()


# --- errors


async def test_a_defect_is_a_500_in_json_that_tells_nothing(settings: Settings) -> None:
    async with running_api(settings) as api:
        def broken(*_: object) -> bool:
            raise ZeroDivisionError("the secret is 42")

        api.services.access.token_holds = broken
        response = await api.client.get("/v1/suggestions?visitor=v", headers={"authorization": "Bearer x"})
        assert response.status_code == 500
        assert response.json()["error"] == "internal"
        assert b"42" not in response.content


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "/nope", 404, "not_found"), ("GET", "/v1/events", 405, "method_not_allowed"),
        ("POST", "/v1/suggestions", 405, "method_not_allowed"), ("POST", "/v1/events/", 404, "not_found"),
        ("DELETE", "/v1/receipts", 405, "method_not_allowed"),
    ],
)
async def test_the_frameworks_refusals_are_json_too(api: Api, method: str, path: str, status: int, error: str) -> None:
    response = await api.client.request(method, path)
    assert (response.status_code, response.json()["error"]) == (status, error)


# --- openapi


async def test_the_document_has_every_route_and_no_other(api: Api) -> None:
    document = (await api.client.get("/openapi.json")).json()
    described = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    served = {
        (route.path, method) for route in build_routes(api.services) if isinstance(route, Route)
        for method in route.methods or () if method != "HEAD"
    }
    assert described == served


async def test_every_reference_in_the_document_leads_somewhere(api: Api) -> None:
    document = (await api.client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")

    def references(node: Any) -> set[str]:
        if isinstance(node, dict):
            own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
            return own.union(*map(references, node.values()))
        return set().union(*map(references, node)) if isinstance(node, list) else set()

    schemas = document["components"]["schemas"]
    assert references(document) <= {f"#/components/schemas/{name}" for name in schemas}
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)


async def test_real_answers_are_what_the_document_says(api: Api) -> None:
    document = (await api.client.get("/openapi.json")).json()
    access = api.services.access
    token, _ = access.issue_token("v", 4_000_000_000)
    receipt = {"suggestion": "s", "visitor": "v", "kind": "shown"}
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/v1/events", {"json": [EVENT, {}], "headers": WRITE}),
        ("POST", "/v1/events", {"json": {"id": "e", "type": "t"}, "headers": WRITE, "params": {"wait": "1"}}),
        ("POST", "/v1/events", {"json": EVENT}),
        ("POST", "/v1/events", {"content": b"?", "headers": WRITE}),
        ("GET", "/v1/suggestions", {"params": {"visitor": "v"}, "headers": {"x-visitor-token": token}}),
        ("GET", "/v1/suggestions", {}),
        ("POST", "/v1/receipts", {"json": receipt, "headers": SERVER}),
        ("POST", "/v1/tokens", {"headers": SERVER}),
        ("GET", "/healthz", {}),
        ("GET", "/readyz", {}),
    ]
    for method, path, arguments in calls:
        response = await api.client.request(method, path, **arguments)
        described = document["paths"][path][method.lower()]["responses"][str(response.status_code)]
        schema = {**document["components"], **described["content"]["application/json"]["schema"]}
        schema["components"] = document["components"]
        jsonschema.validate(response.json(), schema)


