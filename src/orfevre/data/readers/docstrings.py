"""The documentation strings of Python modules. Modules are parsed, never executed."""

import ast
import gc
import inspect
import warnings
from collections.abc import Iterator

from orfevre.data.readers.record import Broken, Item, Record

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

_BLOCKS = ("body", "handlers", "orelse", "finalbody", "cases")
"""Fields that hold statements, or what holds statements, in source order."""


def read_docstrings(data: bytes) -> Iterator[Item]:
    """Each docstring, then each text of module-level dict literals, a document of its own, in source order."""
    try:
        module = _parse(data)
    except SyntaxError as error:
        yield Broken(0, "broken_record", f"not valid Python: line {error.lineno}: {error.msg}", len(data))
        return
    except (ValueError, RecursionError, MemoryError) as error:
        yield Broken(0, "broken_record", f"not valid Python: {error}", len(data))
        return
    for number, text in enumerate(_texts(module), start=1):
        yield Record(number, text)


def _parse(data: bytes) -> ast.Module:
    """Without the cycle collector, which would walk the growing tree again and again: twice as fast."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes are the module's business
            return ast.parse(data)
    finally:
        if collecting:
            gc.enable()


def _texts(module: ast.Module) -> Iterator[str]:
    for node in _in_order(module):
        if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node, clean=True)):
            yield text
    for statement in module.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(statement.value, ast.Dict):
            yield from map(inspect.cleandoc, _table_texts(statement.value))


def _in_order(module: ast.Module) -> Iterator[ast.AST]:
    """Statements depth first, so that documents follow the source (ast.walk is breadth first)."""
    waiting: list[ast.AST] = [module]
    while waiting:
        current = waiting.pop()
        yield current
        for field in reversed(_BLOCKS):
            waiting.extend(reversed(getattr(current, field, ())))


def _table_texts(table: ast.Dict) -> Iterator[str]:
    """Values of more than one line: pydoc_data/topics.py is such a table. Shorter ones are data, not documentation."""
    for value in table.values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str) and "\n" in value.value.strip():
            yield value.value
