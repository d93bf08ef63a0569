"""The ASGI application: routes, who may come in, how a request is read and what is answered."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from time import perf_counter
from typing import Any

from anyio import fail_after
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from .._version import __version__
from ..jobs.errors import InputError
from .answers import parsed, problem_of, refusal, reply
from .hosting import Hosted, Streaming
from .limits import Limits
from .messages import Open
from .metrics import Metrics
from .openapi import described
from .page import PAGE, POLICY
from .problem import Problem
from .session import Session
from .streams import Place

DISCARDED = 50_000_000  # bytes past the limit that are read all the same: who is cut off while writing reads no answer
LARGE = 65_536  # bytes from which on a body is read in a thread, so that others don't wait
OPEN = frozenset({"/", "/health/live", "/health/ready"})  # to everybody, token or not
EVERY = 5.0  # seconds between two looks at which streams have expired

logger = logging.getLogger("statewise.serving")


class Application:
    """What a server of ``models`` does. Call it as an ASGI application."""

    def __init__(
        self,
        models: Iterable[Hosted],
        limits: Limits,
        metrics: Metrics,
        *,
        token: str | None = None,
        hosts: Iterable[str] | None = None,
        page: bool = True,
    ) -> None:
        """``token`` is what a client must have; ``hosts`` are the names it may call the server by, None for any."""
        self.models = {model.name: model for model in models}
        self.limits, self.metrics = limits, metrics
        self.stopping = False
        self.sessions: dict[str, Session] = {}
        self._token = None if token is None else sha256(token.encode()).digest()
        self._hosts = None if hosts is None else frozenset(hosts)
        stream = "/v1/models/{model}/streams/{stream}"
        routes: list[Any] = [
            Route("/health/live", self.live),
            Route("/health/ready", self.ready),
            Route("/metrics", self.told_metrics),
            Route("/openapi.json", self.openapi),
            Route("/v1/models", self.list_models),
            Route("/v1/models/{model}", self.about),
            Route("/v1/models/{model}/streams", self.open_stream, methods=["POST"]),
            Route(f"{stream}/state", self.state),
            Route(stream, self.where, methods=["GET"]),
            Route(stream, self.step, methods=["POST"]),
            Route(stream, self.close_stream, methods=["DELETE"]),
            Route("/v1/models/{model}/{operation}", self.ask, methods=["POST"]),
            WebSocketRoute("/v1/models/{model}/streams", self.connect),
            WebSocketRoute(stream, self.connect),
        ]
        routes += [Route("/", self.page)] if page else []
        self._described = described(self.models.values(), token is not None)
        handlers: Any = {
            Problem: lambda request, error: refusal(error),
            InputError: lambda request, error: refusal(problem_of(error)),
            HTTPException: _of_framework,
            ClientDisconnect: lambda request, error: Response(status_code=400),
            Exception: lambda request, error: refusal(problem_of(error)),
        }
        self._app = Starlette(routes=routes, exception_handlers=handlers, lifespan=self._lifespan)
        self._app.router.redirect_slashes = False

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> Any:
        expiring = asyncio.create_task(self._expire())
        yield
        expiring.cancel()
        with suppress(asyncio.CancelledError):
            await expiring
        for model in self.models.values():
            await asyncio.to_thread(model.close)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(min(EVERY, self.limits.keep))
            for model in self.models.values():
                if model.streaming is not None:
                    try:
                        await model.batcher(model.streaming.streams.expire, self.limits.keep)
                    except Exception as error:
                        problem_of(error)  # which is for the log; it is tried again

    async def stop(self) -> None:
        """Take no more streams, and say good-bye to those that are connected: each client gets its stream's state."""
        self.stopping = True
        await asyncio.gather(*[session.stop() for session in list(self.sessions.values())], return_exceptions=True)

    # Who comes in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        problem = self._refused(scope)
        if problem is not None and scope["type"] == "websocket":
            await WebSocket(scope, receive, send).send_denial_response(refusal(problem))
        elif problem is not None:
            await refusal(problem)(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._app(scope, receive, send)
        else:
            await self._timed(self._app, scope, receive, send)

    def _refused(self, scope: Scope) -> Problem | None:
        """Why a request isn't let in."""
        headers = {name: value for name, value in scope["headers"] if name in (b"host", b"origin", b"authorization")}
        host = headers.get(b"host", b"").decode("latin-1")
        if self._hosts is not None and _name_of(host) not in self._hosts:
            return Problem(421, "the server isn't called by this name")  # a page of elsewhere had it resolved so
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").partition("://")[2] != host:
            return Problem(403, "a page of another origin may not come in")
        if self._token is not None and scope["path"] not in OPEN:
            kind, _, given = headers.get(b"authorization", b"").partition(b" ")
            if kind.lower() != b"bearer" or not hmac.compare_digest(sha256(given.strip()).digest(), self._token):
                return Problem(401, "expected the token of this server", {"www-authenticate": "Bearer"})
        return None

    async def _timed(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        begun, status, begun_to_answer = perf_counter(), 500, False

        async def sent(message: Message) -> None:
            nonlocal status, begun_to_answer
            if message["type"] == "http.response.start":
                begun_to_answer, status = True, message["status"]
                message["headers"] = [*message["headers"], (b"x-content-type-options", b"nosniff")]
            with fail_after(self.limits.timeout):
                await send(message)

        try:
            await app(scope, receive, sent)
        except TimeoutError:  # who asked doesn't read the answer; uvicorn closes the connection
            logger.warning("an answer wasn't read in time")
        except Exception:
            if not begun_to_answer:  # else it has been told, and written to the log
                raise
        finally:
            told = scope.get("path_params", {})
            if told.get("model") in self.models:
                operation = told.get("operation", "streams")
                known = operation == "streams" or operation in self.models[told["model"]].operations
                self.metrics.request(told["model"], operation if known else "unknown", status, perf_counter() - begun)

    # Reading and waiting

    def _model(self, told: Mapping[str, Any]) -> Hosted:
        model = self.models.get(told["model"])
        if model is None:
            raise Problem(404, f"there is no model {told['model'][:64]!r}; there is {', '.join(self.models)}")
        return model

    def streaming(self, told: Mapping[str, Any]) -> Streaming:
        """The streams of the model that is named. Raises ``Problem`` where it can't read a step at a time."""
        model = self._model(told)
        if model.streaming is None:
            raise Problem(404, f"{model.name} reads whole sequences: it has no streams")
        return model.streaming

    async def _read(self, request: Request, kind: type[BaseModel]) -> Any:
        """The body as a ``kind``."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Problem(415, "expected content-type: application/json")
        if request.headers.get("content-encoding", "identity") != "identity":
            raise Problem(415, "expected a body that isn't packed")
        most, body, size = self.limits.body_bytes, bytearray(), 0
        too_large = Problem(413, f"expected {most} bytes at most", {"connection": "close"})
        declared = int(request.headers.get("content-length", "0"))
        if declared > most and "expect" in request.headers:
            raise too_large
        try:
            with fail_after(self.limits.timeout):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size <= most:
                        body.extend(chunk)
                    elif size > most + DISCARDED:
                        break
        except TimeoutError:
            if max(size, declared) > most:
                raise too_large from None
            slow = f"the request wasn't whole after {self.limits.timeout:g} seconds"
            raise Problem(408, slow, {"connection": "close"}) from None
        if size > most:
            raise too_large
        if size > LARGE:
            return await asyncio.to_thread(parsed, kind, bytes(body))
        return parsed(kind, bytes(body))

    # Routes

    async def live(self, request: Request) -> Response:
        """The process answers."""
        return reply({"status": "live"})

    async def ready(self, request: Request) -> Response:
        """It may be sent requests."""
        if self.stopping or not all(model.batcher.alive for model in self.models.values()):
            raise Problem(503, "the server is stopping" if self.stopping else "a model has died")
        return reply({"status": "ready"})

    async def told_metrics(self, request: Request) -> Response:
        return Response(self.metrics.text(), headers={"content-type": self.metrics.content_type})

    async def openapi(self, request: Request) -> Response:
        return reply(self._described)

    async def page(self, request: Request) -> Response:
        return Response(PAGE, headers={"content-security-policy": POLICY}, media_type="text/html; charset=utf-8")

    async def list_models(self, request: Request) -> Response:
        return reply({"version": __version__, "models": [model.about() for model in self.models.values()]})

    async def about(self, request: Request) -> Response:
        return reply(self._model(request.path_params).about())

    async def ask(self, request: Request) -> Response:
        """An operation."""
        model = self._model(request.path_params)
        operation = model.operations.get(request.path_params["operation"])
        if operation is None:
            raise Problem(404, f"{model.name} can do {', '.join(model.operations)}")
        asked = operation.read(await self._read(request, operation.asked))
        gone = asyncio.ensure_future(_disconnected(request))
        answer = asyncio.ensure_future(model.batcher(operation.compute, asked))
        try:
            await asyncio.wait({gone, answer}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise ClientDisconnect
            return reply(answer.result())
        finally:
            gone.cancel()
            answer.cancel()

    async def open_stream(self, request: Request) -> Response:
        streaming = self.streaming(request.path_params)
        place = await self.open(streaming, await self._read(request, Open))
        where = f"{request.url.path}/{place.stream}"
        return reply({"stream": place.stream, "steps": place.steps}, 201, {"location": where})

    async def open(self, streaming: Streaming, told: Open) -> Place:
        """A stream that begins."""
        if self.stopping:
            raise Problem(503, "the server is stopping")
        return await streaming.open(told)

    async def step(self, request: Request) -> Response:
        streaming = self.streaming(request.path_params)
        told = await self._read(request, streaming.stepped)
        return reply(await streaming.step(request.path_params["stream"], told))

    async def where(self, request: Request) -> Response:
        place = await self.streaming(request.path_params).place(request.path_params["stream"])
        return reply({"stream": place.stream, "steps": place.steps})

    async def state(self, request: Request) -> Response:
        return reply(await self.streaming(request.path_params).state(request.path_params["stream"]))

    async def close_stream(self, request: Request) -> Response:
        return reply(await self.streaming(request.path_params).state(request.path_params["stream"], close=True))

    async def connect(self, websocket: WebSocket) -> None:
        """A stream by websocket."""
        await Session(self, websocket).run()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _name_of(host: str) -> str:
    """``localhost`` of ``localhost:8000``, ``::1`` of ``[::1]:8000``."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _of_framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = {404: "there is nothing here; /openapi.json says what there is", 405: "this can't be done here"}
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    return refusal(Problem(error.status_code, said.get(error.status_code, error.detail), headers))
