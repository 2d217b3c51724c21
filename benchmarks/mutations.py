"""The small changes that can be made to code, see :mod:`mutants`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

ROOT = Path(__file__).resolve().parents[1]

_COMPARED: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_COMPUTED: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
_SAID = ("raise", "logger.", "warnings.")


@dataclass(frozen=True)
class Site:
    """One change that can be made: the n-th node of a file, in the n-th way.

    ``column``: of the node in its stripped line; ``lines``: of its statement; ``names``: what that
    defines for the module, if it does.
    """

    file: str
    node: int
    way: int
    line: int
    column: int
    before: str
    after: str
    lines: tuple[int, int]
    names: tuple[str, ...]


Way = tuple[str, str, Callable[[], None]]


def ways(node: ast.AST) -> list[Way]:
    """Return how a node can change: text before and after, and what does it."""
    if isinstance(node, ast.Compare):
        kinds = [(index, _COMPARED.get(type(each))) for index, each in enumerate(node.ops)]
        return [_way(node, "ops", kind(), index) for index, kind in kinds if kind]
    if isinstance(node, ast.BinOp | ast.AugAssign):
        parts = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.value,)
        kind = _COMPUTED.get(type(node.op))
        return [_way(node, "op", kind())] if kind and not any(map(_is_text, parts)) else []
    if isinstance(node, ast.BoolOp):
        return [_way(node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And())]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return [_way(node, "operand", _negated(node.operand))]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return [_way(node, "op", ast.UAdd())]
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return [_way(node, "value", _other(node.value))]
    is_branch = isinstance(node, ast.If | ast.IfExp | ast.While)
    if is_branch and not isinstance(node.test, ast.UnaryOp):
        text = ast.unparse(node.test)
        _, _, apply = _way(node, "test", _negated(node.test))
        return [(text, f"not ({text})", apply)]
    return []


def _way(node: ast.AST, field: str, value: object, index: int | None = None) -> Way:
    old = getattr(node, field)
    new = value if index is None else [*old[:index], value, *old[index + 1 :]]

    def apply() -> None:
        setattr(node, field, new)

    before = ast.unparse(node)
    apply()
    after = ast.unparse(node)
    setattr(node, field, old)
    return before, after, apply


def _negated(node: ast.expr) -> ast.expr:
    return ast.UnaryOp(op=ast.Not(), operand=node)


def _other(value: float) -> float:
    other = value + 1 if isinstance(value, int) else value * 1.5 or 1.0
    return not value if isinstance(value, bool) else other


def _is_text(node: ast.AST) -> bool:
    return isinstance(getattr(node, "value", node), str | bytes | ast.JoinedStr)


def nodes(tree: ast.AST) -> list[tuple[ast.AST, ast.stmt, bool]]:
    """Return every node that may change, its statement, and whether that belongs to the module."""
    found: list[tuple[ast.AST, ast.stmt, bool]] = []

    def visit(node: ast.AST, statement: ast.stmt | None, inside: bool) -> None:
        if isinstance(node, ast.stmt):
            statement = node
            text = ast.unparse(node) if isinstance(node, ast.Raise | ast.Expr) else ""
            if text.startswith(_SAID) or (isinstance(node, ast.If) and "TYPE_CHECKING" in
                                          ast.unparse(node.test)):  # fmt: skip
                return
        if statement is not None:
            found.append((node, statement, not inside))
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    visit(child, statement, inside or (is_function and field == "body"))

    visit(tree, None, False)
    return found


def sites(path: Path) -> Iterator[Site]:
    """List what can change in a file."""
    text = path.read_text(encoding="utf-8")
    tree, indents = ast.parse(text), [len(t) - len(t.lstrip()) for t in text.splitlines()]
    for number, (node, statement, is_module) in enumerate(nodes(tree)):
        for way, (before, after, _) in enumerate(ways(node)):
            names: list[str] = []
            if is_module:
                targets = getattr(statement, "targets", [getattr(statement, "target", None)])
                names = [n.id for t in targets if t for n in ast.walk(t) if isinstance(n, ast.Name)]
            line = getattr(node, "lineno", statement.lineno)
            column = getattr(node, "col_offset", 0) - indents[line - 1]
            yield Site(
                path.relative_to(ROOT).as_posix(), number, way, line, column, before, after,
                _lines(node, statement), tuple(names),
            )  # fmt: skip


def _lines(node: ast.AST, statement: ast.stmt) -> tuple[int, int]:
    """Return the first and last line of a statement; of one with a body, those of its head."""
    last = statement.end_lineno or statement.lineno
    body = getattr(statement, "body", None)
    if body:
        last = max(statement.lineno, body[0].lineno - 1, getattr(node, "end_lineno", 0) or 0)
    return statement.lineno, last


def mutated(site: Site) -> CodeType:
    """Compile a file with its change."""
    path = ROOT / site.file
    tree = ast.parse(path.read_text(encoding="utf-8"))
    _, _, apply = ways(nodes(tree)[site.node][0])[site.way]
    apply()
    return compile(ast.fix_missing_locations(tree), str(path), "exec")
