"""Reports as JSON: a kind, a version, and exactly the fields of a frozen value."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, GetPydanticSchema, TypeAdapter, ValidationError
from pydantic_core import core_schema

from bench.errors import ReportError

__all__ = ["Samples", "Versioned", "shown"]


def _array(rows: list[list[int]]) -> NDArray[np.int64]:
    if len({len(row) for row in rows}) > 1:
        raise ValueError("rows of one length")
    return np.asarray(rows, dtype=np.int64)


Samples = Annotated[
    NDArray[np.int64],
    GetPydanticSchema(
        lambda _, handler: core_schema.no_info_after_validator_function(
            _array,
            handler(list[list[int]]),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda array: array.tolist()),
        )
    ),
]
"""int64 [rounds, samples], nanoseconds; a list of lists in JSON."""


_SHOWN = 60
"""Characters of a wrong value that are shown: the line that tells it stays readable."""


def shown(value: object) -> str:
    """A value from a file as it may stand in a message of one line.

    >>> shown("poem"), shown("two\\nlines"), shown(2)
    ('poem', "'two\\\\nlines'", '2')
    """
    text = str(value)
    return (text if text.isprintable() else repr(text))[:_SHOWN]


class Versioned:
    """What a frozen dataclass of fields inherits to be kept as JSON.

    The JSON has `kind`, `version` and the fields, no more and no fewer; only a field with a default may be missing.
    JSON without a version is of version 1: so are the files from before there were versions.
    """

    __slots__ = ()
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    KIND: ClassVar[str]
    VERSION: ClassVar[int] = 1

    def to_json(self) -> dict[str, Any]:
        """The same as a plain dictionary of JSON's types."""
        # Through text, which makes lists of tuples and keeps an infinity; pydantic's own mode for JSON makes it null.
        fields = json.loads(json.dumps(self._adapter().dump_python(self, by_alias=True)))
        return {"kind": self.KIND, "version": self.VERSION, **fields}

    @classmethod
    def _adapter(cls) -> TypeAdapter[Any]:
        hashable: Any = cls  # mypy asks whether its instances are, not the class
        return _adapter_of(hashable)

    @classmethod
    def from_json(cls, values: object) -> Self:
        """The report back from `to_json`, every field checked.

        Raises
        ------
        ReportError
            Another kind or version, or a field that is missing, of another type, or not known.
        """
        if not isinstance(values, Mapping):
            raise ReportError(f"found {type(values).__name__}, allowed a JSON object")
        kind, version = values.get("kind", cls.KIND), values.get("version", 1)
        if kind != cls.KIND:
            raise ReportError(f"found kind {shown(kind)}, allowed {cls.KIND}")
        if version is True or version != cls.VERSION:
            raise ReportError(f"found version {shown(version)} of kind {kind}, allowed {cls.VERSION}")
        fields = {name: value for name, value in values.items() if name not in ("kind", "version")}
        try:
            # As text, since only there a list may stand for a tuple while nothing else is converted.
            report: Self = cls._adapter().validate_json(json.dumps(fields))
        except ValidationError as error:
            raise ReportError(_line(error, kind)) from error
        return report


@cache
def _adapter_of(cls: type) -> TypeAdapter[Any]:
    return TypeAdapter(cls)


def _line(error: ValidationError, kind: str) -> str:
    found = [
        (".".join(map(shown, item["loc"])), item) for item in error.errors(include_url=False, include_context=False)
    ]
    missing = [where for where, item in found if item["type"] == "missing"]
    if missing:
        return f"found no {', '.join(missing)}, allowed a complete file of kind {kind}"
    where, item = found[0]
    if item["type"] == "unexpected_keyword_argument":
        return f"found a field {where}, allowed those of kind {kind} only"
    allowed = item["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{where}: found {repr(item['input'])[:_SHOWN]}, allowed {allowed}"
