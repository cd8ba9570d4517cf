"""Builds the one C extension. Without a compiler the NumPy and torch twins of the kernels do the same work, slower."""

from pathlib import Path

from setuptools import Extension, setup

KERNELS = Path("src/orfevre/kernels")

setup(
    ext_modules=[
        Extension(
            "orfevre.kernels._kernels",
            sources=[str(path) for path in sorted(KERNELS.glob("*.c"))],
            depends=[str(path) for path in sorted(KERNELS.glob("*.h"))],
            extra_compile_args=["-O3", "-std=c11", "-fno-math-errno", "-pthread"],
            extra_link_args=["-pthread", "-ldl", "-lm"],
            optional=True,
        )
    ]
)
