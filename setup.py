"""What is compiled, and left out where a compiler, mypy or libnghttp2's headers are missing.

The data path is Python that mypyc compiles (docs/decisions/0009-compiled-data-path.md). An editable installation leaves
it interpreted, so that a change shows at once. BACKPLANE_COMPILE=0 leaves it interpreted anyway; with 1 an installation
fails that cannot compile it.

Everything else about the distribution is in pyproject.toml.
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ENGINE = Path("h2s/engine")

DATA_PATH = """
    h2s: budget connection reading window
    h2s/http1: body errors lines
    edge: accesslog balance exchange failure fieldset forwarded gateway instance message problem registry routing
    edge: waiting
    edge/ingress: context deadline head http1 http1_exchange http2 http2_exchange response rules turn wire
    agent: forward relay tunnel
    agent/upstream: channel deadlines errors heads pool request response service trunk
"""
"""Modules that every request passes through. `h2s.engine.session` and `edge.pools` cannot be among them: the native
engine inherits from the first, and the second needs weak references."""

WANTED = os.environ.get("BACKPLANE_COMPILE", "")
BUILDING = not {"bdist_wheel", "build", "build_ext", "install"}.isdisjoint(sys.argv)


def compiled() -> list[Extension]:
    """Return the extensions of the data path; none where they are not wanted or cannot be made."""
    if WANTED == "0" or not BUILDING:
        return []
    paths = []
    for line in DATA_PATH.strip().splitlines():
        folder, names = line.split(":")
        paths += [f"{folder.strip()}/{name}.py" for name in names.split()]
    try:
        from mypyc.build import mypycify

        extensions = mypycify(
            # Without pyproject.toml: its strictness is the developer's, and what is imported need not be installed.
            ["--config-file=", "--ignore-missing-imports", *paths],
            opt_level="3",
            debug_level="0",
            group_name="backplane_data_path",
        )
    except (Exception, SystemExit) as error:
        if WANTED == "1":
            raise
        print(f"warning: the data path is not compiled: {error!r}", file=sys.stderr)
        return []
    for extension in extensions:
        extension.optional = WANTED != "1"
        # What a newer compiler warns of is no reason to fail.
        extension.extra_compile_args = [flag for flag in extension.extra_compile_args if flag != "-Werror"]
    return extensions


class BuildAllOrNothing(build_ext):
    """Takes back what was compiled of the data path if a part of it was not."""

    def run(self) -> None:
        super().run()
        built = [Path(self.get_ext_fullpath(extension.name)) for extension in DATA_PATH_EXTENSIONS]
        if not all(path.exists() for path in built):
            for path in built:
                path.unlink(missing_ok=True)


DATA_PATH_EXTENSIONS = compiled()

setup(
    cmdclass={"build_ext": BuildAllOrNothing},
    ext_modules=[
        Extension(
            "h2s.engine.native",
            [str(ENGINE / "native.pyx")],
            libraries=["nghttp2"],
            extra_compile_args=["-O3"],
            depends=[str(path) for path in sorted(ENGINE.glob("_native/*.pxi"))],
            optional=True,
        ),
        Extension("h2s.http1.native", ["h2s/http1/native.pyx"], extra_compile_args=["-O3"], optional=True),
        *DATA_PATH_EXTENSIONS,
    ],
)
