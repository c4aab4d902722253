"""pydantic's errors -> findings in the words of the configuration: what is wrong and what would be right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from mcproxy.config.problems import Finding, Place, nearest, suggestion
from mcproxy.config.schema import Settings
from mcproxy.config.units import parse_duration, parse_size, show_duration, show_size


def explain(error: ValidationError) -> Iterator[Finding]:
    for details in error.errors(include_url=False):
        place = tuple(part for part in details["loc"] if part != "[key]")
        yield Finding(place, _message(details, place), about=_perhaps_meant(details, place))


def known_keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """A section's keys as they are written in YAML."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def field_at(place: Place) -> FieldInfo | None:
    """The schema's field for a place of the document, None for what the schema doesn't know."""
    model: type[BaseModel] | None = Settings
    found: FieldInfo | None = None
    inside_collection = False
    for part in place:
        if inside_collection:  # the part is a listener's or role's name, or a position in a list
            inside_collection = False
            continue
        found = known_keys(model).get(str(part)) if model is not None else None
        if found is None:
            return None
        model = _model_in(found.annotation)
        inside_collection = _is_collection(found.annotation)
    return found


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The section that an annotation such as `dict[str, Annotated[Role, ...]] | None` leads to."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_in(inner)) is not None), None)


def _is_collection(annotation: Any) -> bool:
    origin = getattr(annotation, "__origin__", None)
    return origin in (list, dict)


def _section_at(place: Place) -> type[BaseModel] | None:
    if not place:
        return Settings
    field = field_at(place)
    return _model_in(field.annotation) if field else None


def _known_beside(place: Place) -> list[str]:
    section = _section_at(place[:-1])
    return list(known_keys(section)) if section else []


def _perhaps_meant(details: ErrorDetails, place: Place) -> tuple[Place, ...]:
    if details["type"] != "extra_forbidden":
        return ()
    meant = nearest(str(place[-1]), _known_beside(place))
    return () if meant is None else ((*place[:-1], meant),)


def _message(details: ErrorDetails, place: Place) -> str:
    context = details.get("ctx", {})
    match details["type"]:
        case "value_error":
            return str(context["error"])
        case "extra_forbidden":
            return f"unknown key; {suggestion(str(place[-1]), _known_beside(place))}"
        case "missing":
            return f"is required{_example(place)}"
        case "model_type" | "dict_type" | "model_attributes_type":
            return 'must be a section, that is lines of "key: value" under it'
        case "list_type":
            return f"must be a list{_example(place) or ', such as [one, another]'}"
        case "bool_type":
            return "must be true or false"
        case "int_type":
            return "must be a whole number"
        case "string_type":
            return "must be text; put it in quotes"
        case "too_short":
            return f"must not be empty{_example(place)}"
        case "string_too_short":
            return "must not be empty"
        case "string_too_long":
            return f"must have at most {context['max_length']} characters"
        case "greater_than":
            return f"must be more than {_in_units(context['gt'], place)}"
        case "greater_than_equal":
            return f"must be at least {_in_units(context['ge'], place)}"
        case "less_than_equal":
            return f"must be at most {_in_units(context['le'], place)}"
    return details["msg"]


def _example(place: Place) -> str:
    field = field_at(place)
    return f", such as {field.examples[0]}" if field and field.examples else ""


def _in_units(number: Any, place: Place) -> str:
    """A bound as the key's own unit writes it, found by the parser among the field's validators."""
    field = field_at(place)
    parsers = {getattr(part, "func", None) for part in field.metadata} if field else set()
    if parse_size in parsers:
        return show_size(int(number))
    if parse_duration in parsers:
        return show_duration(float(number))
    return f"{number:,}".replace(",", "") if isinstance(number, int) else str(number)
