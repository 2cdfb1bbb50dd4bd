"""Files on a web server: its pages are the listings, and it may send parts of files or not."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import IO, Any
from urllib.parse import quote, unquote

from tmd.errors import UserError
from tmd.places.names import resolved
from tmd.places.reaching import NoPartsError, reached
from tmd.places.stores import Object, Store, told

_CHUNK = 1 << 20
_SECONDS_TO_CONNECT, _SECONDS_TO_ANSWER = 10, 30
# A page that links to itself under ever new names would never end.
_DEEPEST = 32


class HttpStore(Store):
    """Files on a web server. Paths are as a person writes them, quoted when they are asked for."""

    tells_sizes = False

    def options(self) -> dict[str, Any]:
        """Passwords from ``~/.netrc``, proxies from the environment."""
        import aiohttp

        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=_SECONDS_TO_CONNECT, sock_read=_SECONDS_TO_ANSWER
        )
        return {
            **super().options(),
            "encoded": True,
            "client_kwargs": {"trust_env": True, "timeout": timeout},
        }

    def located(self, address: str) -> str:
        """The URL, quoted, secrets included."""
        start, _, rest = address.partition("://")
        host, slash, rest = rest.partition("/")
        path, mark, query = rest.partition("?")
        user, at, host = host.rpartition("@")
        user = ":".join(quote(resolved(part), safe="%") for part in user.split(":"))
        return f"{start}://{user}{at}{host}{slash}{quote(path)}{mark}{resolved(query)}"

    def objects(self, folder: str) -> Iterator[Object]:
        """All that the folder's page links to below it, and the pages of folders there."""
        if "?" in folder:
            raise UserError(f"{folder}: a folder's address has no query")
        pages, seen = [folder], {folder}
        while pages:
            page = pages.pop()
            url = self.located(page) + "/"
            for link in reached(page, lambda: self.system().ls(url, detail=False)):  # noqa: B023
                below = unquote(link.removeprefix(url))
                # To other places, to the same in another order, and names that no path can have.
                if not link.startswith(url) or not below or {"?", "#"} & {*link} or "?" in below:
                    continue
                path = f"{page}/{below.rstrip('/')}"
                if not below.endswith("/"):
                    yield Object(path, -1, "")
                elif path not in seen and path.count("/") - folder.count("/") < _DEEPEST:
                    seen.add(path)
                    pages.append(path)

    def info(self, address: str) -> Object:
        """Object at an address, by the headers alone."""

        async def ask(session: Any, url: str) -> Object:
            for method in ("HEAD", "GET"):
                async with session.request(method, url, headers=_AS_IT_IS) as answer:
                    if method == "HEAD" and answer.status in (405, 501):
                        continue
                    _check(answer, address)
                    if (size := answer.headers.get("Content-Length")) is not None:
                        return Object(address, *told({"size": int(size), **answer.headers}))
            return Object(address, -1, "")

        return self._asked(address, ask)

    def _part(self, address: str, start: int, length: int) -> bytes:
        async def ask(session: Any, url: str) -> bytes:
            headers = {**_AS_IT_IS, "Range": f"bytes={start}-{start + length - 1}"}
            async with session.get(url, headers=headers) as answer:
                _check(answer, address)
                whole = answer.headers.get("Content-Length")
                if answer.status != 206 and (start or whole != str(length)):
                    raise NoPartsError(address)
                return await answer.read()

        return self._run(address, ask)

    def download(self, address: str, size: int, file: IO[bytes]) -> None:
        """Write a whole object into a file."""

        async def ask(session: Any, url: str) -> None:
            file.seek(0)
            file.truncate()
            async with session.get(url, headers=_AS_IT_IS) as answer:
                _check(answer, address)
                async for chunk in answer.content.iter_chunked(_CHUNK):
                    file.write(chunk)
            if size not in (-1, file.tell()):
                raise ConnectionError(f"{file.tell()} of {size} bytes came")

        self._asked(address, ask)

    def _asked(self, address: str, ask: Callable[[Any, str], Coroutine[Any, Any, Any]]) -> Any:
        return reached(address, lambda: self._run(address, ask))

    def _run(self, address: str, ask: Callable[[Any, str], Coroutine[Any, Any, Any]]) -> Any:
        from fsspec.asyn import sync

        system = self.system()

        async def run() -> Any:
            return await ask(await system.set_session(), system.encode_url(self.located(address)))

        return sync(system.loop, run)


_AS_IT_IS = {"Accept-Encoding": "identity"}


def _check(answer: Any, address: str) -> None:
    if answer.status in (404, 410):
        raise FileNotFoundError(address)
    answer.raise_for_status()
