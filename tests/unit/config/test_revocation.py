"""Revocation lists and what expires: told before clients are refused for it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mcproxy.config.expiry import authority_notes, expiries
from mcproxy.config.revocation import check_crl, covers_all, crl_notes
from mcproxy.config.schema import ListenerTls
from tests.support.certificates import HOUR, Certificates

PLACE = ("listeners", "one", "tls", "crl")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("other"), "another authority")


@pytest.fixture(scope="module")
def namesake(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("namesake"))


def joined(directory: Path, *paths: Path) -> Path:
    joined = directory / "joined.pem"
    joined.write_bytes(b"".join(path.read_bytes() for path in paths))
    return joined


def problems(crl: Path, client_ca: Path) -> list[str]:
    return [finding.message for finding in check_crl(crl, client_ca, PLACE)]


def test_a_list_of_the_authority_is_right(certificates: Certificates) -> None:
    assert problems(certificates.revocation_list("right"), certificates.authority) == []


def test_a_list_of_an_unknown_authority(certificates: Certificates, other: Certificates, tmp_path: Path) -> None:
    lists = joined(tmp_path, certificates.revocation_list("known"), other.revocation_list("unknown"))
    expected = f"{lists} holds a revocation list of CN=another authority, which is not in {certificates.authority}"
    assert problems(lists, certificates.authority) == [f"{expected}; add it there"]
    both = tmp_path / "both.crt"
    both.write_bytes(certificates.authority.read_bytes() + other.authority.read_bytes())
    assert problems(lists, both) == []


def test_a_list_with_another_key_behind_it(certificates: Certificates, namesake: Certificates) -> None:
    [problem] = problems(namesake.revocation_list("theirs"), certificates.authority)
    assert "is not signed with that authority's key" in problem


def test_a_certificate_in_the_file_would_be_trusted(certificates: Certificates, tmp_path: Path) -> None:
    lists = joined(tmp_path, certificates.revocation_list("list"), certificates.authority)
    assert problems(lists, certificates.authority) == [
        f"{lists} holds a certificate, which would be trusted; authorities belong into client_ca"
    ]


def test_a_damaged_list(certificates: Certificates, tmp_path: Path) -> None:
    lines = certificates.revocation_list("whole").read_text().splitlines()
    damaged = tmp_path / "damaged.crl"
    damaged.write_text("\n".join([lines[0], *lines[2:]]))
    assert problems(damaged, certificates.authority) == [f"{damaged} can't be used; its content is damaged"]


def test_whole_chains_are_checked_where_every_authority_has_a_list(
    certificates: Certificates, other: Certificates, tmp_path: Path
) -> None:
    one, two = certificates.revocation_list("one"), other.revocation_list("two")
    assert covers_all(one, certificates.authority)
    both = tmp_path / "both.crt"
    both.write_bytes(certificates.authority.read_bytes() + other.authority.read_bytes())
    assert not covers_all(one, both)
    assert covers_all(joined(tmp_path, one, two), both)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        (48, None),
        (10, "the list of CN=test authority is stale from "),
        (-1, "the list of CN=test authority is stale since "),
    ],
)
def test_a_note_before_a_list_is_stale_and_after(certificates: Certificates, ends: int, expected: str | None) -> None:
    crl = certificates.revocation_list("timed", begins=-2 * HOUR, ends=ends * HOUR)
    found = [note.message for note in crl_notes(crl, certificates.authority, datetime.now(UTC), 1, PLACE)]
    assert len(found) == (expected is not None)
    if expected is not None:
        assert found[0].startswith(f"{crl}: {expected}")


def test_a_note_about_an_authority_without_a_list(
    certificates: Certificates, other: Certificates, tmp_path: Path
) -> None:
    both = joined(tmp_path, certificates.authority, other.authority)
    crl = certificates.revocation_list("half")
    found = [note.message for note in crl_notes(crl, both, datetime.now(UTC), 1, PLACE)]
    assert found == [f"{crl} has no list of CN=another authority; the certificates that it issued are refused"]


def test_notes_about_authorities_that_expire(certificates: Certificates) -> None:
    def found(**later: int) -> list[str]:
        now = datetime.now(UTC) + timedelta(**later)
        return [note.message for note in authority_notes(certificates.authority, now, 1, PLACE)]

    assert found() == []
    assert "CN=test authority is not valid before" in found(hours=-50)[0]
    assert "CN=test authority expires in 0 days" in found(hours=30)[0]
    assert "CN=test authority has expired on" in found(hours=50)[0]


def test_when_the_files_expire(certificates: Certificates, other: Certificates, tmp_path: Path) -> None:
    """The earliest of a file; of several lists of an authority the newest counts."""
    early = certificates.client("early", ends=2 * HOUR)
    authorities = joined(tmp_path, early.certificate, certificates.authority)
    lists = tmp_path / "lists.crl"
    ends = [other.revocation_list("other", ends=30 * HOUR)]
    ends += [certificates.revocation_list(f"of-{hours}", ends=hours * HOUR) for hours in (20, 40)]
    lists.write_bytes(b"".join(path.read_bytes() for path in ends))
    found = expiries(
        ListenerTls(
            certificate=certificates.server_certificate, key=certificates.server_key, client_ca=authorities, crl=lists
        )
    )
    now = datetime.now(UTC).timestamp()
    assert {key: round((time - now) / 3600) for key, time in found.items()} == {
        "certificate": 48,
        "client_ca": 2,
        "crl": 30,
    }


def test_what_only_openssl_can_read_is_left_out(certificates: Certificates, tmp_path: Path) -> None:
    odd = tmp_path / "odd.crt"
    odd.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    found = expiries(ListenerTls(certificate=odd, key=odd, client_ca=certificates.authority))
    assert set(found) == {"client_ca"}
