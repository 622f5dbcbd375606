from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.config import EdgeSettings
from app.identity.authority import Authority, certificate_to_pem, key_to_pem, new_key
from backplane.cli.address import Address
from backplane.cli.settings import SettingsError, load_settings


def load(**flags: object) -> EdgeSettings:
    return load_settings(EdgeSettings, flags=flags, environ={})


def failure(**flags: object) -> str:
    with pytest.raises(SettingsError) as caught:
        load(**flags)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    authority = Authority.create(now=datetime.now(UTC))
    certificate, key = tmp_path / "public.crt", tmp_path / "public.key"
    certificate.write_bytes(certificate_to_pem(authority.certificate))
    key.write_bytes(key_to_pem(authority.key))
    return certificate, key


def test_nothing_is_required() -> None:
    settings = load()
    addresses = (settings.public, settings.tunnel, settings.api)
    assert [str(address) for address in addresses] == ["127.0.0.1:8080", "127.0.0.1:7443", "127.0.0.1:7000"]
    assert (settings.domain, settings.default_service, settings.access_log) == ("localhost", "auto", "-")
    assert settings.identity_path == settings.data_dir == Path("edge-data")


def test_dead_agents_are_found_within_fifty_seconds_by_default() -> None:
    settings = load()
    assert (settings.ping_interval, settings.ping_timeout) == (25, 10)
    assert load(ping_interval=1.5).ping_interval == 1.5


@pytest.mark.parametrize("key", ["ping_interval", "ping_timeout"])
@pytest.mark.parametrize("seconds", ["0", "-1", "inf", "nan"])
def test_times_of_liveness_are_positive(key: str, seconds: str) -> None:
    assert failure(**{key: seconds}).startswith(f"flag --{key.replace('_', '-')}: ")


def test_identity_directory_can_be_apart() -> None:
    assert load(identity_dir=Path("fleet")).identity_path == Path("fleet")


def test_agents_dial_the_bound_address_unless_another_is_advertised() -> None:
    bound = Address("127.0.0.1", 40000)
    assert load(tunnel="127.0.0.1:0").advertised(bound) == bound
    assert load(advertise="edge.example:443").advertised(bound) == Address("edge.example", 443)


@pytest.mark.parametrize("tunnel", ["0.0.0.0:7443", "[::]:7443"])
def test_tunnel_on_every_address_asks_for_one_to_dial(tunnel: str) -> None:
    assert "give --advertise HOST:PORT" in failure(tunnel=tunnel)
    assert str(load(tunnel=tunnel, advertise="edge.example:7443").tunnel) == tunnel


@pytest.mark.parametrize("advertise", ["0.0.0.0:1", "edge.example:0"])
def test_advertised_address_must_be_one_to_dial(advertise: str) -> None:
    message = failure(advertise=advertise)
    assert message.startswith("flag --advertise: ")
    assert "cannot be dialled" in message


def test_domain_is_brought_into_one_form() -> None:
    assert load(domain="Apps.Example.").domain == "apps.example"


@pytest.mark.parametrize("domain", ["", ".", "a..b", "a b", "*.example", "a/b"])
def test_wrong_domain_is_refused(domain: str) -> None:
    assert failure(domain=domain).startswith("flag --domain: ")


@pytest.mark.parametrize("service", ["auto", "none", "web"])
def test_default_service_is_a_name_or_a_word(service: str) -> None:
    assert load(default_service=service).default_service == service


def test_wrong_default_service_is_refused() -> None:
    assert failure(default_service="a_b").startswith("flag --default-service: ")


def test_matching_certificate_and_key_are_accepted(pair: tuple[Path, Path]) -> None:
    settings = load(public_cert=pair[0], public_key=pair[1])
    assert (settings.public_cert, settings.public_key) == pair


def test_certificate_and_key_need_each_other(pair: tuple[Path, Path]) -> None:
    assert "give --public-key as well" in failure(public_cert=pair[0])
    assert "give --public-cert as well" in failure(public_key=pair[1])


def test_missing_certificate_is_named(pair: tuple[Path, Path]) -> None:
    missing = pair[0].with_name("none.crt")
    assert (
        failure(public_cert=missing, public_key=pair[1])
        == f"public_cert {missing}: No such file or directory"
    )


def test_key_of_another_certificate_is_refused(pair: tuple[Path, Path]) -> None:
    pair[1].write_bytes(key_to_pem(new_key()))
    assert "do not make a pair of PEM files: key values mismatch" in failure(
        public_cert=pair[0], public_key=pair[1]
    )


def test_file_that_is_no_certificate_is_refused(pair: tuple[Path, Path]) -> None:
    pair[0].write_text("hello")
    assert "do not make a pair of PEM files" in failure(public_cert=pair[0], public_key=pair[1])


def test_encrypted_key_is_refused_without_asking_for_a_password(pair: tuple[Path, Path]) -> None:
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

    encrypted = new_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    pair[1].write_bytes(encrypted)
    assert failure(public_cert=pair[0], public_key=pair[1]).startswith("public_key is encrypted: ")


JUNK = ["", "many", -1, 0, 1e300, "nan", 1.5, ["x"], [1], {}, {"a": 1}, {"a": [1]}, "x" * 1000, 10**30]


@pytest.mark.parametrize("key", EdgeSettings.model_fields)
def test_what_is_wrong_is_said_in_our_words(key: str) -> None:
    said = []
    for value in JUNK:
        try:
            load(**{key: value})
        except SettingsError as error:
            said.append(str(error))
    assert said
    for message in said:
        assert "\n" not in message
        assert len(message) < 1500
        assert not any(word in message for word in ("Input", "valid ", "pattern", "instance"))
