"""`backplane edge`: its options. It is loaded for every `backplane` call, so it imports little."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from backplane.cli.exit import CommandError

__all__ = ["edge", "without_password"]


def edge(
    data_dir: Annotated[
        Path | None,
        Option(
            "--data-dir", metavar="PATH", help="What this edge keeps, its alone.", show_default="edge-data"
        ),
    ] = None,
    identity_dir: Annotated[
        Path | None,
        Option(
            "--identity-dir",
            metavar="PATH",
            help="CA and tokens; edges of a fleet share it.",
            show_default="the data directory",
        ),
    ] = None,
    database_url: Annotated[
        str | None,
        Option(
            "--database-url",
            metavar="URL",
            help="postgresql://USER@HOST/NAME, for a fleet; the password in a file or variable.",
            show_default="SQLite in the data directory",
        ),
    ] = None,
    database_password_file: Annotated[
        Path | None,
        Option("--database-password-file", metavar="PATH", help="A file with the database's password."),
    ] = None,
    public: Annotated[
        str | None,
        Option(
            "--public", metavar="HOST:PORT", help="Where the public is served.", show_default="127.0.0.1:8080"
        ),
    ] = None,
    tunnel: Annotated[
        str | None,
        Option("--tunnel", metavar="HOST:PORT", help="Where agents dial in.", show_default="127.0.0.1:7443"),
    ] = None,
    api: Annotated[
        str | None,
        Option(
            "--api",
            metavar="HOST:PORT",
            help="Where the management API answers.",
            show_default="127.0.0.1:7000",
        ),
    ] = None,
    api_name: Annotated[
        list[str] | None,
        Option(
            "--api-name",
            metavar="NAME",
            help="A name or address that clients call the API by, beside its own; repeatable.",
        ),
    ] = None,
    api_cert: Annotated[
        Path | None,
        Option(
            "--api-cert",
            metavar="PATH",
            help="Certificate chain (PEM) to serve the API with TLS.",
            show_default="beyond loopback, one of the embedded CA",
        ),
    ] = None,
    api_key: Annotated[
        Path | None, Option("--api-key", metavar="PATH", help="The certificate's private key (PEM).")
    ] = None,
    api_insecure: Annotated[
        bool | None,
        Option("--api-insecure", help="Serve the API beyond loopback without TLS.", show_default=False),
    ] = None,
    open_metrics: Annotated[
        bool | None,
        Option("--open-metrics", help="Answer /metrics without a token.", show_default=False),
    ] = None,
    advertise: Annotated[
        str | None,
        Option(
            "--advertise",
            metavar="HOST:PORT",
            help="Where agents reach the tunnel address from outside.",
            show_default="the tunnel address",
        ),
    ] = None,
    domain: Annotated[
        str | None,
        Option(
            "--domain",
            metavar="NAME",
            help="Services are SERVICE.NAME to the public.",
            show_default="localhost",
        ),
    ] = None,
    default_service: Annotated[
        str | None,
        Option(
            "--default-service",
            metavar="NAME|auto|none",
            help="What other hosts get; auto is the only service there is.",
            show_default="auto",
        ),
    ] = None,
    zone: Annotated[
        str | None, Option("--zone", metavar="NAME", help="Where this edge is: its region or data centre.")
    ] = None,
    public_cert: Annotated[
        Path | None,
        Option("--public-cert", metavar="PATH", help="Certificate chain (PEM) to serve the public TLS with."),
    ] = None,
    public_key: Annotated[
        Path | None, Option("--public-key", metavar="PATH", help="The certificate's private key (PEM).")
    ] = None,
    public_max_connections: Annotated[
        int | None,
        Option(
            "--public-max-connections",
            metavar="NUMBER",
            help="Public connections open at once.",
            show_default="16384",
        ),
    ] = None,
    public_max_connections_per_address: Annotated[
        int | None,
        Option(
            "--public-max-connections-per-address",
            metavar="NUMBER",
            help="The same for one client address.",
            show_default="1024",
        ),
    ] = None,
    public_idle_timeout: Annotated[
        float | None,
        Option(
            "--public-idle-timeout",
            metavar="SECONDS",
            help="How long a public connection without a request is kept.",
            show_default="75",
        ),
    ] = None,
    balance_slow_start: Annotated[
        float | None,
        Option(
            "--balance-slow-start",
            metavar="SECONDS",
            help="In which a new instance comes to its whole share; 0: at once.",
            show_default="5",
        ),
    ] = None,
    balance_eject_after: Annotated[
        int | None,
        Option(
            "--balance-eject-after",
            metavar="NUMBER",
            help="Gateway errors in a row that take an instance out for a while; 0: never.",
            show_default="5",
        ),
    ] = None,
    balance_eject_time: Annotated[
        float | None,
        Option(
            "--balance-eject-time",
            metavar="SECONDS",
            help="For how long the first time.",
            show_default="30",
        ),
    ] = None,
    balance_panic_threshold: Annotated[
        int | None,
        Option(
            "--balance-panic-threshold",
            metavar="PERCENT",
            help="With fewer healthy instances of a service all are used; 0: never.",
            show_default="0",
        ),
    ] = None,
    balance_queue_size: Annotated[
        int | None,
        Option(
            "--balance-queue-size",
            metavar="NUMBER",
            help="Requests that wait while all instances are at their capacity.",
            show_default="1024",
        ),
    ] = None,
    balance_queue_timeout: Annotated[
        float | None,
        Option(
            "--balance-queue-timeout",
            metavar="SECONDS",
            help="How long each of them may wait.",
            show_default="5",
        ),
    ] = None,
    balance_reconnect_grace: Annotated[
        float | None,
        Option(
            "--balance-reconnect-grace",
            metavar="SECONDS",
            help="How long an instance that has lost its last tunnel is still counted.",
            show_default="5",
        ),
    ] = None,
    drain_timeout: Annotated[
        float | None,
        Option(
            "--drain-timeout",
            metavar="SECONDS",
            help="Time for requests to end at a stop.",
            show_default="30",
        ),
    ] = None,
    ping_interval: Annotated[
        float | None,
        Option(
            "--ping-interval",
            metavar="SECONDS",
            help="Silence after which an agent is asked for a sign of life.",
            show_default="25",
        ),
    ] = None,
    ping_timeout: Annotated[
        float | None,
        Option(
            "--ping-timeout",
            metavar="SECONDS",
            help="Time for each of two such signs to come.",
            show_default="10",
        ),
    ] = None,
    poll_interval: Annotated[
        float | None,
        Option(
            "--poll-interval",
            metavar="SECONDS",
            help="How often an agent is asked how its instances are.",
            show_default="60",
        ),
    ] = None,
    access_log: Annotated[
        str | None,
        Option(
            "--access-log",
            metavar="PATH|-|none",
            help="Where requests are logged; - is stdout.",
            show_default="-",
        ),
    ] = None,
    log_level: Annotated[
        str | None,
        Option(
            "--log-level",
            metavar="LEVEL",
            help="The least level logged: debug, info, warning or error.",
            show_default="info",
        ),
    ] = None,
    log_format: Annotated[
        str | None,
        Option("--log-format", metavar="FORMAT", help="auto, human or json.", show_default="auto"),
    ] = None,
    config: Annotated[
        Path | None, Option("--config", metavar="PATH", help="A TOML file with settings.")
    ] = None,
) -> None:
    """Accept agents' tunnels, and serve their applications to the public.

    Each setting can also be given by a variable (BACKPLANE_PUBLIC, BACKPLANE_DATA_DIR ...) or in the config file
    (public, data_dir ...), and so can the other limits of the two ports, which have no flags (docs/limits.md).
    A flag goes before a variable, a variable before the file.
    """
    from backplane.cli.logs import configure_logs
    from backplane.cli.settings import load_settings
    from backplane.cli.variables import warn_of_strangers

    from .config import EdgeSettings

    settings = load_settings(
        EdgeSettings,
        flags={
            "data_dir": data_dir,
            "identity_dir": identity_dir,
            "database_url": without_password(database_url),
            "database_password_file": database_password_file,
            "api_name": api_name,
            "api_cert": api_cert,
            "api_key": api_key,
            "api_insecure": api_insecure,
            "open_metrics": open_metrics,
            "public": public,
            "tunnel": tunnel,
            "api": api,
            "advertise": advertise,
            "domain": domain,
            "default_service": default_service,
            "zone": zone,
            "public_cert": public_cert,
            "public_key": public_key,
            "public_max_connections": public_max_connections,
            "public_max_connections_per_address": public_max_connections_per_address,
            "public_idle_timeout": public_idle_timeout,
            "balance_slow_start": balance_slow_start,
            "balance_eject_after": balance_eject_after,
            "balance_eject_time": balance_eject_time,
            "balance_panic_threshold": balance_panic_threshold,
            "balance_queue_size": balance_queue_size,
            "balance_queue_timeout": balance_queue_timeout,
            "balance_reconnect_grace": balance_reconnect_grace,
            "drain_timeout": drain_timeout,
            "ping_interval": ping_interval,
            "ping_timeout": ping_timeout,
            "poll_interval": poll_interval,
            "access_log": access_log,
            "log_level": log_level,
            "log_format": log_format,
        },
        config=config,
    )
    configure_logs(settings.log_level, settings.log_format)
    warn_of_strangers(EdgeSettings)
    try:
        from .main import run

        run(settings)
    except ModuleNotFoundError as error:
        raise CommandError(f"{error.name} is not installed: an edge needs backplane-server[edge]") from error


def without_password(url: str | None) -> str | None:
    """Return a URL from the command line. Raises CommandError if it shows a password to everybody on the machine."""
    from urllib.parse import urlsplit

    from backplane.cli.exit import ExitCode

    try:
        shown = url is not None and urlsplit(url).password is not None
    except ValueError:
        shown = False
    if shown:
        raise CommandError(
            "flag --database-url: a password on the command line can be seen by everybody on this machine: give it"
            " with --database-password-file, or the whole URL in BACKPLANE_DATABASE_URL or the config file",
            ExitCode.USAGE,
        )
    return url
