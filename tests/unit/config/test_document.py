import pytest

from mcproxy.config.document import DocumentError, read_document


def test_every_key_and_item_has_its_line():
    document = read_document("a:\n  b: 1\n  c:\n    - x\n    - {d: 2}\n")
    assert document.data == {"a": {"b": 1, "c": ["x", {"d": 2}]}}
    lines = {place: document.line(place) for place in [("a",), ("a", "b"), ("a", "c", 0), ("a", "c", 1, "d")]}
    assert lines == {("a",): 1, ("a", "b"): 2, ("a", "c", 0): 4, ("a", "c", 1, "d"): 5}


def test_a_missing_key_has_its_parents_line():
    assert read_document("x: 1\na:\n  b: 1\n").line(("a", "missing", "deep")) == 2


def test_duplicate_keys_at_any_depth():
    document = read_document("a:\n  b: 1\n  c: 2\n  b: 3\nd: {}\na: {}\n")
    told = {(document.line(finding.place), finding.place, finding.message) for finding in document.findings}
    assert told == {
        (4, ("a", "b"), "given twice, first on line 2; keep one of them"),
        (6, ("a",), "given twice, first on line 1; keep one of them"),
    }


def test_a_key_without_a_value_is_a_finding():
    document = read_document("a:\nb: ~\nc: [x, null]\n")
    assert [finding.place for finding in document.findings] == [("a",), ("b",), ("c", 1)]


def test_aliases_and_merges_with_overrides_are_no_duplicates():
    document = read_document("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: &c {<<: *a, x: 4}\nd: *c\n")
    assert document.data["b"] == {"x": 3, "y": 2}
    assert document.data["c"] == document.data["d"] == {"x": 4, "y": 2}
    assert document.findings == []


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", None, "is empty"),
        ("# nothing\n", None, "is empty"),
        ("- a\n", 1, "must be a mapping"),
        ("a\n", 1, "must be a mapping"),
        ("a: 1\n b: 2\n", 2, "not valid YAML"),
        ("a: [1\nb: 2\n", 2, "not valid YAML"),
        ("a:\n\tb: 1\n", 2, "indent with spaces, not tabs"),
        ("a: b: c\n", 1, 'put a value that holds ": " in quotes'),
        ("a: 'x\n", 2, "not valid YAML"),
        ("a: *nobody\n", 1, "not valid YAML"),
        ("a: 1\n---\nb: 2\n", 2, "not valid YAML"),
        ("a: 1\nb: \x01\n", 2, "U+0001 is not allowed"),
        ("a: !!python/object/apply:os.system ['true']\n", 1, "is not known here"),
        ("a: !!python/name:os.system ''\n", 1, "not valid YAML"),
        ("a: !secret x\n", 1, "not valid YAML"),
        ("a: !!omap [b: 1]\n", 1, "is not known here"),
        ("x: 1\n8080: {}\n", 2, "the key 8080 must be text; put it in quotes"),
        ("on: 1\n", 1, "the key on must be text"),
        ("? [a]\n: 1\n", 1, "the key here must be text"),
        ("a: 2024-13-45\n", 1, "can't be read; put it in quotes"),
        ("a: &a [*a]\n", 1, "refers to something that it is part of"),
        ("a: &a {b: *a}\n", 1, "refers to something that it is part of"),
        ("a: " + "[" * 20000, None, "nested too deeply"),
    ],
)
def test_what_is_no_document(text, line, message):
    with pytest.raises(DocumentError) as caught:
        read_document(text)
    assert message in caught.value.message
    assert caught.value.line == line
    assert "\n" not in caught.value.message


def test_aliases_do_not_multiply_without_end():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(DocumentError) as caught:
        read_document("\n".join(lines))
    assert "aliases blow it up" in caught.value.message


def test_many_values_are_not_even_composed():
    """Each takes hundreds of bytes for the three that it has here."""
    with pytest.raises(DocumentError, match="it has more than 200000 values"):
        read_document("a: [" + "[]," * 250_000 + "0]\n")
