"""What others see of a photo: pixels only, and without consent no face."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from cv2.data import haarcascades
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from dashboard.privacy import photos
from dashboard.privacy.photos import for_others
from geodata.errors import DudaoError

ASTRONAUT = Path(__file__).parents[1] / "data" / "privacy" / "astronaut.jpg"
FACE = (175, 70, 275, 190)
"""Where the astronaut's face is, in pixels."""
SECRETS = (b"Exif", b"GPS", b"http://ns.adobe.com", b"SECRET", b"ICC_PROFILE", b"Photoshop")


def astronaut() -> Image.Image:
    return Image.open(ASTRONAUT).convert("RGB")


def encoded(photo: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    body = BytesIO()
    photo.save(body, kind, **options)
    return body.getvalue()


def decoded(body: bytes) -> Image.Image:
    photo = Image.open(BytesIO(body))
    photo.load()
    return photo


def exif(orientation: int = 1) -> Image.Exif:
    """Where, when and with what: as a phone writes it."""
    found = Image.Exif()
    found[ExifTags.Base.Make] = "SECRET phone"
    found[ExifTags.Base.Orientation] = orientation
    found[ExifTags.Base.DateTime] = "2026:10:01 08:00:00"
    gps = found.get_ifd(ExifTags.IFD.GPSInfo)
    gps[ExifTags.GPS.GPSLatitudeRef], gps[ExifTags.GPS.GPSLatitude] = "N", (38.0, 42.0, 3.5)
    gps[ExifTags.GPS.GPSLongitudeRef], gps[ExifTags.GPS.GPSLongitude] = "E", (116.0, 38.0, 1.5)
    return found


def full_of_metadata(kind: str) -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options: dict[str, object] = {"exif": exif(), "icc_profile": profile}
    if kind == "PNG":
        told = PngInfo()
        told.add_text("Comment", "SECRET place")
        told.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta xmlns:x='adobe:ns:meta/'>SECRET</x:xmpmeta>")
        options["pnginfo"] = told
    else:
        options["xmp"] = (
            b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>http://ns.adobe.com SECRET</x:xmpmeta>"
        )
    if kind == "JPEG":
        options["comment"] = b"SECRET comment"
    return encoded(astronaut().resize((96, 96)), kind, **options)


@pytest.mark.parametrize("consent", [True, False])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_no_metadata_is_left(kind: str, consent: bool) -> None:
    given_away = full_of_metadata(kind)
    assert any(secret in given_away for secret in SECRETS)
    body = for_others(given_away, consent)
    photo = decoded(body)
    assert photo.format == "JPEG" and photo.mode == "RGB"
    assert not [secret for secret in SECRETS if secret in body]
    assert not photo.getexif() and not photo.info.keys() - {
        "jfif", "jfif_version", "jfif_unit", "jfif_density",
    }  # fmt: skip


def test_with_consent_the_photo_stays_as_it_is() -> None:
    shown = decoded(for_others(ASTRONAUT.read_bytes(), consent=True))
    assert shown.size == astronaut().size
    difference = np.abs(np.asarray(shown, dtype=int) - np.asarray(astronaut(), dtype=int))
    assert difference.mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_comes_upright(orientation: int) -> None:
    corner = Image.new("RGB", (80, 40), "white")
    corner.paste("red", (0, 0, 20, 20))
    # As the camera held it: the viewer would turn it back.
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    held = corner.transpose(undo[orientation]) if orientation > 1 else corner
    shown = decoded(for_others(encoded(held, quality=95, exif=exif(orientation)), consent=True))
    assert shown.size == (80, 40)
    red, green, _ = shown.getpixel((8, 8))
    assert red > 200 and green < 60
    assert min(shown.getpixel((70, 30))) > 200


def faces_found(photo: Image.Image) -> int:
    detector = cv2.CascadeClassifier(f"{haarcascades}haarcascade_frontalface_alt2.xml")
    grey = np.asarray(photo.convert("L").resize((1024, 1024)))
    return len(detector.detectMultiScale(grey, 1.1, 5, minSize=(60, 60)))


@pytest.mark.slow
@pytest.mark.parametrize(("mirrored", "turn"), [(False, 0), (True, 0), (False, 15)])
def test_without_consent_no_face_is_left(mirrored: bool, turn: int) -> None:
    photo = astronaut()
    if mirrored:
        photo = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    photo = photo.rotate(turn, resample=Image.Resampling.BICUBIC, fillcolor="grey")
    if not turn:
        assert faces_found(photo) == 1
    shown = decoded(for_others(encoded(photo), consent=False))
    assert faces_found(shown) == 0


def test_a_face_is_gone_for_good() -> None:
    shown = decoded(for_others(ASTRONAUT.read_bytes(), consent=False))
    scale = shown.width / 512
    face = np.asarray(shown.crop([round(side * scale) for side in FACE]), dtype=float)
    # No more than a handful of different colours, give or take what JPEG adds.
    blurred = {tuple(colour) for colour in (face // 24).reshape(-1, 3).astype(int)}
    original = np.asarray(astronaut().resize(shown.size).crop([round(s * scale) for s in FACE]))
    before = {tuple(colour) for colour in (original // 24).reshape(-1, 3).astype(int)}
    assert len(blurred) < len(before) / 3
    rows = face.mean(axis=2)
    assert np.abs(np.diff(rows, axis=0)).mean() < np.abs(
        np.diff(original.astype(float).mean(axis=2), axis=0)
    ).mean() / 3  # fmt: skip


@pytest.mark.slow
def test_every_face_of_a_group_is_covered() -> None:
    group = Image.new("RGB", (1600, 900), "white")
    for left, top, side in ((0, 0, 512), (600, 300, 400), (1100, 100, 450)):
        group.paste(astronaut().resize((side, side)), (left, top))
    boxes = list(photos._faces(group))
    for left, top, side in ((0, 0, 512), (600, 300, 400), (1100, 100, 450)):
        x, y = (left + 0.44 * side) / 1600, (top + 0.24 * side) / 900
        assert any(box[0] < x < box[2] and box[1] < y < box[3] for box in boxes)


@pytest.mark.parametrize(("size", "shown"), [((2000, 1000), (480, 240)), ((300, 200), (300, 200))])
def test_without_consent_the_copy_is_small(size: tuple[int, int], shown: tuple[int, int]) -> None:
    photo = Image.new("RGB", size, "green")
    assert decoded(for_others(encoded(photo), consent=False)).size == shown
    assert decoded(for_others(encoded(photo), consent=True)).size == size


def test_transparency_becomes_white() -> None:
    clear = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    assert min(decoded(for_others(encoded(clear, "PNG"), True)).getpixel((30, 30))) > 250


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "I;16", "CMYK"])
def test_photos_of_other_modes(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    photo = Image.new("L", (40, 30), 128) if mode == "I;16" else Image.new("RGB", (40, 30), "grey")
    assert decoded(for_others(encoded(photo.convert(mode), kind), True)).mode == "RGB"


def test_a_broken_colour_profile_does_no_harm() -> None:
    body = encoded(astronaut(), icc_profile=b"\x00" * 200)
    assert decoded(for_others(body, consent=True)).size == (512, 512)


def png_bomb(width: int, height: int) -> bytes:
    """A PNG that says it is huge in a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\x00" * 1000)) + chunk(b"IEND", b"")
    )  # fmt: skip


def refused(body: bytes) -> DudaoError:
    with pytest.raises(DudaoError) as caught:
        for_others(body, consent=False)
    assert caught.value.code == "PHOTO_UNREADABLE"
    return caught.value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not a photo",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"GIF89a" + b"\x00" * 50,
        b"%PDF-1.7",
        png_bomb(9_000, 9_000),
        png_bomb(100_000, 100_000),
    ],
)
def test_what_is_no_photo_is_refused(body: bytes) -> None:
    refused(body)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_other_formats_are_refused(kind: str) -> None:
    refused(encoded(astronaut(), kind))


def test_a_file_too_large_is_refused() -> None:
    refused(ASTRONAUT.read_bytes() + b"\x00" * photos.MOST_BYTES)


def test_a_photo_cut_off_is_refused() -> None:
    refused(ASTRONAUT.read_bytes()[:9_000])


SMALL = {
    kind: encoded(astronaut().resize((48, 48)), kind, exif=exif())
    for kind in ("JPEG", "PNG", "WEBP")
}


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(sorted(SMALL)),
    changes=st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 255)), max_size=12),
    cut=st.integers(0, 4_000),
)
def test_a_damaged_file_is_refused_or_shown_but_never_crashes(
    kind: str, changes: list[tuple[int, int]], cut: int
) -> None:
    body = bytearray(SMALL[kind][: cut or None])
    for at, value in changes:
        if body:
            body[at % len(body)] = value
    try:
        shown = for_others(bytes(body), consent=True)
    except DudaoError as error:
        assert error.code == "PHOTO_UNREADABLE"
    else:
        assert decoded(shown).format == "JPEG"
