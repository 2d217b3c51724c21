"""Addresses: what GDAL is to open for them, and that nothing shown holds a secret."""

from __future__ import annotations

import pytest

from monai_sr.core import BadImageError, is_address, read_address, without_secrets

SECRET = "geheim"


@pytest.mark.parametrize(
    ("text", "gdal", "network", "shown"),
    [
        ("https://host/a/b.tif", "/vsicurl/https://host/a/b.tif", None, "https://host/a/b.tif"),
        (
            "https://me:geheim@host:81/b.tif?X-Amz-Signature=geheim",
            "/vsicurl/https://me:geheim@host:81/b.tif?X-Amz-Signature=geheim",
            None,
            "https://host:81/b.tif",
        ),
        ("HTTP://host/my%20scene.tif#part", "/vsicurl/HTTP://host/my%20scene.tif", None,
         "http://host/my scene.tif"),
        ("s3://bucket/k//e y.tif", "/vsis3/bucket/k//e y.tif", None, "s3://bucket/k/e y.tif"),
        ("gs://bucket/key.tif", "/vsigs/bucket/key.tif", None, "gs://bucket/key.tif"),
        ("/vsis3/bucket/key.tif", "/vsis3/bucket/key.tif", None, "s3://bucket/key.tif"),
        ("/vsicurl/https://host/b.tif", "/vsicurl/https://host/b.tif", None, "https://host/b.tif"),
        (
            "/vsicurl?header.Authorization=geheim&url=https%3A%2F%2Fhost%2Fb.tif",
            "/vsicurl?header.Authorization=geheim&url=https%3A%2F%2Fhost%2Fb.tif",
            None,
            "https://host/b.tif",
        ),
        (
            "/vsizip//vsicurl/https://host/a.zip/c/b.tif",
            "/vsizip/{/vsicurl/https://host/a.zip}/c/b.tif",
            "/vsicurl/https://host/a.zip",
            "zip+https://host/a.zip/c/b.tif",
        ),
        (
            "zip+https://host/a.zip?sig=geheim!c/b.tif",
            "/vsizip/{/vsicurl/https://host/a.zip?sig=geheim}/c/b.tif",
            "/vsicurl/https://host/a.zip?sig=geheim",
            "zip+https://host/a.zip/c/b.tif",
        ),
        ("/vsitar/{s3://bucket/a.tar}/b.tif", "/vsitar/{/vsis3/bucket/a.tar}/b.tif",
         "/vsis3/bucket/a.tar", "tar+s3://bucket/a.tar/b.tif"),
        ("/vsigzip//vsicurl/https://host/b.tif.gz", "/vsigzip/{/vsicurl/https://host/b.tif.gz}",
         "/vsicurl/https://host/b.tif.gz", "gzip+https://host/b.tif.gz"),
    ],
)  # fmt: skip
def test_an_address_has_a_name_for_gdal_and_one_to_show(text, gdal, network, shown):
    address = read_address(text)
    assert is_address(text)
    assert (address.gdal, address.network) == (gdal, network or gdal)
    assert str(address) == shown
    assert SECRET not in repr(address) + str(address.path)


def test_a_zip_of_this_machine_is_told_by_its_path_and_member():
    for text in ("zip:///data/a.zip!c/b.tif", "/vsizip//data/a.zip/c/b.tif"):
        assert read_address(text).zip == ("/data/a.zip", "c/b.tif")
    assert read_address("zip://a.zip!b.tif").zip == ("a.zip", "b.tif")
    assert read_address("/vsizip/a.zip").zip == ("a.zip", "")


@pytest.mark.parametrize("name", ["a.tif", "/data/a.tif", "C:/a.tif", "s3:a", "/vsi", "vsizip/a"])
def test_names_of_files_are_no_addresses(name):
    assert not is_address(name)


def test_queries_are_told_apart_but_for_what_signs_them():
    first = read_address("https://h/tile?id=1&X-Amz-Signature=a&X-Amz-Date=1")
    again = read_address("https://h/tile?id=1&X-Amz-Signature=b&X-Amz-Date=2")
    other = read_address("https://h/tile?id=2&X-Amz-Signature=a&X-Amz-Date=1")
    assert str(first) == str(again) != str(other)
    assert str(read_address("https://h/a.tif?sv=1&se=2&sig=x")) == "https://h/a.tif"
    # Without a signature these names mean something else.
    assert str(read_address("https://h/a.tif?se=2")) != "https://h/a.tif"


def test_a_path_leads_nowhere_and_hides_nothing():
    assert str(read_address("https://h/../../a/./.b.tif").path) == "a/_b.tif"
    long = read_address(f"https://h/{'x' * 400}.tif").path.name
    assert len(long) <= 150
    assert long.endswith(".tif")


@pytest.mark.parametrize(
    "text",
    [
        "https://me:geheim@", "https://host?sig=geheim", "s3://bucket", "/vsis3/bucket?geheim",
        "/vsimem/a.tif?geheim", "/vsistdin/?geheim", "/vsicurl?header.X=geheim",
        "zip+https://me:geheim@host/a.zip", "/vsicurl/ftp://me:geheim@host/a.tif", "/vsizip/",
    ],
)  # fmt: skip
def test_what_is_no_file_is_refused_in_one_line_without_secrets(text):
    with pytest.raises(BadImageError, match=r"must (name|be in)") as caught:
        read_address(text)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_texts_lose_the_secrets_of_all_addresses_in_them():
    assert without_secrets("scene.tif?sig=geheim, band 1: no") == "scene.tif band 1: no"
    text = "open of '/vsicurl/https://a:geheim@h/x.tif?k=geheim', then s3://b/k?x=geheim failed"
    told = without_secrets(text)
    assert SECRET not in told
    assert "https://h/x.tif" in told
    assert "failed" in told
