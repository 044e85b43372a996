"""From the text of an expression to its tree.

The grammar is that of the CEL specification with cel-go's optional syntax (``a.?b``, ``a[?i]``) and macros, which
are recognised here by their shape.
"""

import re

from headwater.kube.schema.cel.tree import Bind, Call, Index, ListOf, Literal, Loop, MapOf, Name, Node, Select
from headwater.kube.schema.cel.values import CelSyntaxError, UInt

_LENGTH = 100_000
_DEPTH = 80
_TOKEN = re.compile(
    r"""
    (?P<space>(?:\s|//[^\n]*)+)
  | (?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)
  | (?P<int>0[xX][0-9a-fA-F]+[uU]?|\d+[uU]?)
  | (?P<string>(?:[rR][bB]?|[bB][rR]?)?(?:'''(?:[^\\]|\\.)*?'''|\"\"\"(?:[^\\]|\\.)*?\"\"\"))
  | (?P<text>(?:[bB])?(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")|(?:[rR][bB]?|[bB][rR])(?:'[^'\n]*'|"[^"\n]*"))
  | (?P<quoted>`[a-zA-Z0-9_./ -]+`)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<op>&&|\|\||<=|>=|==|!=|[-+*/%<>!?:.,()\[\]{}])
    """,
    re.VERBOSE | re.DOTALL,
)
RESERVED = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
_RELATIONS = ("<", "<=", ">", ">=", "==", "!=", "in")
_LOOPS = {"all": (2, 3), "exists": (2, 3), "exists_one": (2, 3), "existsOne": (2, 3), "map": (2, 3), "filter": (2,)}
_TWO_VARIABLES = {"transformList": (3, 4), "transformMap": (3, 4)}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def parse(text: str) -> Node:
    """Parse an expression. Raises ``CelSyntaxError``."""
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        if len(text) > _LENGTH:
            raise CelSyntaxError(text[:40], 0, f"the expression is longer than {_LENGTH} characters")
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise CelSyntaxError(text, position, f"Syntax error: token recognition error at: '{text[position]}'")
            kind = match.lastgroup or ""
            if kind != "space":
                self.tokens.append((kind, match[0], position))
            position = match.end()
        self.tokens.append(("end", "<EOF>", len(text)))
        self.position = 0
        self.depth = 0

    # Tokens

    def peek(self) -> str:
        kind, text, _ = self.tokens[self.position]
        return text if kind in ("op", "name") else ""

    def at(self) -> int:
        return self.tokens[self.position][2]

    def accept(self, *texts: str) -> str:
        found = self.peek()
        if found and found in texts:
            self.position += 1
            return found
        return ""

    def expect(self, text: str) -> None:
        if not self.accept(text):
            raise self.wrong(f"expecting '{text}'")

    def wrong(self, expecting: str = "") -> CelSyntaxError:
        _, text, at = self.tokens[self.position]
        more = f" {expecting}" if expecting else ""
        return CelSyntaxError(self.text, at, f"Syntax error: mismatched input '{text}'{more}")

    # Levels

    def whole(self) -> Node:
        node = self.expression()
        if self.tokens[self.position][0] != "end":
            raise self.wrong("expecting <EOF>")
        return node

    def expression(self) -> Node:
        self.depth += 1
        if self.depth > _DEPTH:
            raise CelSyntaxError(self.text, self.at(), f"the expression is nested more than {_DEPTH} levels deep")
        at = self.at()
        node = self.either()
        if self.accept("?"):
            then = self.either()
            self.expect(":")
            node = Call(at, "_?_:_", None, [node, then, self.expression()])
        self.depth -= 1
        return node

    def either(self) -> Node:
        node = self.both()
        while self.peek() == "||":
            at = self.at()
            self.position += 1
            node = Call(at, "_||_", None, [node, self.both()])
        return node

    def both(self) -> Node:
        node = self.relation()
        while self.peek() == "&&":
            at = self.at()
            self.position += 1
            node = Call(at, "_&&_", None, [node, self.relation()])
        return node

    def relation(self) -> Node:
        node = self.binary(0)
        while self.peek() in _RELATIONS:
            at = self.at()
            operator = self.accept(*_RELATIONS)
            node = Call(at, "@in" if operator == "in" else f"_{operator}_", None, [node, self.binary(0)])
        return node

    def binary(self, level: int) -> Node:
        if level == 2:
            return self.unary()
        operators = (("+", "-"), ("*", "/", "%"))[level]
        node = self.binary(level + 1)
        while self.peek() in operators:
            at = self.at()
            operator = self.accept(*operators)
            node = Call(at, f"_{operator}_", None, [node, self.binary(level + 1)])
        return node

    def unary(self) -> Node:
        at = self.at()
        if self.peek() == "!":
            count = 0
            while self.accept("!"):
                count += 1
            node = self.member()
            return Call(at, "!_", None, [node]) if count % 2 else node
        if self.peek() == "-":
            count = 0
            while self.accept("-"):
                count += 1
            kind, text, _ = self.tokens[self.position]
            if count % 2 and kind in ("int", "float") and text[-1] not in "uU":
                self.tokens[self.position] = (kind, "-" + text, at)
                return self.member()
            node = self.member()
            return Call(at, "-_", None, [node]) if count % 2 else node
        return self.member()

    def member(self) -> Node:
        node = self.primary()
        while True:
            at = self.at()
            if self.accept("."):
                optional = bool(self.accept("?"))
                kind, name, _ = self.tokens[self.position]
                if kind == "quoted":
                    name = name[1:-1]
                elif kind != "name":
                    raise self.wrong("expecting an identifier")
                self.position += 1
                if not optional and self.accept("("):
                    node = self.method(at, node, name, self.arguments(")"))
                else:
                    node = Select(at, node, name, False, optional)
            elif self.accept("["):
                optional = bool(self.accept("?"))
                index = self.expression()
                self.expect("]")
                node = Index(at, node, index, optional)
            else:
                return node

    def arguments(self, end: str) -> list[Node]:
        args: list[Node] = []
        while not self.accept(end):
            args.append(self.expression())
            if not self.accept(","):
                self.expect(end)
                break
        return args

    def primary(self) -> Node:
        kind, text, at = self.tokens[self.position]
        if kind == "op":
            if self.accept("("):
                node = self.expression()
                self.expect(")")
                return node
            if self.accept("["):
                return self.list_of(at)
            if self.accept("{"):
                return self.map_of(at)
            if self.accept("."):
                return self.primary()
            raise self.wrong()
        self.position += 1
        match kind:
            case "int":
                return Literal(at, self.integer(text, at))
            case "float":
                return Literal(at, float(text))
            case "string" | "text":
                return Literal(at, self.string(text, at))
            case "name":
                return self.named(text, at)
        self.position -= 1
        raise self.wrong()

    def named(self, text: str, at: int) -> Node:
        if text in ("true", "false", "null"):
            return Literal(at, {"true": True, "false": False, "null": None}[text])
        if text == "in" or text in RESERVED:
            raise CelSyntaxError(self.text, at, f"reserved identifier: {text}")
        if not self.accept("("):
            return Name(at, text)
        args = self.arguments(")")
        if text == "has":
            if len(args) != 1 or not isinstance(args[0], Select) or args[0].optional:
                raise CelSyntaxError(self.text, at, "invalid argument to has() macro")
            return Select(at, args[0].operand, args[0].field, test=True)
        return Call(at, text, None, args)

    def method(self, at: int, target: Node, name: str, args: list[Node]) -> Node:
        if name in _LOOPS and len(args) in _LOOPS[name]:
            if name == "map" or name == "filter" or len(args) == 2:
                *middle, body = args[1:]
                return Loop(at, name, target, [self.variable(args[0])], middle[0] if middle else None, body)
            return Loop(at, name, target, [self.variable(args[0]), self.variable(args[1])], None, args[2])
        if name in _TWO_VARIABLES and len(args) in _TWO_VARIABLES[name]:
            names = [self.variable(args[0]), self.variable(args[1])]
            *middle, body = args[2:]
            return Loop(at, name, target, names, middle[0] if middle else None, body)
        if name in ("optMap", "optFlatMap") and len(args) == 2:
            return Bind(at, self.variable(args[0]), target, args[1], name)
        if isinstance(target, Name):
            if target.name == "cel" and name == "bind" and len(args) == 3:
                return Bind(at, self.variable(args[0]), args[1], args[2])
            if f"{target.name}.{name}" in _NAMESPACED:
                return Call(at, f"{target.name}.{name}", None, args)
        return Call(at, name, target, args)

    def variable(self, node: Node) -> str:
        if not isinstance(node, Name):
            raise CelSyntaxError(self.text, node.at, "argument must be a simple name")
        return node.name

    def list_of(self, at: int) -> Node:
        node = ListOf(at, [])
        while not self.accept("]"):
            if self.accept("?"):
                node.optional.add(len(node.items))
            node.items.append(self.expression())
            if not self.accept(","):
                self.expect("]")
                break
        return node

    def map_of(self, at: int) -> Node:
        node = MapOf(at, [])
        while not self.accept("}"):
            if self.accept("?"):
                node.optional.add(len(node.entries))
            key = self.expression()
            self.expect(":")
            node.entries.append((key, self.expression()))
            if not self.accept(","):
                self.expect("}")
                break
        return node

    def integer(self, text: str, at: int) -> int:
        unsigned = text[-1] in "uU"
        if len(text) > 40:
            raise CelSyntaxError(self.text, at, "invalid int literal")
        value = int(text.rstrip("uU"), 0 if "x" in text.lower() else 10)
        if unsigned:
            if value >= 2**64:
                raise CelSyntaxError(self.text, at, "invalid uint literal")
            return UInt(value)
        if not -(2**63) <= value < 2**63:
            raise CelSyntaxError(self.text, at, "invalid int literal")
        return value

    def string(self, text: str, at: int) -> str | bytes:
        prefix = text[: len(text) - len(text.lstrip("rRbB"))].lower()
        quoted = text[len(prefix) :]
        width = 3 if quoted[:3] in ("'''", '"""') and len(quoted) >= 6 else 1
        body = quoted[width:-width]
        if "r" not in prefix:
            try:
                body = _unescape(body, in_bytes="b" in prefix)
            except (ValueError, OverflowError):
                raise CelSyntaxError(self.text, at, "invalid escape sequence in a string") from None
        if "b" in prefix:
            return body.encode("utf-8", "surrogateescape")
        return body


_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|X[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}|.)", re.DOTALL)


def _unescape(body: str, *, in_bytes: bool) -> str:
    def one(match: re.Match[str]) -> str:
        text = match[1]
        if text in _ESCAPES:
            return _ESCAPES[text]
        if text in "\\'\"`?":
            return text
        if len(text) == 1:
            raise ValueError(text)
        code = int(text, 8) if text[0].isdigit() else int(text[1:], 16)
        if in_bytes and code > 127 and text[0] not in "uU":
            return chr(0xDC00 + code)
        return chr(code)

    return _ESCAPE.sub(one, body)


_NAMESPACED = frozenset(
    [
        *(
            f"math.{name}"
            for name in [
                "greatest",
                "least",
                "abs",
                "sign",
                "ceil",
                "floor",
                "round",
                "trunc",
                "isNaN",
                "isInf",
                "isFinite",
            ]
        ),
        *(f"math.{name}" for name in ["sqrt", "bitOr", "bitAnd", "bitXor", "bitNot", "bitShiftLeft", "bitShiftRight"]),
        *(f"sets.{name}" for name in ["contains", "equivalent", "intersects"]),
        *("base64.encode", "base64.decode", "lists.range", "strings.quote", "optional.of", "optional.none"),
        *("optional.ofNonZeroValue", "ip.isCanonical", "format.named"),
        *(
            f"format.{name}"
            for name in [
                "dns1123Label",
                "dns1123Subdomain",
                "dns1035Label",
                "qualifiedName",
                "dns1123LabelPrefix",
                "dns1123SubdomainPrefix",
                "dns1035LabelPrefix",
                "labelValue",
                "uri",
                "uuid",
                "byte",
                "date",
                "datetime",
            ]
        ),
    ]
)
