"""The one part that is compiled: `h2s.engine.native`, left out where a compiler or libnghttp2's headers are missing.

Everything else about the distribution is in pyproject.toml.
"""

from pathlib import Path

from setuptools import Extension, setup

ENGINE = Path("h2s/engine")

native = Extension(
    "h2s.engine.native",
    [str(ENGINE / "native.pyx")],
    libraries=["nghttp2"],
    extra_compile_args=["-O3"],
    depends=[str(path) for path in sorted(ENGINE.glob("_native/*.pxi"))],
    optional=True,
)

setup(ext_modules=[native])
