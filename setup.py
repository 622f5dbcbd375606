"""What is compiled, and left out where a compiler or libnghttp2's headers are missing.

Everything else about the distribution is in pyproject.toml.
"""

from pathlib import Path

from setuptools import Extension, setup

ENGINE = Path("h2s/engine")

setup(
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
    ]
)
