"""Type and size of images and sounds from their first bytes, without decoding them."""

import struct

_SIGNATURES = (  # offset, signature, content type
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"BM", "image/bmp"),
    (8, b"WAVE", "audio/wav"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
)
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # JPEG markers that contain the size


def content_type(content: bytes) -> str:
    r"""Return the content type of an image or sound; application/octet-stream if it is not known.

    >>> content_type(b"\x89PNG\r\n\x1a\n")
    'image/png'
    """
    for offset, signature, found in _SIGNATURES:
        if content.startswith(signature, offset):
            return found
    return "application/octet-stream"


def image_size(content: bytes) -> tuple[int | None, int | None]:
    """Return width and height in pixels; None for both if they are not known."""
    kind = content_type(content)
    try:
        if kind == "image/png":
            return struct.unpack_from(">II", content, 16)
        if kind == "image/gif":
            return struct.unpack_from("<HH", content, 6)
        if kind == "image/bmp":
            width, height = struct.unpack_from("<ii", content, 18)
            return width, abs(height)
        if kind == "image/jpeg":
            return _jpeg_size(content)
        if kind == "image/webp":
            return _webp_size(content)
    except struct.error:  # the content is shorter than its header
        pass
    return None, None


def _jpeg_size(content: bytes) -> tuple[int | None, int | None]:
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", content, at + 5)
            return width, height
        at += 2 + int(struct.unpack_from(">H", content, at + 2)[0])
    return None, None


def _webp_size(content: bytes) -> tuple[int | None, int | None]:
    chunk = content[12:16]
    if chunk == b"VP8X":
        return (1 + int.from_bytes(content[24:27], "little"), 1 + int.from_bytes(content[27:30], "little"))
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None, None
