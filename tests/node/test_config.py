"""The configuration of a node: what is wrong is refused with its place, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from monai_sr.core import OptionError
from monai_sr.node.config import read_config

GIVEN = {
    "ae_title": "MONAI_SR",
    "spool": "spool",
    "peers": [{"ae_title": "CT1", "address": "10.0.0.0/24"}],
    "destinations": [{"name": "pacs", "ae_title": "PACS", "host": "10.0.0.2", "port": 104}],
}
TLS = {"certificate": "node.pem", "key": "node.key", "client_ca": "ca.pem"}


def written(folder: Path, **changes: object) -> Path:
    file = folder / "node.yaml"
    file.write_text(yaml.safe_dump({**GIVEN, **changes}), encoding="utf-8")
    return file


def test_values_are_typed_and_files_lie_beside_the_configuration(tmp_path) -> None:
    limits = {"object_bytes": "1.5 GB", "pdu": 16384}
    web = {"name": "web", "url": "https://pacs.example/dicom-web", "token_file": "token"}
    config = read_config(
        written(
            tmp_path,
            limits=limits,
            tls=TLS,
            destinations=[web],
            quiet_seconds=3,
            http={"port": 8080},
            options={"scale": 2},
        )
    )
    assert config.spool == tmp_path / "spool"
    assert config.limits.object_bytes == 1_500_000_000
    assert config.tls is not None
    assert config.tls.client_ca == tmp_path / "ca.pem"
    assert config.destinations[0].token_file == tmp_path / "token"
    assert (config.host, config.quiet_seconds) == ("127.0.0.1", 3.0)
    assert config.http is not None
    assert config.http.host == "127.0.0.1"
    assert config.options == {"scale": 2}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ae_titel": "X"}, r"node.yaml: key 'ae_titel' is unknown; did you mean 'ae_title'\?"),
        ({"limits": {"pdus": 1}}, r"node.yaml: limits: key 'pdus' is unknown; did you mean 'pdu'"),
        ({"peers": [{"ae_title": "CT1"}]}, r"peers\[0\]: address: must be given"),
        (
            {"peers": [{"ae_title": "CT1", "address": "ct1"}]},
            r"peers\[0\].address: must be an IP",
        ),
        ({"peers": {"ae_title": "CT1"}}, r"node.yaml: peers: must be a list, got"),
        ({"peers": []}, r"node.yaml: peers: nobody may send"),
        ({"destinations": []}, r"node.yaml: destinations: must be one at least"),
        ({"destinations": GIVEN["destinations"] * 2}, r"destinations: two have one name"),
        ({"destinations": [{"name": "a/b", "url": "http://x"}]}, r"\[0\].name: must be letters"),
        (
            {"destinations": [{"name": "a"}]},
            r"\[0\]: must have ae_title, host",
        ),
        ({"destinations": [{"name": "a", "url": "ftp://x"}]}, r"\[0\].url: must begin with https"),
        ({"ae_title": "SEVENTEEN_LETTERS"}, r"node.yaml: ae_title: must be 1 to 16 ASCII"),
        ({"port": 0}, r"node.yaml: port: must be 1 to 65535, got 0"),
        ({"port": "104"}, r"node.yaml: port: must be a whole number, got '104'"),
        ({"port": True}, r"node.yaml: port: must be a whole number, got True"),
        (
            {"limits": {"spool_bytes": "much"}},
            r"limits.spool_bytes: must be bytes, or text such as",
        ),
        ({"limits": {"pdu": 100}}, r"limits.pdu: must be at least 4096, got 100"),
        ({"limits": {"associations": 0}}, r"limits.associations: must be above 0, got 0"),
        ({"tls": {"certificate": "a", "key": "b"}}, r"node.yaml: tls: client_ca: must be given"),
        ({"retention_hours": -1}, r"node.yaml: retention_hours: must be above 0, got -1"),
        ({"quiet_seconds": -1}, r"quiet_seconds: must not be negative"),
        ({"http": {"port": 80, "peers": ["all"]}}, r"http.peers.address: must be an IP address"),
        ({"http": {"port": 80, "prefix": "x"}}, r"http.prefix: must be a path"),
        ({"spool": 3}, r"node.yaml: spool: must be the name of a file, got 3"),
    ],
)
def test_what_is_wrong_is_refused_in_one_line_with_its_place(tmp_path, changes, message) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        read_config(written(tmp_path, **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ae_title: [\n", r"must be YAML, got an error in line 2"),
        ("- 1\n", r"must have keys and values, got \[1\]"),
        ("", r"must have keys and values, got nothing"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text, message) -> None:
    file = tmp_path / "node.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(OptionError, match=message):
        read_config(file)


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(OptionError, match="No such file"):
        read_config(tmp_path / "none.yaml")
