"""Functions of ours compiled once more, with a word to a watcher before and after each call that changes something.

`shutil.rmtree(x)` becomes `(watch(..., "before"), shutil.rmtree(x), watch(..., "after"))[1]`. Only the functions' code
is exchanged, so every module that has imported one runs the new code, and the former again after the block.
"""

import ast
import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from types import CodeType, FunctionType, ModuleType

from contracts.paths import PROJECT
from tests.changing_calls import Call, changing_call

Watcher = Callable[[Call, str], None]
BEFORE, AFTER = "before", "after"

_WATCH = "__watch__"
# Of a function: its name within the module, and its first line.
_Codes = dict[tuple[str, int], CodeType]


@contextmanager
def watched(modules: Iterable[str], watcher: Watcher) -> Iterator[None]:
    """Have `watcher` told of each changing call of `modules` (paths in the project) inside the block."""
    exchanged: list[tuple[FunctionType, CodeType]] = []
    try:
        for path in modules:
            calls, codes = _compiled(path)
            module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
            vars(module)[_WATCH] = lambda number, side, calls=calls: watcher(calls[number], side)
            for function in _functions(module):
                exchanged.append((function, function.__code__))
                function.__code__ = codes[_place(function.__code__)]
        yield
    finally:
        for function, code in reversed(exchanged):
            function.__code__ = code


class _Watched(ast.NodeTransformer):
    """Puts each changing call between two words to the watcher; `calls` are those that it came by."""

    def __init__(self, module: str) -> None:
        self.calls: list[Call] = []
        self._module = module

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """Return what is to be there instead of `node`."""
        call = changing_call(node, self._module)
        self.generic_visit(node)
        if call is None:
            return node
        self.calls.append(call)
        three = ast.Tuple([self._word(BEFORE), node, self._word(AFTER)], ast.Load())
        return ast.copy_location(ast.Subscript(three, ast.Constant(1), ast.Load()), node)

    def _word(self, side: str) -> ast.Call:
        number = len(self.calls) - 1
        return ast.Call(ast.Name(_WATCH, ast.Load()), [ast.Constant(number), ast.Constant(side)], [])


@cache
def _compiled(path: str) -> tuple[list[Call], _Codes]:
    """Return the changing calls of the module at `path`, and the code of its functions with words around them."""
    watching = _Watched(path)
    tree = watching.visit(ast.parse((PROJECT / path).read_bytes()))
    code = compile(ast.fix_missing_locations(tree), str(PROJECT / path), "exec", dont_inherit=True)
    return watching.calls, {_place(each): each for each in _within(code)}


def _within(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _within(constant)


def _place(code: CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """Yield the functions and methods that the module's own text defines."""
    for value in vars(module).values():
        members = vars(value).values() if inspect.isclass(value) and value.__module__ == module.__name__ else (value,)
        for member in members:
            function = _unbound(member)
            if isinstance(function, FunctionType) and function.__code__.co_filename == module.__file__:
                yield function


def _unbound(member: object) -> object:
    """Return the function in `member`, its decorators taken off."""
    match member:
        case property():
            member = member.fget
        case staticmethod() | classmethod():
            member = member.__func__
    return inspect.unwrap(member) if callable(member) else None
