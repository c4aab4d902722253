"""YAML text -> plain data, with the line of every key, and nothing passed over in silence.

PyYAML's own loader keeps the last of two equal keys and forgets where things stood, so the nodes are composed
(safe loader: no tags that build objects) and turned into data here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from mcproxy.config.problems import Finding, Place

MOST_NODES = 200_000
"""Aliases can make a short file endless ("billion laughs"); thousands of grants stay far below this."""

_BARE_IPV6 = re.compile(r"(?<![\"'\w])(\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]:[0-9]+)")
_PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


@dataclass
class Document:
    """A configuration file's content. Lines count from 1; a place without a line of its own has its parent's."""

    data: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def line(self, place: Place) -> int:
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


class DocumentError(Exception):
    """The text is no YAML document at all. `line` counts from 1."""

    def __init__(self, line: int | None, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def read_document(text: str) -> Document:
    """Data and lines of a YAML text. Duplicate keys, keys that aren't text and empty values become findings.

    Raises DocumentError when the text is not one YAML document whose top is a mapping.
    """
    loader: yaml.SafeLoader | None = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            raise DocumentError(None, "is empty; config/mcproxy.minimal.yaml is a start")
        if not isinstance(root, yaml.MappingNode):
            raise DocumentError(root.start_mark.line + 1, 'must be a mapping, that is lines of "key: value"')
        return _Reader(loader).read(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        hint = _address_hint(text, mark.line) if mark else ""
        raise DocumentError(mark.line + 1 if mark else None, f"not valid YAML: {_told(error)}{hint}") from None
    except DocumentError as error:
        hint = "" if error.line is None else _address_hint(text, error.line - 1)
        raise DocumentError(error.line, f"{error.message}{hint}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise DocumentError(line, f"not valid YAML: the character U+{error.character:04X} is not allowed") from None
    except RecursionError:
        raise DocumentError(None, "not usable: nested too deeply") from None
    finally:
        if loader is not None:
            loader.dispose()


def _address_hint(text: str, line: int) -> str:
    """YAML takes the brackets of an IPv6 address without quotes for a list. `line` counts from 0."""
    lines = text.splitlines()
    found = _BARE_IPV6.search(lines[line]) if line < len(lines) else None
    return f'; an address with brackets goes in quotes: "{found[1]}"' if found else ""


def _told(error: yaml.MarkedYAMLError) -> str:
    """PyYAML's message in one line, with where the thing began that went wrong further down."""
    context, problem = error.context or "", error.problem or ""
    if context and error.context_mark and error.problem_mark and error.context_mark.line != error.problem_mark.line:
        context += f" that starts on line {error.context_mark.line + 1}"
    told = ", ".join(part for part in (context, problem) if part)
    if "cannot start any token" in problem and "\\t" in problem:
        return f"{told}; indent with spaces, not tabs"
    if "mapping values are not allowed" in problem:
        return f'{told}; check the indentation, and put a value that holds ": " in quotes'
    return told


class _Loader(yaml.SafeLoader):
    """Stops before the nodes fill memory: each takes hundreds of bytes for two of text."""

    _nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            line: int = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            raise DocumentError(line, f"not usable: it has more than {MOST_NODES} values")
        node: yaml.Node | None = super().compose_node(parent, index)
        return node


class _Reader:
    def __init__(self, loader: yaml.SafeLoader) -> None:
        self.loader = loader
        self.document = Document()
        self.nodes_left = MOST_NODES
        self.open_nodes: set[int] = set()
        self.checked: set[int] = set()

    def read(self, root: yaml.MappingNode) -> Document:
        self.document.data = self.value(root, ())
        return self.document

    def value(self, node: yaml.Node, place: Place) -> Any:
        line = node.start_mark.line + 1
        self.document.lines.setdefault(place, line)
        self.nodes_left -= 1
        if self.nodes_left < 0:
            raise DocumentError(line, f"not usable: aliases blow it up to more than {MOST_NODES} values")
        if id(node) in self.open_nodes:
            raise DocumentError(line, "not usable: an alias refers to something that it is part of")
        self.open_nodes.add(id(node))
        try:
            if isinstance(node, yaml.CollectionNode) and node.tag not in _PLAIN_TAGS:
                raise DocumentError(line, f"the tag {node.tag} is not known here; take it out")
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, place)
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*place, index)) for index, item in enumerate(node.value)]
            return self.scalar(node, place)
        finally:
            self.open_nodes.discard(id(node))

    def mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        if id(node) not in self.checked:  # once: after flattening, an override looks like a duplicate
            self.checked.add(id(node))
            self.check_keys(node, place)
        self.loader.flatten_mapping(node)  # YAML's "<<: *defaults"
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            inner = (*place, key_node.value)
            self.document.lines.setdefault(inner, key_node.start_mark.line + 1)
            data[key_node.value] = self.value(value_node, inner)
        return data

    def check_keys(self, node: yaml.MappingNode, place: Place) -> None:
        first_lines: dict[str, int] = {}
        for key_node, _ in node.value:
            name, line = key_node.value, key_node.start_mark.line + 1
            if key_node.tag != "tag:yaml.org,2002:str" or not isinstance(name, str):
                if key_node.tag != "tag:yaml.org,2002:merge":
                    raise DocumentError(line, f"the key {_written(key_node)} must be text; put it in quotes")
            elif name in first_lines:
                message = f"given twice, first on line {first_lines[name]}; keep one of them"
                self.document.lines[*place, name] = line
                self.document.findings.append(Finding((*place, name), message))
            else:
                first_lines[name] = line

    def scalar(self, node: yaml.Node, place: Place) -> Any:
        try:
            value = self.loader.construct_object(node)
        except ValueError:  # such as 2024-13-45, which looks like a date
            raise DocumentError(node.start_mark.line + 1, f"{_written(node)} can't be read; put it in quotes") from None
        if value is None:
            # An emptied section must not quietly mean "off": `tls:` with all below it commented out is not plaintext.
            self.document.findings.append(Finding(place, "has no value; give it one or take the key out"))
        return value


def _written(node: yaml.Node) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else "here"
