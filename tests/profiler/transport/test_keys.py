import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from profiler.transport.keys import find_key, public_blob, read_key


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "config" / "fedjoule"
    first = find_key(folder)
    assert find_key(folder) == first
    assert os.listdir(folder) == ["adbkey"]
    assert (folder / "adbkey").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o077 == 0
    assert "PRIVATE" not in repr(first)


def test_processes_that_start_at_once_end_up_with_one_key(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path\nfrom profiler.transport.keys import find_key\n"
        f"print(find_key(Path({str(tmp_path)!r})).public)"
    )
    running = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) for _ in range(3)]
    said = {process.communicate(timeout=30)[0] for process in running}
    assert len(said) == 1
    assert said.pop().decode().strip() == find_key(tmp_path).public
    assert os.listdir(tmp_path) == ["adbkey"]


def test_the_key_adb_has_is_used_and_otherwise_one_in_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    ours = find_key()
    assert ours.path == tmp_path / ".config" / "fedjoule" / "adbkey"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))
    assert find_key().path == tmp_path / "elsewhere" / "fedjoule" / "adbkey"
    theirs = find_key(tmp_path / ".android")
    assert find_key() == theirs
    theirs.path.write_text("damaged")
    assert find_key().path == tmp_path / "elsewhere" / "fedjoule" / "adbkey"
    assert theirs.path.read_text() == "damaged"


@pytest.mark.parametrize(
    "content", [b"", b"damaged", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_damaged_key_of_ours_is_named_and_kept(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "adbkey").write_bytes(content)
    with pytest.raises(ValueError, match=r"adbkey holds no unencrypted private key; remove it"):
        find_key(tmp_path)
    assert (tmp_path / "adbkey").read_bytes() == content


def test_a_key_of_another_kind_or_size_is_refused(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    for key in (ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 1024)):
        (tmp_path / "adbkey").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        with pytest.raises(ValueError, match="must hold an RSA key of 2048 bits"):
            read_key(tmp_path / "adbkey")


def test_the_public_half_is_what_adb_shell_and_the_emulated_phone_make_of_it(keys: Path) -> None:
    """Two independent implementations: one that writes the format, one that reads it and checks a signature."""
    from adb_shell.auth.keygen import encode_pubkey  # type: ignore[import-untyped]
    from adb_shell.auth.sign_pythonrsa import PythonRSASigner  # type: ignore[import-untyped]

    from profiler.emulator.auth import has_signed, parse_public_key

    key = find_key(keys)
    blob, owner = key.public.split(" ")
    assert base64.b64decode(blob) == encode_pubkey(str(key.path))
    assert "@" in owner
    known = parse_public_key(key.public.encode())
    assert public_blob(known.modulus, known.exponent) == blob
    token = bytes(range(20))
    assert has_signed(known, token, PythonRSASigner(key.public, key.private).Sign(token))


def test_the_public_half_is_what_adb_says(keys: Path, tmp_path: Path) -> None:
    import shutil

    adb = shutil.which("adb")
    if adb is None:
        pytest.skip("needs adb on the PATH")
    env = {**os.environ, "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    subprocess.run([adb, "keygen", str(tmp_path / "key")], env=env, check=True, capture_output=True, timeout=30)
    assert read_key(tmp_path / "key").public.split()[0] == (tmp_path / "key.pub").read_text().split()[0]
