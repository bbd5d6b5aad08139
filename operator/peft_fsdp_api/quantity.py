"""Amounts of a resource as everywhere in Kubernetes: `8`, `500m`, `64Gi`.

The only type of the contract with two forms; used by `spec.pod`.
"""

import re
from typing import Annotated, Any, Final

from pydantic import GetJsonSchemaHandler, PlainValidator
from pydantic_core import CoreSchema, PydanticCustomError

from .text import VALIDATIONS
from .wording import shown

QUANTITY_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
QUANTITY_MAX_LENGTH: Final = 32
INTEGER_MAX: Final = 2**63 - 1
"""What is beyond it the API server reads as a floating-point number."""
_ALLOWED: Final = "is not an amount; give a whole number, or a string such as 500m or 64Gi"


def _check(given: object) -> int | str:
    if isinstance(given, bool) or not isinstance(given, int | str):
        raise _refusal(f"must be of type integer,string, but it is {shown(given)}")
    if isinstance(given, int) and given > INTEGER_MAX:
        raise _refusal(
            f"must be of type integer,string, but {given:e} has more than 64 bit; give a string such as 64Gi"
        )
    if isinstance(given, int) and given < 0:
        raise _refusal(f"{given} {_ALLOWED}")
    if isinstance(given, str) and not (len(given) <= QUANTITY_MAX_LENGTH and re.fullmatch(QUANTITY_PATTERN, given)):
        raise _refusal(f"{given} {_ALLOWED}")
    return given


def _refusal(sentence: str) -> PydanticCustomError:
    return PydanticCustomError("wrong_text", "{sentence}", {"sentence": sentence})


class _QuantitySchema:
    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {
            "x-kubernetes-int-or-string": True,
            "description": "Amount, such as 8, 500m or 64Gi.",
            "maxLength": QUANTITY_MAX_LENGTH,
            VALIDATIONS: [
                {
                    "rule": f"type(self) == int ? self >= 0 : string(self).matches(r'{QUANTITY_PATTERN}')",
                    "messageExpression": f"'%s {_ALLOWED}'.format([self])",
                }
            ],
        }


Quantity = Annotated[int | str, PlainValidator(_check), _QuantitySchema()]
