"""The language: values, operators, macros, functions, and what is refused before anything is evaluated."""

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.kube.schema.cel import CelError, compile_expression
from headwater.kube.schema.cel.evaluation import CostError, Meter
from headwater.kube.schema.cel.types import DYN, type_of_schema
from headwater.kube.schema.cel.values import CelSyntaxError

SELF: dict[str, Any] = {
    "x": 3,
    "y": {"k": 1},
    "items": {"x": 1},
    "list": [{"a": 1}, {"a": 2}],
    "a-b": 5,
    "namespace": "n",
}


def value(text: str, **variables: Any) -> Any:
    variables.setdefault("self", SELF)
    return compile_expression(text, dict.fromkeys(variables, DYN)).evaluate(variables)


TRUE = """
self.x == 3
has(self.x) && !has(self.z)
1 < 1.5
1u + 2u == 3u
5 % 2 == 1 && -5 / 2 == -2 && -5 % 2 == -1
-9223372036854775808 < 0
0x10 == 16 && 1.5e3 == 1500.0
'a' + "b" == r'ab' && b'a' == bytes('a') && '''x''' == "x"
'\\n' == "\\x0a" && size('é') == 1
1/0 == 1 || true
!(1/0 == 1 && false)
type(1) == int && type('a') == string && type(null) == null_type
[1, 2] + [3] == [1, 2, 3] && {'a': 1}.a == 1 && {'a': [1]}['a'][0] == 1
'a' in {'a': 1} && 1 in [1, 2] && !(3 in [1, 2])
[1, 2].exists_one(x, x == 1) && [1, 2].exists(x, x == 2) && [1, 2].all(x, x > 0)
[1, 2, 3].map(x, x > 1, x * 2) == [4, 6] && self.list.map(i, i.a) == [1, 2]
self.list.filter(i, i.a > 1) == [{'a': 2}]
self.list.all(i, v, v.a > i) && {'a': 1}.all(k, v, k == 'a' && v == 1)
[1, 2].transformList(i, v, i + v) == [1, 3] && {'a': 1}.transformMap(k, v, v + 1) == {'a': 2}
cel.bind(x, 1, x + 1) == 2
self.?x.orValue(4) == 3 && self.?q.r.orValue(4) == 4 && self.list[?5].hasValue() == false
[?optional.none(), ?optional.of(1)] == [1] && {?'a': optional.none()} == {}
optional.of(3).optMap(v, v + 1).value() == 4
self.a__dash__b == 5 && self.__namespace__ == 'n'
duration('1h30m') > duration('1m') && duration('90m') == duration('1h30m')
timestamp('2020-01-01T00:00:00Z').getFullYear() == 2020
timestamp('2020-01-01T00:00:00Z') + duration('24h') == timestamp('2020-01-02T00:00:00Z')
'a,b'.split(',') == ['a', 'b'] && ['a', 'b'].join('-') == 'a-b'
'abcabc'.indexOf('c') == 2 && 'abcabc'.lastIndexOf('c') == 5 && 'abc'.substring(1, 2) == 'b'
'ÀBc'.lowerAscii() == 'Àbc' && ' a '.trim() == 'a' && 'aaa'.replace('a', 'b', 2) == 'bba'
'%s has %d of %.2f, %x'.format(['a', 3, 1.5, 255]) == 'a has 3 of 1.50, ff'
'abc 123'.find('[0-9]+') == '123' && '1 2 3'.findAll('[0-9]', 2) == ['1', '2']
'abc'.matches('^a.*c$') && 'abc'.contains('b')
[1, 3, 2].max() == 3 && [1, 3].sum() == 4 && [1, 2].isSorted() && [1, 2, 2].indexOf(2) == 1
[1, [2]].flatten() == [1, 2] && [3, 1].sort() == [1, 3] && [1, 1].distinct() == [1] && lists.range(2) == [0, 1]
math.greatest(1, 2) == 2 && math.least([3, 1]) == 1 && math.ceil(1.2) == 2.0
sets.contains([1, 2], [1]) && sets.intersects([1], [1, 2]) && sets.equivalent([1, 1], [1])
base64.decode(base64.encode(b'hi')) == b'hi'
quantity('1').isLessThan(quantity('1500m')) && quantity('1Ki') == quantity('1024')
quantity('50k').add(20).sub(quantity('10')).asInteger() == 50010 && isQuantity('1Gi') && !isQuantity('x')
url('https://a.b:80/c?x=1').getHost() == 'a.b:80' && url('https://[::1]:80/').getHostname() == '::1'
url('https://a/b?k=v').getQuery() == {'k': ['v']} && isURL('/abs') && !isURL('no url')
ip('10.0.0.1').family() == 4 && ip('::1').isLoopback() && isIP('10.0.0.1') && !isIP('10.0.0')
cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')
cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8') && cidr('10.0.0.0/8').prefixLength() == 8
semver('1.2.3').isLessThan(semver('1.10.0')) && isSemver('1.0.0-rc.1') && !isSemver('1')
!format.dns1123Label().validate('ok').hasValue() && format.named('uuid').value().validate('x').hasValue()
string(1) == '1' && string(true) == 'true' && int('7') == 7 && double('1.5') == 1.5 && uint(3) == 3u
true ? true : 1/0 == 1
"""


@pytest.mark.parametrize("text", [line for line in TRUE.splitlines() if line])
def test_what_is_true(text: str) -> None:
    assert value(text) is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("self.z", "no such key: z"),
        ("1 / 0", "divide by zero"),
        ("9223372036854775807 + 1", "integer overflow"),
        ("self.list[5]", "index out of bounds"),
        ("self.x + 'a'", "no such overload"),
        ("optional.none().value()", "dereference"),
        ("quantity('x')", "quantities must match"),
        ("'a'.matches('(')", "regexp"),
        ("{'a': 1, 'a': 2}", "already exists"),
        ("timestamp('9999-12-31T00:00:00Z') + duration('48h')", "Overflow"),
        ("int('9999999999999999999')", "integer overflow"),
        (
            "cel.bind(a, lists.range(9999).map(i, 'a').join(), a.replace('a', a))",
            "would be longer",
        ),
    ],
)
def test_what_has_no_value(text: str, message: str) -> None:
    with pytest.raises(CelError, match=message.replace("(", r"\(")):
        value(text)


SCHEMA = {
    "type": "object",
    "properties": {
        "x": {"type": "integer"},
        "text": {"type": "string", "maxLength": 10},
        "list": {"type": "array", "maxItems": 5, "items": {"type": "object", "properties": {"a": {"type": "number"}}}},
        "any": {"x-kubernetes-int-or-string": True},
        "map": {"type": "object", "maxProperties": 5, "additionalProperties": {"type": "string", "maxLength": 9}},
    },
}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("self.z == 1", "undefined field 'z'"),
        ("self.list.all(i, i.b == 1)", "undefined field 'b'"),
        ("nope", "undeclared reference to 'nope'"),
        ("self.x.foo()", "undeclared reference to 'foo'"),
        ("self.x == 'a'", "no matching overload"),
        ("self.x + 1.0 == 1.0", "no matching overload"),
        ("self.text && true", "no matching overload"),
        ("self.x", "must evaluate to bool"),
        ("self.x ==", "Syntax error"),
        ("self.x == 1 )", "Syntax error"),
        ("import == 1", "reserved identifier"),
        ("self.text.all(c, true)", "cannot be range of a comprehension"),
        ("has(self)", "invalid argument to has"),
        ("'a", "Syntax error"),
        ("", "empty"),
        ("(" * 500, "nested"),
    ],
)
def test_what_cannot_be_right(text: str, message: str) -> None:
    with pytest.raises(CelSyntaxError, match=message):
        compile_expression(text, {"self": type_of_schema(SCHEMA)}, wanted=("bool",))


@pytest.mark.parametrize(
    "text",
    [
        "self.x > 1 && self.text.startsWith('a')",
        "self.list.all(i, i.a > 1.0)",
        "self.any == 1 || self.any == 'a'",
        "self.map.all(k, self.map[k] != '')",
        "self.map.foo == 'a'",
        "has(self.text) ? self.text == 'a' : self.x < 5",
    ],
)
def test_what_may_be_right(text: str) -> None:
    assert compile_expression(text, {"self": type_of_schema(SCHEMA)}, wanted=("bool",)).cost < 1000


def test_an_evaluation_has_a_budget() -> None:
    program = compile_expression("self.all(a, self.all(b, self.all(c, a == b || b == c || true)))", {"self": DYN})
    with pytest.raises(CostError):
        program.evaluate({"self": list(range(300))}, Meter(100_000))


@given(st.text(alphabet=string.printable, max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        compile_expression(text, {"self": DYN}).evaluate({"self": SELF})
    except CelError:
        pass


@given(st.recursive(st.none() | st.booleans() | st.integers(-100, 100) | st.text(max_size=3), st.lists, max_leaves=6))
def test_a_value_equals_itself(anything: Any) -> None:
    assert value("self == self && self in [self]", self=anything) is True
