"""A photo as others may see it: no metadata, and without consent no faces.

**The rule for photos.** Whoever is shown a photo that is not their own gets a copy made here,
never the file itself. The copy holds pixels only: where, when and with what it was taken is gone.
Where the persons on it have not agreed, every face found is replaced by a mosaic of a few squares,
and because detectors overlook faces (half hidden, far away, in profile), the copy is also no larger
than ``SMALL`` pixels on its long side: what was overlooked is a few pixels wide.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from cv2.data import haarcascades
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from geodata.errors import DudaoError

MOST_BYTES = 30_000_000
MOST_PIXELS = 64_000_000
"""A photo of a good phone; decoded it takes 200 MB."""

SMALL = 480
"""Long side, in pixels, of the copy of a photo without consent."""

_FORMATS = ("JPEG", "PNG", "WEBP")
_SEARCHED = 1_600
"""Faces are looked for in a copy no larger than this on its long side, in pixels."""
_LEAST = 24
"""Side of the smallest face looked for in that copy, in pixels."""
_MARGIN = 0.35
"""What is covered around a face found, as a share of its side: hair, ears, chin."""
_SQUARES = 4
"""A face becomes so many squares each way."""
_QUALITY = 88

Pixels = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom, as shares of the photo's width and height."""


def for_others(image: bytes, consent: bool) -> bytes:
    """A JPEG of the photo for others than those who took it.

    Args:
        image: JPEG, PNG or WebP.
        consent: whether the persons on it agreed to being shown.

    Raises:
        DudaoError: PHOTO_UNREADABLE, not a photo of these kinds, damaged or too large.
    """
    photo = _decode(image)
    if not consent:
        for box in _faces(photo):
            _cover(photo, box)
        photo.thumbnail((SMALL, SMALL), Image.Resampling.LANCZOS)
    body = BytesIO()
    # A new picture of the pixels only: Pillow carries over what it read otherwise.
    Image.fromarray(np.asarray(photo)).save(body, "JPEG", quality=_QUALITY)
    return body.getvalue()


def _decode(image: bytes) -> Image.Image:
    """The photo upright, in sRGB, without transparency."""
    if len(image) > MOST_BYTES:
        raise _unreadable(f"文件超过 {MOST_BYTES // 1_000_000} MB")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(BytesIO(image), formats=_FORMATS)
        if opened.width * opened.height > MOST_PIXELS:
            raise _unreadable(f"超过 {MOST_PIXELS // 1_000_000} 百万像素")
        opened.load()
        upright = ImageOps.exif_transpose(opened)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _unreadable(f"超过 {MOST_PIXELS // 1_000_000} 百万像素") from error
    except UnidentifiedImageError as error:
        raise _unreadable("不是 JPEG、PNG 或 WebP 图片") from error
    except (OSError, ValueError, SyntaxError, EOFError, struct.error) as error:
        raise _unreadable("文件已损坏或不完整") from error
    return _flat(_in_srgb(upright))


def _in_srgb(photo: Image.Image) -> Image.Image:
    """Colours as the embedded profile means them; as they stand where it cannot be used."""
    profile = photo.info.get("icc_profile")
    if not profile or photo.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return photo
    mode = "RGBA" if photo.mode == "RGBA" else "RGB"
    try:
        converted = ImageCms.profileToProfile(
            photo, ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB"),
            outputMode=mode,
        )  # fmt: skip
    except (ImageCms.PyCMSError, OSError, ValueError):
        return photo
    return converted or photo


def _flat(photo: Image.Image) -> Image.Image:
    if not photo.has_transparency_data:
        return photo.convert("RGB")
    layered = photo.convert("RGBA")
    ground = Image.new("RGBA", layered.size, "white")
    return Image.alpha_composite(ground, layered).convert("RGB")


@cache
def _cascades() -> tuple[tuple[cv2.CascadeClassifier, int, bool], ...]:
    """Detectors with the neighbours each needs to be believed, and whether to mirror the photo.

    Fewer neighbours than usual: a mosaic too many is better than a face too many.
    """
    directory = Path(haarcascades)

    def load(name: str) -> cv2.CascadeClassifier:
        found = cv2.CascadeClassifier(str(directory / f"haarcascade_{name}.xml"))
        if found.empty():
            raise RuntimeError(f"OpenCV came without its detector {name}")
        return found

    profile = load("profileface")
    return (
        (load("frontalface_default"), 4, False),
        (load("frontalface_alt2"), 2, False),
        (profile, 3, False),
        (profile, 3, True),
    )


_TURNS = (0, -20, 20)
"""Degrees by which the photo is turned to find heads held askew."""


def _faces(photo: Image.Image) -> Iterator[Box]:
    """Where faces are, with their margins."""
    searched = photo.copy()
    searched.thumbnail((_SEARCHED, _SEARCHED), Image.Resampling.BILINEAR)
    grey = cv2.equalizeHist(np.asarray(searched.convert("L")))
    height, width = grey.shape
    for turn in _TURNS:
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, 1.0)
        turned = cv2.warpAffine(grey, matrix, (width, height)) if turn else grey
        back = cv2.invertAffineTransform(matrix)
        for cascade, neighbours, mirrored in _cascades():
            seen = cv2.flip(turned, 1) if mirrored else turned
            for x, y, w, h in cascade.detectMultiScale(
                seen, 1.1, neighbours, minSize=(_LEAST, _LEAST)
            ):
                left = width - x - w if mirrored else x
                centre = back @ np.array([left + w / 2, y + h / 2, 1.0])
                reach = (0.5 + _MARGIN) * max(w, h)
                yield (
                    (centre[0] - reach) / width,
                    (centre[1] - reach) / height,
                    (centre[0] + reach) / width,
                    (centre[1] + reach) / height,
                )


def _cover(photo: Image.Image, box: Box) -> None:
    """Replace a part of the photo by a few squares of its mean colours."""
    left, top, right, bottom = (
        round(min(1.0, max(0.0, share)) * size)
        for share, size in zip(box, photo.size * 2, strict=True)
    )
    if right - left < 1 or bottom - top < 1:
        return
    part = photo.crop((left, top, right, bottom))
    squares = part.resize((_SQUARES, _SQUARES), Image.Resampling.BOX)
    photo.paste(squares.resize(part.size, Image.Resampling.NEAREST), (left, top))


def _unreadable(reason: str) -> DudaoError:
    return DudaoError(
        "PHOTO_UNREADABLE",
        f"照片无法使用：{reason}。",
        "请上传 JPEG、PNG 或 WebP 格式的完整照片。",
    )
