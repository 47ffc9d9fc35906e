"""What clients ask before and beside sending events: settings, source configurations, feature flags. Nothing is kept.

The answers switch off whatever would make a client talk to somebody else or load a program from somewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streams.http.dialects.shapes import Incoming, encode_json

Config = Callable[[Incoming], bytes]


def segment_settings(incoming: Incoming) -> bytes:
    """``GET /v1/projects/KEY/settings``: send everything here, nothing elsewhere."""
    key = incoming.parameters.get("key", "")
    protocol, host = _own_address(incoming)
    return encode_json({
        "integrations": {
            "Segment.io": {
                "apiKey": key, "apiHost": f"{host}/v1", "protocol": protocol, "unbundledIntegrations": [],
                "addBundledMetadata": True, "maybeBundledConfigIds": {},
                "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
            },
        },
        "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}, "identify": {
            "__default": {"enabled": True},
        }, "group": {"__default": {"enabled": True}}},
        "edgeFunction": {}, "analyticsNextEnabled": True, "middlewareSettings": {}, "enabledMiddleware": {},
        "metrics": {"sampleRate": 0}, "legacyVideoPluginsEnabled": False, "remotePlugins": [],
    })


def rudder_source(incoming: Incoming) -> bytes:
    """``GET /sourceConfig/?writeKey=KEY``: a source without destinations, whose data plane is here."""
    key = incoming.query.get("writeKey", "")
    off = {"enabled": False}
    return encode_json({
        "source": {
            "id": "avert", "name": "Avert", "writeKey": key, "enabled": True, "workspaceId": "avert",
            "config": {"statsCollection": {"errors": off, "metrics": off}},
            "connections": [], "destinations": [], "dataplanes": {}, "updatedAt": _EPOCH,
        },
        "updatedAt": _EPOCH, "consentManagementMetadata": {"providers": []},
    })


_EPOCH = "1970-01-01T00:00:00.000Z"


def posthog_config(incoming: Incoming) -> bytes:
    """``GET /array/KEY/config``: events only; no recordings, surveys, toolbar."""
    return encode_json(_posthog(incoming.parameters.get("key", "")))


def posthog_config_script(incoming: Incoming) -> bytes:
    """``GET /array/KEY/config.js``: the same, as the script that the page loads first."""
    key = incoming.parameters.get("key", "")
    # As in JSON, but safe inside a script wherever it may be put: no tag can end it.
    name, config = (encode_json(value).replace(b"<", b"\\u003c") for value in (key, _posthog(key)))
    return (
        b"(function(){window._POSTHOG_REMOTE_CONFIG=window._POSTHOG_REMOTE_CONFIG||{};"
        b"window._POSTHOG_REMOTE_CONFIG[" + name + b"]={config:" + config + b",siteApps:[]};})();"
    )


def posthog_flags(_incoming: Incoming) -> bytes:
    """``POST /flags/``, ``POST /decide/``: no flags, in the form of every version."""
    return encode_json({
        "flags": {}, "featureFlags": {}, "featureFlagPayloads": {}, "errorsWhileComputingFlags": False,
        "requestId": "avert", "config": {"enable_collect_everything": True}, "toolbarParams": {},
        "isAuthenticated": False, **_POSTHOG_OFF,
    })


def posthog_local_flags(_incoming: Incoming) -> bytes:
    """``GET /api/feature_flag/local_evaluation``: nothing to evaluate."""
    return b'{"flags":[],"group_type_mapping":{},"cohorts":{}}'


_POSTHOG_OFF: dict[str, Any] = {
    "supportedCompression": ["gzip", "gzip-js"], "sessionRecording": False, "surveys": False, "heatmaps": False,
    "capturePerformance": False, "captureDeadClicks": False, "autocapture_opt_out": False,
    "autocaptureExceptions": False, "elementsChainAsString": True, "defaultIdentifiedOnly": True, "siteApps": [],
    "productTours": False, "conversations": False, "errorTracking": {"autocaptureExceptions": False},
    "logs": {"captureConsoleLogs": False},
}


def _posthog(key: str) -> dict[str, Any]:
    return {"token": key, "hasFeatureFlags": False, "analytics": {"endpoint": "/i/v0/e/"}, **_POSTHOG_OFF}


def _own_address(incoming: Incoming) -> tuple[str, str]:
    """Protocol and host under which the client reached us: it asked us there, so it can send there."""
    protocol = incoming.headers.get("x-forwarded-proto", "").partition(",")[0].strip()
    return ("https" if protocol == "https" else "http"), incoming.headers.get("host", "")
