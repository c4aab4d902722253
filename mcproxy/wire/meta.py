"""Vetting meta commands: their flags, the key that they mean, and whether the principal may do what they come to."""

from typing import Final

from mcproxy.wire import grammar
from mcproxy.wire.error_lines import BAD_FORMAT, DENIED
from mcproxy.wire.meta_requests import MetaDebug, MetaRequest
from mcproxy.wire.meta_rules import VERBS, read_flags
from mcproxy.wire.outcome import Refusal
from mcproxy.wire.requests import Sink
from mcproxy.wire.text_refusals import TOO_LARGE
from mcproxy.wire.text_rules import TextRules

_BASE64: Final = ord("b")


def request(
    sink: Sink, verb: bytes, name: bytes, flags_text: bytes, rules: TextRules, own_name: bytes | None
) -> MetaRequest | Refusal:
    """mg, md or ma. `own_name` is the client's name for the key, where it isn't `name`."""
    return _vet(sink, verb, name, b"", flags_text, rules, own_name)


def storage(
    sink: Sink, name: bytes, length: int, flags_text: bytes, rules: TextRules, own_name: bytes | None
) -> MetaRequest | Refusal:
    """ms, without its data block; if it is refused, the block is to be swallowed."""
    vetted = _vet(sink, b"ms", name, b" %d" % length, flags_text, rules, own_name)
    if length > rules.limits.value and isinstance(vetted, MetaRequest):
        return Refusal(TOO_LARGE, "value too large")
    return vetted


def debug(sink: Sink, name: bytes, base64: bool, rules: TextRules, own_name: bytes | None) -> MetaDebug | Refusal:
    """me. Newer memcacheds don't decode its key, so it goes up decoded."""
    key = grammar.decode_key(name) if base64 else name
    if key is None:
        return Refusal(BAD_FORMAT, "bad key")
    if not rules.grants_class("inspect", key):
        return _denied("inspect")
    return MetaDebug(sink, b"me " + key + b"\r\n", key, own_name)


def _vet(
    sink: Sink,
    verb: bytes,
    name: bytes,
    length: bytes,
    flags_text: bytes,
    rules: TextRules,
    own_name: bytes | None,
) -> MetaRequest | Refusal:
    flags = read_flags(verb, flags_text)
    if flags.error:
        return Refusal(flags.error, "malformed")
    key = grammar.decode_key(name) if _BASE64 in flags.letters else name
    if key is None:
        return Refusal(VERBS[verb].words.base64, "bad key")
    for command_class in flags.classes:
        if not rules.grants_class(command_class, key):
            return _denied(command_class)
    line = verb + b" " + name + length + flags.sent + b"\r\n"
    return MetaRequest(sink, line, verb, name, key, flags, own_name)


def _denied(command_class: str) -> Refusal:
    return Refusal(DENIED, "denied", denied=command_class)
