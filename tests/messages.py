"""Every message of an error that a user can meet, read from the source: `...` for what varies in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from loader.errors import ExitCode

PACKAGE = Path(__file__).parents[1] / "loader"
VARIES = "..."


class Message(NamedTuple):
    """What one construction of an error says, and the exit code of its class."""

    words: str
    exit_code: ExitCode
    place: str


class Kind(NamedTuple):
    """A class of errors."""

    exit_code: ExitCode
    own_words: ast.expr | None
    """The message, where the class writes it itself."""
    place: str


@cache
def messages() -> list[Message]:
    """All of them, in the order of the source."""
    trees = {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
    kinds = _kinds(trees)
    found = [
        Message(words, kind.exit_code, kind.place)
        for kind in kinds.values()
        if kind.own_words is not None
        for words in texts(kind.own_words)
    ]
    for path, tree in trees.items():
        for call, around in _calls(tree):
            kind = kinds.get(_name(call.func))
            if kind is None or kind.own_words is not None:
                continue
            place = f"{path.relative_to(PACKAGE.parent)}:{call.lineno}"
            for text in _handed_over(call.args[0], around, tree, place):
                found += [Message(words, kind.exit_code, place) for words in texts(text)]
    return found


def texts(expression: ast.expr) -> list[str]:
    """What an expression can come to: each branch of a condition is a text of its own."""
    match expression:
        case ast.Constant(value=str(words)):
            return [words]
        case ast.JoinedStr(values=values):
            parts = [texts(value) for value in values]
        case ast.FormattedValue(value=ast.IfExp() as value):
            return texts(value)
        case ast.IfExp(body=body, orelse=orelse):
            return texts(body) + texts(orelse)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            parts = [texts(left), texts(right)]
        case _:
            return [VARIES]
    whole = [""]
    for part in parts:
        whole = [before + after for before in whole for after in part]
    return [words.replace(f"{VARIES} {VARIES}", VARIES) for words in whole]


def _kinds(trees: Mapping[Path, ast.Module]) -> dict[str, Kind]:
    """The tree of errors: a class without a code of its own has that of the class above it."""
    kinds: dict[str, Kind] = {"Exception": Kind(ExitCode.DEFECT, None, "")}
    classes = [
        (node, f"{path.relative_to(PACKAGE.parent)}:{node.lineno}")
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    ]
    known = 0
    while known != len(kinds):
        known = len(kinds)
        for node, place in classes:
            above = next((kinds[name] for base in node.bases if (name := _name(base)) in kinds), None)
            if above is not None and (node.name == "LoaderError" or above.place):
                words = None if node.name == "LoaderError" else _own_words(node)
                kinds.setdefault(node.name, Kind(_own_code(node) or above.exit_code, words, place))
    del kinds["Exception"]
    return kinds


def _own_words(node: ast.ClassDef) -> ast.expr | None:
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__":
            return call.args[0]
    return None


def _own_code(node: ast.ClassDef) -> ExitCode | None:
    if "self.exit_code = _EXIT_CODES[" in ast.unparse(node):
        return ExitCode.SIGINT  # one for each signal; told of the first
    for part in node.body:
        target = part.targets[0] if isinstance(part, ast.Assign) else getattr(part, "target", None)
        value = getattr(part, "value", None)
        if isinstance(target, ast.Name) and target.id == "exit_code" and isinstance(value, ast.Attribute):
            return ExitCode[value.attr]
    return None


def _calls(tree: ast.Module) -> Iterator[tuple[ast.Call, ast.FunctionDef | ast.AsyncFunctionDef | None]]:
    """Each call, with the innermost function around it."""
    waiting: list[tuple[ast.AST, ast.FunctionDef | ast.AsyncFunctionDef | None]] = [(tree, None)]
    while waiting:
        node, around = waiting.pop()
        if isinstance(node, ast.Call):
            yield node, around
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            around = node
        waiting += [(child, around) for child in ast.iter_child_nodes(node)]


def _handed_over(
    text: ast.expr, around: ast.FunctionDef | ast.AsyncFunctionDef | None, tree: ast.Module, place: str
) -> Iterator[ast.expr]:
    """The text itself; of a parameter, what the callers in this file hand over."""
    match text:
        case ast.Attribute(attr="what"):
            return  # another error's, told once more
        case ast.Name(id=name) if around is not None:
            names = [argument.arg for argument in around.args.args]
            assert name in names, f"{place}: {name} is no parameter; write the message where it is raised"
            callers = [call for call, _ in _calls(tree) if _name(call.func) == around.name]
            assert callers, f"{place}: nobody in this file says what {name} is"
            yield from (call.args[names.index(name)] for call in callers)
        case _:
            yield text


def _name(expression: ast.expr) -> str:
    return expression.id if isinstance(expression, ast.Name) else getattr(expression, "attr", "")
