"""Only a client with a known key comes in, and a key is known once somebody has accepted it."""

from collections.abc import Callable
from typing import Any

import pytest
from adb_shell.adb_device import AdbDeviceTcp
from adb_shell.auth.keygen import keygen
from adb_shell.auth.sign_pythonrsa import PythonRSASigner
from adb_shell.exceptions import DeviceAuthError
from hypothesis import given
from hypothesis import strategies as st

from profiler.emulator.adbd import EmulatedDevice, Options
from profiler.emulator.auth import PublicKey, has_signed, parse_public_key
from profiler.emulator.phone import Phone
from profiler.emulator.wire import AUTH, CNXN, OPEN

TOKEN = bytes(range(20))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[PythonRSASigner]:
    made = []
    for name in ("one", "two"):
        path = str(tmp_path_factory.mktemp("keys") / name)
        keygen(path)
        made.append(PythonRSASigner.FromRSAKeyPath(path))
    return made


def public(signer: PythonRSASigner) -> bytes:
    raw = signer.GetPublicKey()
    return raw if isinstance(raw, bytes) else raw.encode()


def come_in(device: EmulatedDevice, signer: PythonRSASigner | None) -> AdbDeviceTcp:
    host, port = device.address.split(":")
    client = AdbDeviceTcp(host, int(port), default_transport_timeout_s=5)
    try:
        client.connect(rsa_keys=[signer] if signer else None, auth_timeout_s=0.3)
    except BaseException:
        client.close()
        raise
    return client


def test_a_signature_is_its_keys_and_its_tokens(keys: list[PythonRSASigner]) -> None:
    one, two = (parse_public_key(public(signer)) for signer in keys)
    signature = keys[0].Sign(TOKEN)
    assert has_signed(one, TOKEN, signature)
    assert not has_signed(two, TOKEN, signature)
    assert not has_signed(one, TOKEN[::-1], signature)
    assert not has_signed(one, TOKEN, signature[:-1] + bytes([signature[-1] ^ 1]))


@given(signature=st.binary(max_size=300) | st.binary(min_size=256, max_size=256))
def test_no_random_bytes_are_a_signature(signature: bytes) -> None:
    assert not has_signed(PublicKey(2**2047 + 1, 65537), TOKEN, signature)


@given(text=st.binary(max_size=900))
def test_no_random_bytes_are_a_key(text: bytes) -> None:
    with pytest.raises(ValueError, match="public key"):
        parse_public_key(text)


def test_a_new_key_is_accepted_once_and_known_after(phone: Phone, keys: list[PythonRSASigner]) -> None:
    with EmulatedDevice(phone, options=Options(wants_key=True)) as device:
        with pytest.raises(DeviceAuthError):
            come_in(device, None)
        first = come_in(device, keys[0])
        assert first.shell("echo in") == "in\n"
        first.close()
        stored = (phone.folder / "data/misc/adb/adb_keys").read_bytes()
        device.drop_connections()  # so that nothing of the first one is still to be counted
        before = device.messages
        come_in(device, keys[0]).close()
        assert device.messages - before == 4  # CNXN, token, signature, CNXN: nobody was asked again
        assert (phone.folder / "data/misc/adb/adb_keys").read_bytes() == stored


def test_a_known_key_comes_in_where_new_ones_are_refused(phone: Phone, keys: list[PythonRSASigner]) -> None:
    phone.write("data/misc/adb/adb_keys", public(keys[0]).rstrip(b"\0") + b"\n")
    with EmulatedDevice(phone, options=Options(wants_key=True, accepts_new_keys=False)) as device:
        come_in(device, keys[0]).close()
        with pytest.raises(Exception, match=r"(?i)timed out|timeout"):
            come_in(device, keys[1])


def test_nothing_is_opened_before_a_client_is_let_in(
    phone: Phone, connect: Callable[[EmulatedDevice], Any], keys: list[PythonRSASigner]
) -> None:
    with EmulatedDevice(phone, options=Options(wants_key=True, accepts_new_keys=False)) as device:
        client = connect(device)
        assert client.greet().command == AUTH
        client.send(OPEN, 1, 0, b"shell:echo in\0")
        client.send(AUTH, 2, 0, bytes(256))
        assert client.receive()[0].command == AUTH  # a new token, and no word about the stream
        client.send(AUTH, 3, 0, public(keys[0]))
        client.send(CNXN, 0x01000001, 4096, b"host::")
        assert client.receive()[0].command == AUTH
