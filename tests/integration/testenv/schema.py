"""As much of JSON Schema as the files in contrib/schema use."""

import json

_TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float),
          "boolean": bool, "null": type(None)}
_KNOWN = {"$schema", "title", "description", "type", "properties", "required", "items", "enum",
          "additionalProperties", "minimum", "maximum"}


def check(value, path):
    """An AssertionError that names the place where the value is not as the schema file has it."""
    with open(path, encoding="utf-8") as file:
        _check(value, json.load(file), "$")


def _check(value, schema, where):
    assert set(schema) <= _KNOWN, f"{where}: the schema has {set(schema) - _KNOWN}"
    if "type" in schema:
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        assert any(_is(value, one) for one in types), f"{where} is {value!r}, not {types}"
    if "enum" in schema:
        assert value in schema["enum"], f"{where} is {value!r}"
    if "minimum" in schema:
        assert value >= schema["minimum"], f"{where} is {value!r}"
    if "maximum" in schema:
        assert value <= schema["maximum"], f"{where} is {value!r}"
    if isinstance(value, dict):
        _check_object(value, schema, where)
    if isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            _check(item, schema["items"], f"{where}[{number}]")


def _check_object(value, schema, where):
    missing = set(schema.get("required", [])) - set(value)
    assert not missing, f"{where} has no {missing}"
    known = schema.get("properties", {})
    for name, item in value.items():
        if name in known:
            _check(item, known[name], f"{where}.{name}")
        else:
            assert schema.get("additionalProperties", True), f"{where} has {name}"


def _is(value, name):
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))
