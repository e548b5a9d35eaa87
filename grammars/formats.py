"""The string formats that are enforced, as regular expressions; other formats are annotations (validation §7.2.1).

Each is a subset of what its specification allows, tight enough that validators agree: RFC 3339 dates with the real
lengths of months (29 February in leap years only), RFC 1123 host names, RFC 4291 IPv6, RFC 3986 URIs and so on.
"""

from functools import lru_cache

from grammars.patterns import read_pattern
from grammars.texts import Text

_YEAR = r"(\d{3}[1-9]|\d{2}[1-9]\d|\d[1-9]\d{2}|[1-9]\d{3})"  # Python's calendar has no year 0
_LEAP_YEAR = r"(\d\d(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)"
_DATE = (
    rf"({_YEAR}-((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8]))"
    rf"|{_LEAP_YEAR}-02-29)"
)
_TIME = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)"
_L, _LH = "[A-Za-z0-9]", "[A-Za-z0-9-]"
_LABEL = f"{_L}({_L}|{_LH}{_L}({_LH}{{0,59}}{_L})?|{_LH}-{_L}({_LH}{{0,58}}{_L})?)?"  # no xn--: RFC 5890 limits those
_HOST = rf"{_LABEL}(\.{_LABEL})*"
_NAME = r"[A-Za-z0-9]+(-+[A-Za-z0-9]+)*"
_OCTET = r"(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = rf"{_OCTET}(\.{_OCTET}){{3}}"
_H16 = r"[0-9A-Fa-f]{1,4}"
_LS32 = rf"({_H16}:{_H16}|{_IPV4})"
_IPV6 = "(" + "|".join(
    [
        rf"({_H16}:){{6}}{_LS32}",
        rf"::({_H16}:){{5}}{_LS32}",
        rf"({_H16})?::({_H16}:){{4}}{_LS32}",
        rf"(({_H16}:){{0,1}}{_H16})?::({_H16}:){{3}}{_LS32}",
        rf"(({_H16}:){{0,2}}{_H16})?::({_H16}:){{2}}{_LS32}",
        rf"(({_H16}:){{0,3}}{_H16})?::{_H16}:{_LS32}",
        rf"(({_H16}:){{0,4}}{_H16})?::{_LS32}",
        rf"(({_H16}:){{0,5}}{_H16})?::{_H16}",
        rf"(({_H16}:){{0,6}}{_H16})?::",
    ]
) + ")"  # fmt: skip
_PCT = r"%[0-9A-Fa-f]{2}"
_PCHAR = rf"([A-Za-z0-9._~!$&'()*+,;=:@-]|{_PCT})"
_USER = rf"([A-Za-z0-9._~!$&'()*+,;=:-]|{_PCT})*@"
_REG_NAME = rf"([A-Za-z0-9._~!$&'()*+,;=-]|{_PCT})*"
_IP_LITERAL = rf"|\[(::1|({_H16}:){{7}}{_H16})\]"
_AUTHORITY = rf"({_USER})?({_REG_NAME}{_IP_LITERAL})(:\d*)?"
_QUERY = rf"(\?({_PCHAR}|[/?])*)?(#({_PCHAR}|[/?])*)?"
_HIER = rf"(//{_AUTHORITY}(/{_PCHAR}*)*|/({_PCHAR}+(/{_PCHAR}*)*)?|{_PCHAR}+(/{_PCHAR}*)*|)"
_URI = rf"[A-Za-z][A-Za-z0-9+.-]*:{_HIER}{_QUERY}"
_SEGMENT = _PCHAR.replace(":@", "@")
_RELATIVE = rf"(//{_AUTHORITY}(/{_PCHAR}*)*|/({_PCHAR}+(/{_PCHAR}*)*)?|{_SEGMENT}+(/{_PCHAR}*)*|){_QUERY}"
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_DAYTIME = r"T(\d+H(\d+M(\d+S)?)?|\d+M(\d+S)?|\d+S)"
_DURATION = rf"P(\d+W|((\d+Y(\d+M(\d+D)?)?|\d+M(\d+D)?|\d+D)({_DAYTIME})?|{_DAYTIME}))"

# A regular expression with groups nested at most three deep; ranges inside of classes only between like characters.
_LITERAL = r"[^\\^$.|?*+()\[\]{}]"
_ESCAPE = r"\\([dDwWsSbBtnrfv^$\\.*+?()\[\]{}|/-]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})"
_RANGES = r"(a-z|A-Z|0-9|a-f|A-F|1-9|0-7|a-zA-Z)"
_CLASS = rf"\[\^?(({_RANGES}|[^\\^\[\]-]|\\([dDwWsStnrfv^$\\.*+?()\[\]{{}}|/-]|u[0-9A-Fa-f]{{4}}))+-?|-)\]"
_TIMES = r"([*+?]|\{(\d|\d,|\d,[1-9]\d|0,[1-9]|1,[1-9]|2,[2-9]|3,[3-9]|\d\d)\})\??"
_REGEX = rf"(({_LITERAL}|{_ESCAPE}|\.|{_CLASS})({_TIMES})?|[$^])*"
for _ in range(3):
    _REGEX = rf"(({_LITERAL}|{_ESCAPE}|\.|{_CLASS}|\((\?[:=!])?{_REGEX}(\|{_REGEX})*\))({_TIMES})?|[$^])*"
_REGEX = rf"{_REGEX}(\|{_REGEX})*"
_UCS = "[\u00a0-\u1fff\u2070-\ud7ff]"  # of RFC 3987's, those that validators agree on
_IRI, _IRI_REFERENCE = (
    text.replace("[A-Za-z0-9._~", _UCS[:-1] + "A-Za-z0-9._~").replace(_IP_LITERAL, "")
    for text in (_URI, f"({_URI}|{_RELATIVE})")
)

FORMATS: dict[str, str] = {
    "date": _DATE,
    "time": _TIME,
    "date-time": rf"{_DATE}[Tt]{_TIME}",
    "duration": _DURATION,
    "email": rf"{_ATEXT}+(\.{_ATEXT}+)*@{_NAME}(\.{_NAME})*",
    "hostname": _HOST,
    "ipv4": _IPV4,
    "ipv6": _IPV6,
    "uuid": r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}",
    "uri": _URI,
    "uri-reference": rf"({_URI}|{_RELATIVE})",
    "iri": _IRI,
    "iri-reference": _IRI_REFERENCE,
    "regex": _REGEX,
    "json-pointer": r"(/([^~/]|~[01])*)*",
    "relative-json-pointer": r"(0|[1-9]\d*)(#|(/([^~/]|~[01])*)+)",
}
"""Format names and the expressions that whole strings must match. Sources: RFC 3339, 5321, 1123, 2673, 4291, 3986,
4122, 6901, relative-json-pointer draft."""
_BASE64 = r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
OPENAPI_FORMATS = {"byte": _BASE64, "base64": _BASE64}
"""Formats that only OpenAPI defines. Sources: OpenAPI 3.0.3, data types; RFC 4648."""


@lru_cache(maxsize=64)
def format_text(name: str, openapi: bool) -> Text | None:
    """The strings of a format; None for a format that isn't enforced."""
    expression = FORMATS.get(name) or (OPENAPI_FORMATS.get(name) if openapi else None)
    if expression is None:
        return None
    (condition,) = read_pattern(f"^({expression})$")
    high = 253 if name == "hostname" else None
    return Text(0, high, condition.accept, condition.reject, condition.accept)
