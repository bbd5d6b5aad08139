"""Keeps objects readable, however deeply their authors nested them.

The API server takes 10,000 levels where a schema leaves an object open (`workers.affinity`, `volumes`), and repeats
them in the managed fields. Python's parsers give up at about a thousand: one such job in a list, or in the watch, would
keep the operator from reading all others. What is deeper than anybody writes is cut off here; `parse_job` then refuses
the job by name, because what is left is still far too deep.
"""

import re
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp

MAX_LEVELS: Final = 200
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)


def keep_shallow(text: bytes) -> bytes:
    """A JSON text with `null` for what is nested deeper than MAX_LEVELS."""
    if text.count(b"{") + text.count(b"[") <= MAX_LEVELS:
        return text
    level, kept, begin = 0, [], 0
    for token in _TOKEN.finditer(text):
        word = token[0]
        if word in (b"{", b"["):
            level += 1
            if level == MAX_LEVELS + 1:
                kept += [text[begin : token.start()], b"null"]
        elif word in (b"}", b"]"):
            if level == MAX_LEVELS + 1:
                begin = token.end()
            level -= 1
    return b"".join([*kept, text[begin:]]) if kept else text


async def read_shallow(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """A middleware for those who read answers by themselves: kopf, line by line or as a whole."""
    response = await handler(request)
    response.content = _Shallow(response.content)  # type: ignore[assignment]
    return response


class _Shallow:
    """The body of an answer, one line at a time or whole."""

    def __init__(self, body: aiohttp.StreamReader) -> None:
        self._body = body

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    async def read(self) -> bytes:
        return keep_shallow(await self._body.read())

    async def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        rest = b""
        async for chunk in self._body.iter_chunked(n):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield keep_shallow(line) + b"\n"
        yield keep_shallow(rest)
