"""Addresses of inputs: what a user may name in place of a file, and what of it may be shown.

``https://host/scene.tif``, ``s3://bucket/key``, ``gs://``, ``az://``; a member of a zip,
``zip://a.zip!b.tif``, ``zip+https://host/a.zip!b.tif``; and GDAL's own spellings of these,
``/vsicurl/``, ``/vsis3/``, ``/vsizip/``, ... (https://gdal.org/user/virtual_file_systems.html).

An address may hold a password, a token or a signature. What is shown, recorded and written has
neither the part before "@" nor the query; two queries are told apart by a hash of what is no
signature in them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from monai_sr.core.errors import BadImageError
from monai_sr.core.fingerprint import sha256

_URL = re.compile(r"^(https?|s3|gs|az)://", re.IGNORECASE)
_ZIP = re.compile(r"^zip(?:\+(https?|s3|gs|az))?://(.+)$", re.IGNORECASE)
_VSI = re.compile(r"^/vsi[a-z0-9]+[/?]")
_FOLDERS = {"s3": "/vsis3/", "gs": "/vsigs/", "az": "/vsiaz/"}
_SCHEMES = {folder: scheme for scheme, folder in _FOLDERS.items()} | {
    "/vsiadls/": "adls", "/vsioss/": "oss", "/vsiswift/": "swift", "/vsihdfs/": "hdfs",
}  # fmt: skip
_ARCHIVES = ("/vsizip/", "/vsitar/", "/vsigzip/")
_MEMBER = re.compile(r"^(.+?\.(?:zip|tar|tgz|tar\.gz|kmz))(?:/(.*))?$", re.IGNORECASE)
# Of AWS, Google, CloudFront; and of Azure, beside its "sig": they change while the file stays.
_SIGNATURES = re.compile(
    r"x-amz-.*|x-goog-.*|awsaccesskeyid|googleaccessid|signature|expires|policy|key-pair-id|"
    r"(access_)?token|api[-_]?key",
    re.IGNORECASE,
)
_OF_AZURE = re.compile(r"s[a-z]{1,2}|sk[a-z]{1,3}|skoid|sktid|rsc[a-z]|saoid|suoid|scid|sdd")
_NAMED = re.compile(r"\S*(?:://|/vsi)\S*|\S+\?\S+=\S*")
_DIGITS = 8
_LONGEST = 150  # of a part of a name


@dataclass(frozen=True)
class Address:
    """An address that a user has given.

    Attributes:
        gdal: GDAL's name for it, credentials included: never to be shown.
        network: the file on the network that GDAL may open for it, by GDAL's name; "" for none.
        place: host or bucket with its scheme, to be shown: ``https://host``, ``s3://bucket``.
        path: of the file there, to be shown, relative, without "..".
        zip: of a zip on this machine: its path, and the member's in it.
    """

    gdal: str
    network: str
    place: str
    path: PurePosixPath
    zip: tuple[str, str] | None = None

    def __str__(self) -> str:
        """Return what may be shown."""
        return f"{self.place}/{self.path}"

    def __repr__(self) -> str:
        """Return what may be shown."""
        return f"Address({str(self)!r})"


def is_address(name: object) -> bool:
    """Tell whether a name is an address and none of a file or folder of this machine.

    Example:
        >>> is_address("https://host/a.tif"), is_address("/vsis3/b/a.tif"), is_address("a.tif")
        (True, True, False)
    """
    text = name if isinstance(name, str) else ""
    return bool(_URL.match(text) or _ZIP.match(text) or _VSI.match(text))


def read_address(text: str) -> Address:
    """Take an address apart.

    Raises:
        BadImageError: it is none that is read here, or incomplete; the message shows no secret.

    Example:
        >>> address = read_address("https://me:secret@host/a/b.tif?Signature=x")
        >>> str(address), address.path.name
        ('https://host/a/b.tif', 'b.tif')
    """
    if found := _ZIP.match(text):
        return _member(text, found[1], found[2])
    if _URL.match(text):
        return _of_url(text)
    return _of_vsi(text)


def without_secrets(text: str) -> str:
    """Return a text with no credentials and queries of the addresses in it.

    Example:
        >>> without_secrets("403 of https://me:pw@host/a.tif?sig=abc now")
        '403 of https://host/a.tif now'
    """
    return _NAMED.sub(lambda found: re.sub(r"//\S*@", "//", found[0].partition("?")[0]), text)


def _of_url(text: str) -> Address:
    parts = urlsplit(text)
    scheme = parts.scheme.lower()
    host = parts.netloc.rpartition("@")[2]
    if not host or not parts.path.strip("/"):
        raise _incomplete(text)
    if scheme in _FOLDERS:
        gdal = f"{_FOLDERS[scheme]}{host}{parts.path}{f'?{parts.query}' if parts.query else ''}"
        return Address(gdal, gdal, f"{scheme}://{host}", _clean(parts.path))
    url = text.partition("#")[0]
    return Address(f"/vsicurl/{url}", f"/vsicurl/{url}", f"{scheme}://{host}",
                   _clean(unquote(parts.path), parts.query))  # fmt: skip


def _of_vsi(text: str) -> Address:
    if text.startswith("/vsicurl/") and re.match(r"https?://", text[9:], re.IGNORECASE):
        return _of_url(text[9:])
    if text.startswith("/vsicurl?"):
        return _of_options(text)
    for folder, scheme in _SCHEMES.items():
        if text.startswith(folder):
            bucket, _, key = text[len(folder) :].partition("/")
            if not bucket or not key:
                raise _incomplete(text)
            return Address(text, text, f"{scheme}://{bucket}", _clean(key.partition("?")[0]))
    for folder in _ARCHIVES:
        if text.startswith(folder):
            return _of_archive(text, folder)
    known = ", ".join(("/vsicurl/", *_SCHEMES, *_ARCHIVES))
    raise BadImageError(
        f"{without_secrets(text)}: must be in one of {known}, got another file system of GDAL; "
        "copy the file first."
    )


def _of_options(text: str) -> Address:
    """Read ``/vsicurl?name=value&...&url=...`` with options of GDAL's."""
    options = dict(parse_qsl(text.partition("?")[2]))
    url = options.pop("url", "")
    if not re.match(r"https?://", url, re.IGNORECASE):
        raise _incomplete(text)
    inner = _of_url(url)
    gdal = f"/vsicurl?{urlencode({**options, 'url': url})}"
    return Address(gdal, gdal, inner.place, inner.path)


def _of_archive(text: str, folder: str) -> Address:
    rest = text[len(folder) :]
    if rest.startswith("{"):
        inside, _, member = rest[1:].partition("}")
        member = member.lstrip("/")
    else:
        found = _MEMBER.match(rest)
        inside, member = (found[1], found[2] or "") if found else (rest, "")
    kind = folder.strip("/").removeprefix("vsi")
    return _inside(kind, folder, inside, member)


def _member(text: str, scheme: str | None, rest: str) -> Address:
    inside, mark, member = rest.partition("!")
    if not mark or not member.strip("/"):
        raise BadImageError(
            f"{without_secrets(text)}: must name a member after '!', got none; write "
            "zip://a.zip!b.tif, or the zip alone."
        )
    return _inside("zip", "/vsizip/", f"{scheme}://{inside}" if scheme else inside, member)


def _inside(kind: str, folder: str, inside: str, member: str) -> Address:
    member = member.strip("/")
    end = f"/{member}" if member else ""
    if is_address(inside):
        outer = read_address(inside)
        path = _clean(f"{outer.path}{end}")
        gdal = f"{folder}{{{outer.gdal}}}{end}"
        return Address(gdal, outer.network, f"{kind}+{outer.place}", path)
    if not inside:
        raise _incomplete(f"{folder}{inside}{end}")
    local = (inside, member) if kind == "zip" else None
    path = _clean(f"{inside}{end}")
    return Address(f"{folder}{{{inside}}}{end}", "", f"{kind}:/", path, local)


def _clean(path: str, query: str = "") -> PurePosixPath:
    """Return a path that leads nowhere else, told from those of other queries."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    # No hidden files: what this package keeps beside an input is one.
    parts = [_short(re.sub(r"^\.|[\\\0]", "_", part)) for part in parts] or ["file"]
    pairs = parse_qsl(query, keep_blank_values=True)
    is_azure = any(name == "sig" for name, _ in pairs)
    kept = [
        (name, value)
        for name, value in pairs
        if not _SIGNATURES.fullmatch(name) and not (is_azure and _OF_AZURE.fullmatch(name))
    ]
    if kept:
        parts.insert(-1, f"query-{sha256(urlencode(sorted(kept)))[:_DIGITS]}")
    return PurePosixPath(*parts)


def _short(part: str) -> str:
    if len(part) <= _LONGEST:
        return part
    stem, dot, suffix = part.rpartition(".")
    end = f"{dot}{suffix}" if stem and len(suffix) < _DIGITS else ""
    return f"{part[: _LONGEST - _DIGITS - len(end)]}{sha256(part)[:_DIGITS]}{end}"


def _incomplete(text: str) -> BadImageError:
    return BadImageError(
        f"{without_secrets(text)}: must name a file at a host or in a bucket, got no such; write "
        "https://host/scene.tif or s3://bucket/scene.tif."
    )
