"""Set-of-marks: a screenshot with a box and the id on each element that can be acted on (Yang et al. 2023)."""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from turnwise.errors import MissingExtraError

if TYPE_CHECKING:
    from PIL import ImageDraw

COLOURS = ("#d81b60", "#1e88e5", "#00796b", "#8e24aa", "#e65100", "#37474f")
"""Each dark enough for white digits on it."""
_PAD = 2


class Box(NamedTuple):
    """A rectangle of the viewport, in CSS pixels."""

    left: float
    top: float
    width: float
    height: float


def draw(png: bytes, boxes: Mapping[str, Box]) -> bytes:
    """Return a picture with the boxes and their ids drawn in.

    Args:
        png: The screenshot, one pixel for each CSS pixel.
        boxes: By id; those outside of the picture or without an area are left out.

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise MissingExtraError.of("gui", "pillow") from error
    image = Image.open(io.BytesIO(png)).convert("RGB")
    pen = ImageDraw.Draw(image)
    seen = {name: box for name, box in boxes.items() if _visible(box, *image.size)}
    for index, (name, box) in enumerate(seen.items()):
        _mark(pen, name, box, COLOURS[index % len(COLOURS)], image.size)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _visible(box: Box, width: int, height: int) -> bool:
    right, bottom = box.left + box.width, box.top + box.height
    return box.width > 0 and box.height > 0 and right > 0 and bottom > 0 and box.left < width and box.top < height


def _mark(pen: "ImageDraw.ImageDraw", name: str, box: Box, colour: str, size: tuple[int, int]) -> None:
    left, top = max(box.left, 0), max(box.top, 0)
    right, bottom = min(box.left + box.width, size[0]) - 1, min(box.top + box.height, size[1]) - 1
    pen.rectangle((left, top, max(right, left), max(bottom, top)), outline=colour)
    x0, y0, x1, y1 = pen.textbbox((0, 0), name)
    wide, high = x1 - x0 + 2 * _PAD, y1 - y0 + 2 * _PAD
    # Above the box where there is room, so that it hides as little of the element as can be.
    x, y = min(left, size[0] - wide), top - high if top >= high else top
    pen.rectangle((x, y, x + wide - 1, y + high - 1), fill=colour)
    pen.text((x + _PAD - x0, y + _PAD - y0), name, fill="white")
