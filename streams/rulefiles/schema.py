"""The JSON Schema (2020-12) of rule files, from the same tables that the loader reads with: for editors.

An editor needs one schema for all files: a file is `outcomes.yaml`, `funnels.yaml`, one rule, or a list of rules.
"""

from __future__ import annotations

from streams.core.definition import SessionField
from streams.rulefiles.conditions import FORMS
from streams.rulefiles.fields import FIELD_EXPECTED, field_test_schema
from streams.rulefiles.forms import Form, Schema, walk
from streams.rulefiles.funnels import FUNNELS_FILE
from streams.rulefiles.outcomes import OUTCOMES_FILE
from streams.rulefiles.rules import RULE, RULES_FILE

SCHEMA_ID = "https://avert.invalid/rules.schema.json"  # a name, not an address: RFC 2606 keeps .invalid free


def json_schema() -> Schema:
    """The schema of every rule file."""
    roots = (OUTCOMES_FILE, FUNNELS_FILE, RULES_FILE, RULE)
    definitions = {_name(form): form.schema() for form in walk(roots)}
    definitions["condition"] = {
        "description": "A condition: what must have happened, or not.",
        "anyOf": [{"$ref": f"#/$defs/{_name(form)}"} for form in FORMS.values()],
    }
    definitions["field_test"] = field_test_schema()
    definitions["where"] = {
        "description": f"Tests on fields, all of which must pass. Each names {FIELD_EXPECTED}.",
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"$ref": "#/$defs/field_test"},
    }
    definitions["session_field_test"] = field_test_schema(session=True)
    one = {"$ref": "#/$defs/session_field_test"}
    definitions["session_tests"] = {
        "description": "Tests on the session itself, all of which must pass.",
        "type": "object",
        "minProperties": 1,
        "properties": {field.value: one for field in SessionField},
        "patternProperties": {"^campaign\\.": one},
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Avert rule files",
        # An empty document (a file of comments) is nothing, and fine.
        "anyOf": [*({"$ref": f"#/$defs/{_name(form)}"} for form in roots), {"type": "null"}],
        "$defs": dict(sorted(definitions.items())),
    }


def _name(form: Form) -> str:
    """A condition's form is named after its head word; in the schema it must not collide with other forms."""
    return f"condition_{form.name}" if FORMS.get(form.name) is form else form.name
