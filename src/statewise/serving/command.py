"""The command ``statewise serve``. No numpy here: help comes at once."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from ..jobs.command import Command
from ..jobs.config import Bounds, Whole, option
from ..jobs.errors import InputError, Remark, remark
from .limits import Limits

TOKEN = "STATEWISE_TOKEN"
LOCAL = ("localhost", "127.0.0.1", "::1")
Port = Annotated[int, Bounds(ge=0, le=65535)]


@dataclass(kw_only=True)
class ServeOptions(Limits):
    """What ``serve`` can be told."""

    models: tuple[str, ...] = option(..., "files of models, or NAME=FILE", metavar="FILE", positional=True)
    host: str = option("127.0.0.1", "the address to listen at; 0.0.0.0: all", metavar="ADDRESS")
    port: Port = option(8000, "the port; 0: any that is free", metavar="N")
    states: Path | None = option(
        None, "keep streams in files of this folder, so that they survive the server", metavar="FOLDER"
    )
    durable: bool = option(
        False, "with --states: a state is on the disk before it is answered, so that streams survive a loss of power"
    )
    token_file: Path | None = option(
        None,
        "a file with the token that every client must have",
        metavar="FILE",
        default=f"the environment's {TOKEN}, or none",
    )
    dtype: Literal["float32", "bfloat16", "int8"] | None = option(
        None, "in which the recurrent layers' weights are kept", default="as in the file"
    )
    threads: Whole = option(1, "on how many a model computes", metavar="N")
    page: bool = option(True, "a page for trying the models")
    access_log: bool = option(False, "a line for every request")


COMMAND = Command(
    "serve",
    ServeOptions,
    "statewise.serving.command:run",
    usage="statewise serve [NAME=]FILE ... [option ...]",
    description="""\
Serve trained models by HTTP with JSON, and streams by websocket: runs of the jobs
(model.safetensors) and what statewise.save wrote. Requests of different clients are
computed as one batch. /openapi.json describes it, / is a page for trying it.
""",
    examples="""\
examples:
  statewise serve runs/write-1/model.safetensors
  statewise serve vad=vad.safetensors runs/tag-1/model.safetensors --port 9000 --states states
  STATEWISE_TOKEN=... statewise serve model.safetensors --host 0.0.0.0
""",
)


def run(options: ServeOptions) -> None:
    """Load the models and serve them until the process is told to stop."""
    from ..jobs.artifacts.model_file import Kernels
    from .app import Application
    from .hosting import Hosted, named
    from .metrics import Metrics
    from .server import listen, serve

    if options.durable and options.states is None:
        raise InputError("--durable: streams are in memory without --states FOLDER")
    kernels = Kernels(options.threads, options.dtype)
    files, token, metrics = named(options.models), _token(options), Metrics()
    listening = listen(options.host, options.port)
    with listening:
        models = [
            Hosted(name, path, options, metrics, options.states, kernels, durable=options.durable)
            for name, path in files.items()
        ]
        local = _is_local(options.host)
        if token is None and not local:
            remark(f"{options.host} may be reached from elsewhere, and there is no token")
        warnings.simplefilter("ignore", Remark)  # those on what clients send
        hosts = {*LOCAL, options.host.lower()} if local else None
        app = Application(models, options, metrics, token=token, hosts=hosts, page=options.page)
        serve(app, [listening], access_log=options.access_log)


def _token(options: ServeOptions) -> str | None:
    """The token, from the file or the environment. Raises ``InputError``."""
    if options.token_file is None:
        found, where = os.environ.get(TOKEN), TOKEN
    else:
        where = str(options.token_file)
        try:
            found = options.token_file.read_text(encoding="ascii").strip()
        except OSError as error:
            raise InputError(f"{where}: {error.strerror}") from None
        except UnicodeDecodeError:
            found = ""
    if found is not None and (not found.isascii() or not found.isprintable() or " " in found or len(found) < 16):
        raise InputError(f"{where}: expected a token of 16 ASCII characters or more, without blanks")
    return found


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
