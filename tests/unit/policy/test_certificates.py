"""Names of certificates: their types, the form in which they are compared, and what patterns stand for."""

import time

import pytest

from mcproxy.policy.certificates import (
    LONGEST,
    CertificateName,
    CertificateTable,
    granted,
    kind_of,
    presented,
)


def names(*pairs: tuple[str, str]) -> list[CertificateName]:
    return [name for kind, value in pairs if (name := presented(kind, value)) is not None]


def matches(grant: tuple[str, str], *pairs: tuple[str, str]) -> bool:
    return CertificateTable([(granted(*grant), True)]).lookup(names(*pairs)) is True


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("spiffe://prod/web", "uri"),
        ("https://user@host/x", "uri"),
        ("web@example.com", "email"),
        ("web.example.com", "dns"),
        ("*.example.com", "dns"),
        ("localhost", "dns"),
    ],
)
def test_plain_text_shows_its_type(text: str, kind: str) -> None:
    assert kind_of(text) == kind


MATCHING = [
    ("uri", "spiffe://prod/web", "spiffe://prod/web"),
    ("uri", "https://Example.COM/Path", "HTTPS://example.com/Path"),
    ("uri", "https://User@Example.COM:8080/", "https://User@example.com:8080/"),
    ("uri", "URN:uuid:F81D", "urn:uuid:F81D"),
    ("uri", "spiffe://prod/*", "spiffe://prod/web"),
    ("uri", "spiffe://prod/ns/*/sa/web-*", "spiffe://prod/ns/default/sa/web-1"),
    ("uri", "spiffe://*.example.com/web", "spiffe://staging.example.com/web"),
    ("uri", "https://*.example.com/", "https://web.EXAMPLE.com/"),
    ("dns", "Web.Example.com", "wEB.eXAMPLE.cOM"),
    ("dns", "*.example.com", "web.example.com"),
    ("dns", "web-*.example.com", "web-17.example.com"),
    ("dns", "*.*.example.com", "a.b.example.com"),
    ("dns", "web_*", "web_1"),
    ("email", "Sammy@Example.com", "Sammy@example.COM"),
    ("email", "*@example.com", "sammy.o'hara+cache@example.com"),
    ("email", "sammy@*.example.com", "sammy@mail.example.com"),
    ("subject", "CN=web,O=Example", "CN=web,O=Example"),
    ("subject", "CN=*", "CN=*"),
]


@pytest.mark.parametrize(("kind", "grant", "name"), MATCHING)
def test_what_a_grant_means(kind: str, grant: str, name: str) -> None:
    assert matches((kind, grant), (kind, name))
    others = {"uri", "dns", "email", "subject"} - {kind}
    assert not any(matches((kind, grant), (other, name)) for other in others), "another type is another name"


NOT_MATCHING = [
    # Nothing before, behind or around.
    ("uri", "spiffe://prod/web", "spiffe://prod/web2"),
    ("uri", "spiffe://prod/web", "spiffe://prod/web/x"),
    ("uri", "spiffe://prod/web", "spiffe://prod/Web"),
    ("uri", "spiffe://prod/web", "Spiffe://prod/web"),
    ("uri", "spiffe://prod/web", "spiffe://PROD/web"),
    ("uri", "https://example.com/a", "https://example.com/A"),
    ("uri", "https://User@example.com/", "https://user@example.com/"),
    ("dns", "example.com", "xexample.com"),
    ("dns", "example.com", "example.com.evil.example"),
    ("dns", "example.com", "example.com."),
    ("dns", "example.com", "exampleXcom"),
    ("email", "Sammy@example.com", "sammy@example.com"),
    # A star stays in its part, and stands for something.
    ("uri", "spiffe://prod/*", "spiffe://prod/a/b"),
    ("uri", "spiffe://prod/*", "spiffe://prod/"),
    ("uri", "spiffe://prod/*", "spiffe://prod"),
    ("uri", "spiffe://prod/*", "spiffe://prod/.."),
    ("uri", "spiffe://prod/*/web", "spiffe://prod/../web"),
    ("uri", "spiffe://*/web", "spiffe://PROD/web"),
    ("uri", "https://*.example.com/", "https://evil.test/x.example.com/"),
    ("uri", "https://*.example.com/", "https://evil.test?x.example.com/"),
    ("uri", "https://*.example.com/", "https://evil.test#x.example.com/"),
    ("uri", "https://*.example.com/", "https://evil.test:80.example.com/"),
    ("uri", "https://*.example.com/", "https://evil@x.example.com/"),
    ("uri", "https://*.example.com/", "https://a.b.example.com/"),
    ("uri", "https://*.example.com/", "https://a$b.example.com/"),
    ("uri", "spiffe://prod*/web", "spiffe://prod.evil.example/web"),
    ("uri", "spiffe://*/web", "spiffe://prod.evil/web"),
    ("uri", "https://*.example.com/", "https://evil%2Fx.example.com/"),
    ("uri", "https://example.com/*", "https://example.com/a%2Fb"),
    ("uri", "https://example.com/*", "https://example.com/a?b"),
    ("dns", "*.example.com", "a.b.example.com"),
    ("dns", "*.example.com", ".example.com"),
    ("dns", "*.example.com", "example.com"),
    ("dns", "*.example.com", "*.example.com"),
    ("dns", "web-*", "web-"),
    ("email", "*@example.com", "a@b@example.com"),
    ("email", "*@example.com", '"a@b"@example.com'),
    ("email", "sammy@*", "sammy@a.example"),
    ("email", "*@*.example.com", "sammy@a.b.example.com"),
    # The whole subject, and no pattern.
    ("subject", "CN=web,O=Example", "CN=web"),
    ("subject", "CN=web", "CN=web,O=Example"),
    ("subject", "CN=*", "CN=web"),
    # What the other metacharacters of expressions and shells would match.
    ("dns", "web.example.com", "webxexample.com"),
    ("uri", "https://h/a+", "https://h/aa"),
    ("uri", "https://h/a?", "https://h/ab"),
    ("uri", "https://h/[a-z]", "https://h/b"),
    ("uri", "https://h/(a|b)".replace("|", "$"), "https://h/a"),
]


@pytest.mark.parametrize(("kind", "grant", "name"), NOT_MATCHING)
def test_what_a_grant_does_not_mean(kind: str, grant: str, name: str) -> None:
    assert not matches((kind, grant), (kind, name))


@pytest.mark.parametrize("bad", [*"\0\n\r\t\x1b\x7f\x80é ", "\N{CYRILLIC SMALL LETTER A}"])
def test_odd_characters_are_in_nobodys_name(bad: str) -> None:
    for kind, value in (("uri", "https://h/web"), ("dns", "web"), ("email", "web@h"), ("subject", "CN=web")):
        if bad == " " and kind == "subject":
            continue
        for odd in (value + bad, bad + value, value[:1] + bad + value[1:]):
            assert presented(kind, odd) is None, (kind, odd)
        assert not matches((kind, value), (kind, value + bad + ".evil"))


def test_names_that_are_too_long_or_empty_are_nobodys() -> None:
    assert presented("dns", "a" * LONGEST) is not None
    assert presented("dns", "a" * (LONGEST + 1)) is None
    assert all(presented(kind, "") is None for kind in ("uri", "dns", "email", "subject"))


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        ("dns", "", "must not be empty"),
        ("dns", "a" * (LONGEST + 1), f"must have at most {LONGEST} characters"),
        ("dns", "wéb", "printable ASCII"),
        ("dns", "web\n", "printable ASCII"),
        ("dns", "web example", '"web example" is not a DNS name'),
        ("dns", "web..example", "is not a DNS name"),
        ("dns", "urn:uuid:1", "write URIs as {uri: ...}"),
        ("dns", "CN=web", "subjects as {subject: ...}"),
        ("uri", "prod/web", "is not a URI"),
        ("uri", "https://h/%zz", "is not a URI"),
        ("uri", "SPIFFE://prod/web", "no capitals"),
        ("uri", "spiffe://Prod/web", "no capitals"),
        ("uri", "spiffe://prod//web", "is not a URI"),
        ("uri", "*://prod/web", '"*" may not stand for a scheme'),
        ("email", "@example.com", "is not an email address"),
        ("dns", "**.example.com", "once between two delimiters"),
        ("dns", "a*b*c.example.com", "once between two delimiters"),
        ("uri", "spiffe://prod/a*b*", "once between two delimiters"),
        ("uri", "spiffe://a*b*.example/web", "once between two delimiters"),
        ("uri", "https://example.com/%2*", "is not a URI"),
        ("email", "*a*@example.com", "once between two delimiters"),
    ],
)
def test_grants_that_can_not_be(kind: str, value: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"^") as raised:
        granted(kind, value)
    assert problem in str(raised.value)


def test_an_exact_name_goes_before_a_pattern_and_then_the_first_entry() -> None:
    table = CertificateTable(
        (granted(kind_of(text), text), text)
        for text in ("*.example.com", "web-*.example.com", "web-1.example.com", "spiffe://prod/web", "spiffe://prod/*")
    )
    assert table.lookup(names(("dns", "web-1.example.com"))) == "web-1.example.com"
    assert table.lookup(names(("dns", "web-2.example.com"))) == "*.example.com"
    # Whatever the order of the certificate's own names.
    pairs = [("dns", "web-2.example.com"), ("uri", "spiffe://prod/web"), ("uri", "spiffe://prod/other")]
    for order in (pairs, pairs[::-1]):
        assert table.lookup(names(*order)) == "spiffe://prod/web"
        assert table.lookup(names(*[pair for pair in order if pair[1] != "spiffe://prod/web"])) == "*.example.com"
    both = [("uri", "spiffe://prod/web"), ("dns", "web-1.example.com")]
    assert table.lookup(names(*both)) == "web-1.example.com"
    assert table.lookup([]) is None


def test_the_same_name_twice_is_the_first() -> None:
    table = CertificateTable([(granted("dns", "A.example"), 1), (granted("dns", "a.EXAMPLE"), 2)])
    assert table.lookup(names(("dns", "a.example"))) == 1


def test_many_patterns_and_hostile_names_take_no_time() -> None:
    patterns = [granted("uri", f"spiffe://prod/*/a*b/{number}/*-x") for number in range(2000)]
    table = CertificateTable((name, str(name)) for name in patterns)
    hostile = names(*[("uri", "spiffe://prod/" + "a" * 900 + "/" + "a" * 900 + f"b/{number}") for number in range(100)])
    start = time.process_time()
    assert table.lookup(hostile) is None
    assert time.process_time() - start < 2
    assert table.lookup(names(("uri", "spiffe://prod/q/aab/1999/y-x"))) == str(patterns[1999])
