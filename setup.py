"""Builds the one C extension. Without a compiler the NumPy twins of the kernels do the same work, slower."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "orfevre.kernels._text",
            sources=["src/orfevre/kernels/text.c"],
            extra_compile_args=["-O3", "-std=c11"],
            optional=True,
        )
    ]
)
