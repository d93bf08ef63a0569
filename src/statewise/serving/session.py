"""A stream by websocket: one connection for one stream, a message for a request, in turn."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any

from anyio import fail_after
from starlette.websockets import WebSocket, WebSocketDisconnect

from .answers import encoded, parsed, problem_of, refusal
from .messages import Open
from .problem import Problem

if TYPE_CHECKING:
    from .app import Application
    from .hosting import Streaming

RESTART, TAKEN = 1012, 4000  # why a connection is closed


class Session:
    """One connection."""

    def __init__(self, app: Application, socket: WebSocket) -> None:
        self.app, self.socket = app, socket
        self.stream = ""
        self._turn = asyncio.Lock()  # of a request and its answer, and of the last word

    async def run(self) -> None:
        """Serve the connection to its end."""
        try:
            streaming = self.app.streaming(self.socket.path_params)
            await self._begin(streaming)
        except Problem as problem:
            await self.socket.send_denial_response(refusal(problem))
            return
        try:
            while await self._answered(streaming):
                pass
        except (WebSocketDisconnect, TimeoutError):
            pass
        finally:
            self._detach(streaming)

    async def stop(self) -> None:
        """Give the client its stream's state, as the last word."""
        async with self._turn:
            streaming = self.app.streaming(self.socket.path_params)
            kept = await streaming.state(self.stream)
            await self._say({"stopping": True, "stream": self.stream, **kept})
            await self.socket.close(RESTART)

    async def _begin(self, streaming: Streaming) -> None:
        self.stream = self.socket.path_params.get("stream", "")
        if self.app.stopping:
            raise Problem(503, "the server is stopping")
        if self.stream:
            place = await streaming.place(self.stream)
        else:
            place = await self.app.open(streaming, Open())
            self.stream = place.stream
        before = self.app.sessions.get(self.stream)
        self.app.sessions[self.stream] = self
        streaming.streams.attached.add(self.stream)
        try:
            if before is not None:  # of a client that has lost its connection, and came again before this was noticed
                with suppress(Exception):
                    await before.socket.close(TAKEN, "another connection has taken the stream")
            await self.socket.accept()
            await self._say({"stream": self.stream, "steps": place.steps})
        except BaseException:
            self._detach(streaming)
            raise

    def _detach(self, streaming: Streaming) -> None:
        if self.app.sessions.get(self.stream) is self:
            del self.app.sessions[self.stream]
            streaming.streams.attached.discard(self.stream)

    async def _answered(self, streaming: Streaming) -> bool:
        """Read a message and answer it; whether there may be more."""
        message = await self.socket.receive()
        if message["type"] == "websocket.disconnect":
            return False
        begun, status, more = perf_counter(), 200, True
        async with self._turn:
            try:
                data = message.get("text")
                told = parsed(streaming.message, message.get("bytes") or b"" if data is None else data)
                answer, more = await self._answer(streaming, told)
            except Exception as error:
                problem = problem_of(error)
                status, answer = problem.status, {"error": problem.told()}
            self.app.metrics.request(self.socket.path_params["model"], "message", status, perf_counter() - begun)
            await self._say(answer)
            if not more:
                await self.socket.close()
        return more

    async def _answer(self, streaming: Streaming, told: Any) -> tuple[dict[str, Any], bool]:
        if (told.x is not None) + told.state + told.close != 1:
            raise Problem(422, "expected x, or state, or close, and one of them")
        if told.x is not None:
            return await streaming.step(self.stream, told), True
        kept = await streaming.state(self.stream, close=told.close)
        return kept | ({"closed": True} if told.close else {}), not told.close

    async def _say(self, content: dict[str, Any]) -> None:
        """Send it, unless the client doesn't read for so long that it must be gone."""
        text = encoded(content).decode()
        with fail_after(self.app.limits.timeout):
            await self.socket.send_text(text)
