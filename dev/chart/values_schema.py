"""values.schema.json: Helm checks every value against it, on install, upgrade, lint and template."""

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from dev.chart.values import Values


class _WithoutTitles(GenerateJsonSchema):
    """Pydantic's titles only repeat the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def values_schema() -> str:
    schema = Values.model_json_schema(schema_generator=_WithoutTitles)
    # Helm adds this one to the values of every subchart.
    schema["properties"]["global"] = {"type": "object"}
    schema["$schema"] = _WithoutTitles.schema_dialect
    return json.dumps(schema, indent=2) + "\n"
