"""The server process: reads the flags, binds the port, opens the services, and serves page and API."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import signal
import socket
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from modules.files import SaveError, write_text_atomic
from modules.page.process import ServerProcess
from modules.server.ports import PortInUse, bind
from modules.settings import FlagError, Flags, OptionStore, parse_flags
from modules.settings.logins import logins
from modules.settings.start_profile import StartProfile
from modules.settings.warned import HeardWarnings

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI
    from starlette.types import ASGIApp

    from modules.jobs.services import Services

log = logging.getLogger(__name__)

# Seconds after which a report is written without what the engine knows.
ENGINE_LOOKS: Final = 60.0


class StartError(RuntimeError):
    """The server can't start. The message is one sentence for the person who started it."""


OpenServices = Callable[[Flags], "Services"]


def open_real_services(flags: Flags) -> Services:
    """The services of a real server, with an engine process."""
    from modules.jobs.services import open_services

    return open_services(flags)


def main(argv: Sequence[str], open_services: OpenServices = open_real_services) -> int:
    """Serve until a signal or a request ends it. Returns the exit code; what went wrong is one sentence on stderr."""
    try:
        flags = parse_flags(argv)
        logging.basicConfig(level=flags.loglevel, format="%(message)s")
        process = ServerProcess(StartProfile(logged=flags.log_startup))
        logging.getLogger().addHandler(process.log)
        with HeardWarnings(process.warned.tell).listening():
            for notice in flags.notices:
                log.warning(notice)
            with bind(bind_address(flags), flags.effective_port, fixed=flags.port is not None) as listener:
                serve(flags, listener, open_services, process)
    except (FlagError, PortInUse, StartError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def bind_address(flags: Flags) -> str:
    """The address to bind: loopback unless a flag opens the server."""
    if flags.server_name:
        return flags.server_name
    return "0.0.0.0" if flags.listen else "127.0.0.1"


def serve(flags: Flags, listener: socket.socket, open_services: OpenServices, process: ServerProcess) -> None:
    """Serve on a bound socket. Slow imports come after the port is bound, so that a second start fails at once."""
    from modules.jobs.database import DatabaseError
    from modules.jobs.job import QueueFileError
    from modules.jobs.lock import FolderUnusable

    protected = bool(logins(flags))
    # uvicorn raises the signal again once it has stopped; the default would then end us before the engine is.
    signal.signal(signal.SIGTERM, _stop)
    try:
        with process.profile.step("Opening data folder, jobs and catalogue"):
            services = open_services(flags)
    except (FolderUnusable, DatabaseError, QueueFileError) as error:
        raise StartError(str(error)) from error
    with contextlib.closing(services):
        for notice in services.notices:
            log.warning(notice)
        if flags.dump_sysinfo:
            sys.stdout.write(f"{_dump_sysinfo(services)}\n")
            return
        _use_temporary_folder(services.options)
        _show_progress(services, flags)
        services.jobs.on_warning(process.warned.tell)
        server = _web_server(services, flags, process)
        port = listener.getsockname()[1]
        for line in announcement(flags, port, protected=protected):
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        if wants_browser(flags, services.options.text("auto_launch_browser")):
            webbrowser.open(local_url(flags, port))
        _favour_short_answers()
        server.run(sockets=[listener])


def _dump_sysinfo(services: Services) -> Path:
    """The system report in a file of the data folder, written once the engine has reported its hardware or failed."""
    from modules.api.internal import system_report

    until = time.monotonic() + ENGINE_LOOKS
    while services.jobs.engine().state == "starting" and time.monotonic() < until:
        time.sleep(0.1)
    path = services.paths.data_dir / f"sysinfo-{time.strftime('%Y-%m-%d-%H-%M-%S')}.json"
    try:
        write_text_atomic(path, json.dumps(system_report(services), indent=4, ensure_ascii=False))
    except SaveError as problem:
        raise StartError(f"The system report can't be written: {problem}") from problem
    return path


def _show_progress(services: Services, flags: Flags) -> None:
    """Progress bars, where somebody looks at a terminal."""
    if flags.disable_console_progressbars or not sys.stderr.isatty():
        return
    from modules.jobs.console import ConsoleProgress

    bars = ConsoleProgress(
        services.jobs.subscribe(), sys.stderr, whole_job=lambda: services.options.switch("multiple_tqdm")
    )
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.addFilter(bars.before_log)
    bars.start()


def _favour_short_answers() -> None:
    """Keep a poll for progress short: threads take turns more often, and the garbage collector has less to search."""
    # What is here by now stays: the collector need not look through it again, which takes it a tenth of a second.
    gc.collect()
    gc.freeze()
    # A computing thread hands the interpreter to others after 1 ms instead of 5.
    sys.setswitchinterval(0.001)


def wants_browser(flags: Flags, setting: str) -> bool:
    """Whether to open the page on this machine's screen: --autolaunch, else the setting, where there is a screen."""
    if flags.autolaunch or flags.nowebui:
        return flags.autolaunch and not flags.nowebui
    screen = sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return screen and (setting == "Remote" or (setting == "Local" and not flags.exposed))


def _use_temporary_folder(options: OptionStore) -> None:
    """Where Gradio puts what passes through it; it reads this once, when it is imported."""
    folder = options.text("temp_dir")
    if not folder:
        return
    os.environ["GRADIO_TEMP_DIR"] = folder
    if options.switch("clean_temp_dir_at_start"):
        for picture in Path(folder).rglob("*.png"):
            with contextlib.suppress(OSError):
                picture.unlink()


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def _web_server(services: Services, flags: Flags, process: ServerProcess) -> uvicorn.Server:
    # Imported here: by now the engine is on its way, and loads while Gradio does.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with process.profile.step("Importing the web server and Gradio"):
        import uvicorn

        from modules.server.app import create_app

    with process.profile.step("Building the page"):
        app = create_app(services, flags, process)
    config = uvicorn.Config(
        _with_door(app, flags),
        log_level="warning",
        # TrustedProxies does it, and remembers who was trusted.
        proxy_headers=False,
        timeout_keep_alive=flags.timeout_keep_alive,
        ssl_keyfile=flags.tls_keyfile,
        ssl_certfile=flags.tls_certfile,
        # A browser's open streams must not hold up Ctrl+C.
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def local_url(flags: Flags, port: int) -> str:
    """The address to open on this machine."""
    scheme = "https" if flags.tls_certfile else "http"
    address = bind_address(flags)
    name = "127.0.0.1" if address in {"0.0.0.0", "::"} else address
    return f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}"


def announcement(flags: Flags, port: int, *, protected: bool) -> Iterator[str]:
    """What is printed at start: the address, and what is open to whom."""
    yield f"Running on local URL:  {local_url(flags, port)}"
    if flags.share:
        yield "--share is not available yet: use --listen with --gradio-auth, or a reverse proxy."
    if (flags.listen or flags.server_name) and not protected:
        yield (
            f"WARNING: everyone who can reach {bind_address(flags)}:{port} can make pictures, see the prompts and all "
            "files in outputs/, and change the checkpoint: set a password with --gradio-auth user:password."
        )


def _with_door(app: FastAPI, flags: Flags) -> ASGIApp:
    """`app` behind the door, and the door behind what a reverse proxy changes about a request."""
    from modules.server.door import Door, door_rules
    from modules.server.proxies import TrustedProxies
    from modules.server.subpath import Subpath, prefix_of

    rules = door_rules(
        server_name=flags.server_name,
        listen=flags.listen,
        allowed_hosts=flags.allowed_hosts,
        machine_names={socket.gethostname(), socket.getfqdn()} if flags.listen or flags.server_name else (),
        origins=flags.cors_allow_origins,
        origin_pattern=flags.cors_allow_origins_regex,
    )
    prefix = prefix_of(flags.subpath)
    door = Door(app, rules)
    return TrustedProxies(Subpath(door, prefix) if prefix else door, flags.trusted_proxies)
