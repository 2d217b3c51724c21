"""Reads the configuration of a DICOM node: one YAML file into typed values, each key checked.

AE titles: DICOM PS3.5 6.2 (VR AE); associations and TLS: PS3.8, PS3.15 B.12.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from monai_sr.core import OptionError, PathLike, unknown_name

_AE_TITLE = re.compile(r"[\x21-\x5b\x5d-\x7e](?:[\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kMGT]?)B", re.ASCII)
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_LEAST_PDU = 4096  # smaller ones cost time and protect nothing
_PORTS = range(1, 65536)


@dataclass(frozen=True)
class Peer:
    """Somebody who may send by C-STORE.

    Args:
        ae_title: its calling AE title.
        address: its IP address, or network ("10.1.2.0/24").
    """

    ae_title: str
    address: str

    def check(self, place: str) -> None:
        """Raise OptionError where a value cannot be."""
        _check_title(place, self.ae_title)
        _check_network(place, self.address)


@dataclass(frozen=True)
class ServerTls:
    """TLS 1.2 or newer for those who connect to the node; each shows a certificate.

    Args:
        certificate: the node's certificates, PEM.
        key: its private key, PEM.
        client_ca: certificates of the authorities that sign those of peers, PEM.
    """

    certificate: Path
    key: Path
    client_ca: Path


@dataclass(frozen=True)
class ClientTls:
    """TLS 1.2 or newer to a destination.

    Args:
        ca: certificates of the authorities that sign the destination's, PEM; None: the system's.
        certificate: the node's own certificates, PEM, where it shows one.
        key: its private key, PEM.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def check(self, place: str) -> None:
        """Raise OptionError where a value cannot be."""
        if (self.certificate is None) != (self.key is None):
            raise OptionError(f"{place}: certificate and key belong together; give both or none")


@dataclass(frozen=True)
class DestinationConfig:
    """Where results go: by C-STORE (ae_title, host, port) or by DICOMweb (url).

    Args:
        name: what logs and metrics call it.
        ae_title, host, port: of a Storage SCP.
        url: base of a DICOMweb service, to which "/studies" is added.
        tls: encryption; of a url "https" needs none, unless certificates are to be chosen.
        token_file: file of a bearer token, of a url.
        timeout_seconds: for connecting and for each answer.
    """

    name: str
    ae_title: str | None = None
    host: str | None = None
    port: int | None = None
    url: str | None = None
    tls: ClientTls | None = None
    token_file: Path | None = None
    timeout_seconds: float = 30.0

    def check(self, place: str) -> None:
        """Raise OptionError where a value cannot be."""
        if not _NAME.fullmatch(self.name):
            raise OptionError(
                f"{place}.name: must be letters, digits, _ or -, got {self.name!r}; rename it"
            )
        by_dimse = (self.ae_title, self.host, self.port)
        if (self.url is None) == (None in by_dimse) or (self.url and any(by_dimse)):
            raise OptionError(
                f"{place}: must have ae_title, host and port, or else url; give these"
            )
        if self.url is None:
            _check_title(place, str(self.ae_title))
            _check_port(place, self.port)
            if self.token_file is not None:
                raise OptionError(f"{place}.token_file: belongs to a url; leave it out")
        elif not self.url.startswith(("http://", "https://")):
            raise OptionError(f"{place}.url: must begin with https:// or http://; correct it")
        _check_positive(place, self, "timeout_seconds")


@dataclass(frozen=True)
class Limits:
    """What bounds the use of memory, disk and connections.

    Args:
        pdu: largest protocol data unit that is received, bytes.
        associations: how many may be open at once.
        object_bytes: largest object that is received; each open association may hold one in memory.
        spool_bytes: how full the spool may be when a new association is accepted.
        reserve_bytes: how much of the disk must be free then, so that those accepted can finish.
        idle_seconds: when a silent association ends.
    """

    pdu: int = 65536
    associations: int = 10
    object_bytes: int = 10**9
    spool_bytes: int = 50 * 10**9
    reserve_bytes: int = 2 * 10**9
    idle_seconds: float = 60.0

    def check(self, place: str) -> None:
        """Raise OptionError where a value cannot be."""
        names = ("associations", "object_bytes", "spool_bytes", "idle_seconds")
        _check_positive(place, self, *names)
        if self.pdu < _LEAST_PDU:
            raise OptionError(
                f"{place}.pdu: must be at least {_LEAST_PDU}, got {self.pdu}; raise it"
            )
        if self.reserve_bytes < 0:
            raise OptionError(f"{place}.reserve_bytes: must not be negative; set 0 or more")


@dataclass(frozen=True)
class HttpConfig:
    """The HTTP side: STOW-RS in, health, metrics.

    Args:
        port: where it listens.
        host: address that it listens on.
        prefix: path before "/studies".
        peers: IP addresses or networks that may ask; loopback alone by default.
        token_file: file of a bearer token that STOW needs, where given.
        tls: encryption with client certificates, where given.
    """

    port: int
    host: str = "127.0.0.1"
    prefix: str = "/dicom-web"
    peers: tuple[str, ...] = ("127.0.0.0/8", "::1")
    token_file: Path | None = None
    tls: ServerTls | None = None

    def check(self, place: str) -> None:
        """Raise OptionError where a value cannot be."""
        _check_port(place, self.port)
        for network in self.peers:
            _check_network(f"{place}.peers", network)
        if self.prefix and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", self.prefix):
            raise OptionError(
                f"{place}.prefix: must be a path (/dicom-web), got {self.prefix!r}; correct it"
            )


@dataclass(frozen=True)
class NodeConfig:
    """All of a node.

    Args:
        ae_title: what peers call the node.
        spool: folder on a local disk, made with the mode 0700.
        peers: who may send by C-STORE.
        destinations: where results go.
        host, port: where it listens for associations.
        model: name of a model or bundle; None: for each image the bundle that fits its header.
        options: of the bundles, see :class:`monai_sr.FileUpscaler`.
        quiet_seconds: how long after its last image a study counts as complete.
        patience_seconds: how long after that image an association may stay open and hold it back.
        retention_hours: how long what was sent, and the list of what was received, is kept.
        quarantine_days: how long what failed is kept.
        workers: how many series are read, enlarged and written at once.
        attempts: how often a failure that may pass, or the end of the process, is tried again.
        key_file: secret of the hashes in names and logs, made at the first start; by default
            "hash.key" in the spool.
        tls: encryption of associations, with client certificates.
        limits: of memory, disk and connections.
        http: the HTTP side; None: there is none.
    """

    ae_title: str
    spool: Path
    peers: tuple[Peer, ...]
    destinations: tuple[DestinationConfig, ...]
    host: str = "127.0.0.1"
    port: int = 11112
    model: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    quiet_seconds: float = 10.0
    patience_seconds: float = 300.0
    retention_hours: float = 24.0
    quarantine_days: float = 30.0
    workers: int = 1
    attempts: int = 3
    key_file: Path | None = None
    tls: ServerTls | None = None
    limits: Limits = field(default_factory=Limits)
    http: HttpConfig | None = None

    def check(self, place: str) -> None:
        """Raise OptionError where a value cannot be."""
        _check_title(place, self.ae_title)
        _check_port(place, self.port)
        _check_positive(
            place, self, "patience_seconds", "retention_hours", "quarantine_days", "workers",
            "attempts",
        )  # fmt: skip
        if self.quiet_seconds < 0:
            raise OptionError(f"{place}: quiet_seconds: must not be negative; set 0 or more")
        if not self.peers and self.http is None:
            raise OptionError(f"{place}: peers: nobody may send; list peers, or give http")
        if not self.destinations:
            raise OptionError(f"{place}: destinations: must be one at least, got none; list one")
        names = [destination.name for destination in self.destinations]
        if len(set(names)) < len(names):
            raise OptionError(f"{place}: destinations: two have one name; rename one")


def read_config(path: PathLike) -> NodeConfig:
    """Read the configuration of a node.

    Args:
        path: YAML file; relative names of files in it are beside it. Sizes are bytes or text such
            as "20 GB" (decimal).

    Raises:
        OptionError: the file is missing or no YAML, a key is unknown or lacks, or a value cannot
            be; the message has its place.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "node.yaml"
        >>> _ = file.write_text('''
        ... ae_title: MONAI_SR
        ... spool: spool
        ... peers: [{ae_title: CT1, address: 10.0.0.7}]
        ... destinations: [{name: pacs, ae_title: PACS, host: 10.0.0.2, port: 104}]
        ... limits: {object_bytes: 200 MB}
        ... ''')
        >>> config = read_config(file)
        >>> config.peers[0].ae_title, config.limits.object_bytes, config.spool.is_absolute()
        ('CT1', 200000000, True)
    """
    file = Path(path)
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"{path}: must be readable, got '{error.strerror}'; check it") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = "" if line is None else f" in line {line + 1}"
        raise OptionError(f"{path}: must be YAML, got an error{where}; correct it") from error
    config: NodeConfig = _Reader(file.absolute().parent).build(NodeConfig, found, str(path))
    return config


class _Reader:
    """Turns mappings into dataclasses by their annotations."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def build(self, kind: type, found: Any, place: str) -> Any:
        if not isinstance(found, Mapping):
            raise OptionError(f"{place}: must have keys and values, got {_show(found)}; correct it")
        fields = {each.name: each for each in dataclasses.fields(kind)}
        hints = typing.get_type_hints(kind)
        values = {}
        for key, value in found.items():
            if key not in fields:
                raise OptionError(f"{place}: {unknown_name('key', str(key), fields)}")
            values[key] = self._value(hints[key], value, _below(place, key))
        for name, each in fields.items():
            needs = each.default is each.default_factory is dataclasses.MISSING
            if needs and name not in values:
                raise OptionError(f"{place}: {name}: must be given, got nothing; add it")
        made = kind(**values)
        if hasattr(made, "check"):
            made.check(place)
        return made

    def _value(self, hint: Any, value: Any, place: str) -> Any:
        options = typing.get_args(hint)
        if isinstance(hint, types.UnionType):
            if value is None:
                return None
            hint = next(option for option in options if option is not types.NoneType)
        elif typing.get_origin(hint) is tuple:
            if not isinstance(value, list):
                raise OptionError(f"{place}: must be a list, got {_show(value)}; begin it with -")
            return tuple(self._value(options[0], v, f"{place}[{i}]") for i, v in enumerate(value))
        if dataclasses.is_dataclass(hint):
            return self.build(typing.cast("type", hint), value, place)
        return self._plain(hint, value, place)

    def _plain(self, hint: Any, value: Any, place: str) -> Any:
        if hint is int and place.endswith("_bytes"):
            value = _bytes(value)
        if hint is float and type(value) is int:
            value = float(value)
        if hint is Path and isinstance(value, str) and value:
            return self._folder / Path(value).expanduser()
        if hint in (int, float, str) and type(value) is hint:
            return value
        if typing.get_origin(hint) is not None and isinstance(value, dict):
            return value
        wanted = {int: "a whole number", float: "a number", str: "text", Path: "the name of a file"}
        if place.endswith("_bytes"):
            wanted[int] = "bytes, or text such as 20 GB"
        kind = wanted.get(hint, "keys and values")
        raise OptionError(f"{place}: must be {kind}, got {_show(value)}; correct it")


def _below(place: str, key: str) -> str:
    return f"{place}: {key}" if place.endswith((".yaml", ".yml")) else f"{place}.{key}"


def _bytes(value: Any) -> Any:
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    return round(float(match[1]) * _UNITS[match[2]]) if match else value


def _show(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) < 40 else f"{text[:36]}..."


def _check_title(place: str, title: str) -> None:
    if not _AE_TITLE.fullmatch(title):
        raise OptionError(
            f"{_below(place, 'ae_title')}: must be 1 to 16 ASCII characters without a backslash or "
            f"spaces at its ends, got {title!r}; correct it"
        )


def _check_network(place: str, network: str) -> None:
    try:
        ipaddress.ip_network(network)
    except ValueError as error:
        raise OptionError(
            f"{place}.address: must be an IP address or network (10.1.2.0/24), got {network!r}; "
            "correct it"
        ) from error


def _check_port(place: str, port: int | None) -> None:
    if port not in _PORTS:
        raise OptionError(f"{_below(place, 'port')}: must be 1 to 65535, got {port}; correct it")


def _check_positive(place: str, owner: Any, *names: str) -> None:
    for name in names:
        if not getattr(owner, name) > 0:
            raise OptionError(
                f"{_below(place, name)}: must be above 0, got {getattr(owner, name)}; correct it"
            )
