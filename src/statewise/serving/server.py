"""The process: a socket, uvicorn on it, and a stop that lets streams save their states."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from ..jobs.errors import InputError
from .app import Application
from .problem import MEDIA_TYPE, busy

BACKLOG = 2048
LINGER = 1.0  # seconds
SWITCH = 0.0005  # seconds a thread keeps the interpreter: a batch that is done doesn't wait for messages being read


class Protocol(H11Protocol):
    """uvicorn's, and a connection that sends no whole head of a request in time is closed, as is one too many."""

    _deadline: asyncio.TimerHandle | None = None
    _refused = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        app: Any = self.config.app
        if len(self.connections) > app.limits.connections:
            problem = busy(f"{app.limits.connections} connections are open, and no more may be")
            body = json.dumps(problem.told()).encode()
            head = f"HTTP/1.1 503 Service Unavailable\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
            transport.write(head.encode() + b"retry-after: 1\r\nconnection: close\r\n\r\n" + body)
            transport.write_eof()  # and not yet close: what it says meanwhile would have the answer thrown away
            self._refused = True
            self._deadline = self.loop.call_later(LINGER, transport.close)
            return
        self._deadline = self.loop.call_later(app.limits.timeout, self._late)

    def data_received(self, data: bytes) -> None:
        if self._refused or self.transport.is_closing():
            return
        super().data_received(data)
        waiting = self.cycle is None or self.cycle.response_complete
        if not waiting or not self._here:
            self._cancel()
        elif self._deadline is None:  # the head of another request has begun
            app: Any = self.config.app
            self._deadline = self.loop.call_later(app.limits.timeout, self._late)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        _abort_unread(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        super().connection_lost(exc)

    @property
    def _here(self) -> bool:
        """Whether the connection is still this one's, and not a websocket's."""
        return self in self.connections

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


class SocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's, and a client that doesn't read what it was told last is cut off."""

    async def run_asgi(self) -> None:
        await super().run_asgi()
        _abort_unread(self)


def _abort_unread(protocol: Any) -> None:
    """Unless all that was written is read in time: a transport that is closed keeps it, and its socket, for ever."""

    def late() -> None:
        if protocol.transport.get_write_buffer_size():
            protocol.transport.abort()

    if protocol.transport.get_write_buffer_size():
        protocol.loop.call_later(protocol.config.app.limits.timeout, late)


class Server(uvicorn.Server):
    """uvicorn's, which asks the application to stop before it closes the connections."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            app: Any = self.config.app
            where = ", ".join(_address(each) for each in sockets or [])
            print(f"{where} serves {', '.join(app.models)}; Ctrl-C ends it", flush=True)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Stop; at a second Ctrl-C at once. uvicorn's would raise the signal again, and so end the process by it."""
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        app: Any = self.config.app
        for server in self.servers:
            server.close()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(app.stop(), app.limits.timeout)
        await super().shutdown(sockets)


def serve(app: Application, sockets: Sequence[socket.socket], *, access_log: bool = False) -> None:
    """Serve ``app`` until SIGTERM or SIGINT."""
    _allow_files(app.limits.connections)
    sys.setswitchinterval(SWITCH)
    gc.freeze()  # what was loaded is looked through no more: that would keep every stream waiting for 90 ms
    Server(configured(app, access_log=access_log)).run(list(sockets))


def configured(app: Application, *, access_log: bool = False) -> uvicorn.Config:
    """What uvicorn is told."""
    return uvicorn.Config(
        app,
        http=Protocol,
        ws=SocketProtocol,
        ws_max_size=app.limits.body_bytes,
        ws_per_message_deflate=False,
        lifespan="on",
        interface="asgi3",
        log_level="info" if access_log else "warning",
        access_log=access_log,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=int(app.limits.timeout) + 1,
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises ``InputError``."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, UnicodeError, OverflowError) as error:
        raise InputError(f"{host}:{port}: {getattr(error, 'strerror', None) or error}") from None


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _allow_files(connections: int) -> None:
    """Let the process open as many files as it may have connections, where the system lets it."""
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
