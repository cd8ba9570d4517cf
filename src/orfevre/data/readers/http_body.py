"""The body of an HTTP response without its transfer and content codings. A bomb is not unpacked whole."""

import io
import zlib
from collections.abc import Callable, Iterable


def decoded(body: bytes, headers: Iterable[tuple[str, str]], limit: int) -> bytes:
    """The body, at most limit + 1 bytes of it. `headers` have names in lower case.

    A body that does not look like the coding its header names stays as it is: many crawlers store bodies already
    decoded and leave the header. Raises ValueError or OSError for a coded body that is damaged.
    """
    told = [(name, value) for name, value in headers if name in ("transfer-encoding", "content-encoding")]
    if not told:
        return body[: limit + 1]
    if "chunked" in _codings(told, "transfer-encoding"):
        body = _joined(body, limit)
    for coding in reversed(_codings(told, "content-encoding")):
        body = _DECODERS.get(coding, _same)(body, limit)
    return body[: limit + 1]


def _codings(headers: list[tuple[str, str]], name: str) -> list[str]:
    said = ",".join(value for key, value in headers if key == name)
    return [coding.strip().lower() for coding in said.split(",")][:4]


def _same(body: bytes, limit: int) -> bytes:
    return body


def _joined(body: bytes, limit: int) -> bytes:
    from fastwarc.stream_io import ChunkedReader

    try:
        return ChunkedReader(io.BytesIO(body)).read(limit + 1)
    except OSError:
        return body


def _gzip(body: bytes, limit: int) -> bytes:
    return _inflated(body, limit, 31) if body.startswith(b"\x1f\x8b") else body


def _deflate(body: bytes, limit: int) -> bytes:
    """With the zlib header that the standard wants, or raw as some servers send it."""
    for bits in (15, -15):
        try:
            return _inflated(body, limit, bits)
        except ValueError:
            continue
    return body


def _inflated(body: bytes, limit: int, bits: int) -> bytes:
    stream = zlib.decompressobj(wbits=bits)
    try:
        data = stream.decompress(body, limit + 1)
    except zlib.error as error:
        raise ValueError(f"compressed body is damaged: {error}") from None
    if not stream.eof and len(data) <= limit:
        raise ValueError(f"compressed body ends early, after {len(data)} bytes of text")
    return data


def _brotli(body: bytes, limit: int) -> bytes:
    from fastwarc.stream_io import BrotliReader

    return body if body.lstrip().startswith(b"<") else BrotliReader(io.BytesIO(body)).read(limit + 1)


def _zstd(body: bytes, limit: int) -> bytes:
    import zstandard

    if not body.startswith(b"\x28\xb5\x2f\xfd"):
        return body
    try:
        return bytes(zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(body).read(limit + 1))
    except zstandard.ZstdError as error:
        raise ValueError(f"compressed body is damaged: {error}") from None


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip, "x-gzip": _gzip, "deflate": _deflate, "br": _brotli, "zstd": _zstd
}  # fmt: skip
