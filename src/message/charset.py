"""Text in any charset that Python knows, and a best guess for the others.

Rules that keep it right:

1. Only names from a fixed table reach a codec: a codec look-up of a made-up name would stay in Python's codec cache
   for ever, and codecs that are no charsets (zip, rot13, unicode_escape, punycode …) are not in the table.
2. Nothing raises: undecodable octets become U+FFFD, and so does a lone surrogate.
3. Names mean what senders mean: a subset is read as its usual superset (gb2312 as gb18030, iso-8859-1 as
   windows-1252, shift_jis as cp932 …).
"""

import encodings.aliases
import functools
import re

_NOT_CHARSETS = frozenset({
    "base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec",
    "idna", "mbcs", "oem", "palmos", "punycode", "raw_unicode_escape", "undefined", "unicode_escape", "utf_8_sig",
})  # fmt: skip
_WITHOUT_ALIASES = (
    "cp720 cp737 cp856 cp874 cp875 cp1006 iso2022_jp iso8859_1 koi8_r koi8_t koi8_u kz1048 mac_arabic mac_croatian "
    "mac_farsi mac_romanian utf_7 utf_8 utf_16 utf_16_be utf_16_le utf_32 utf_32_be utf_32_le"
)

_MEANT = {
    "ascii": "ascii",
    "gb2312": "gb18030",
    "gb_2312": "gb18030",
    "gb_2312_80": "gb18030",
    "gbk": "gb18030",
    "x_gbk": "gb18030",
    "cn_gb": "gb18030",
    "hz_gb_2312": "hz",
    "iso8859_1": "cp1252",
    "latin_1": "cp1252",
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "tis_620": "cp874",
    "windows_874": "cp874",
    "euc_kr": "cp949",
    "ks_c_5601_1987": "cp949",
    "shift_jis": "cp932",
    "x_sjis": "cp932",
    "windows_31j": "cp932",
    "iso2022_jp": "iso2022_jp_ext",
    "iso_2022_jp_ms": "iso2022_jp_ext",
    "cp50220": "iso2022_jp_ext",
    "x_euc_jp": "euc_jp",
    "eucjp_win": "euc_jp",
    "big5": "big5hkscs",
    "x_x_big5": "big5hkscs",
    "iso_8859_8_i": "iso8859_8",
    "iso_8859_8_e": "iso8859_8",
    "iso_8859_6_i": "iso8859_6",
    "iso_8859_6_e": "iso8859_6",
    "x_mac_roman": "mac_roman",
    "x_mac_cyrillic": "mac_cyrillic",
    "x_mac_turkish": "mac_turkish",
    "x_mac_ce": "mac_latin2",
    "unicode_1_1_utf_7": "utf_7",
    "unicode_2_0_utf_8": "utf_8",
    "x_unicode_2_0_utf_7": "utf_7",
    "utf8mb4": "utf_8",
    "utf_8_sig": "utf_8",
    "utf_16": "utf_16_be",
    "utf_32": "utf_32_be",
    "x_cp1250": "cp1250",
    "x_cp1251": "cp1251",
    "x_cp1252": "cp1252",
    "ansi_x3.4_1968": "ascii",
}

_SEPARATORS = re.compile(r"[^a-z0-9.]++")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BYTE_ORDER_MARKS = (
    (b"\x00\x00\xfe\xff", "utf_32_be"),
    (b"\xff\xfe\x00\x00", "utf_32_le"),
    (b"\xfe\xff", "utf_16_be"),
    (b"\xff\xfe", "utf_16_le"),
)


def _table() -> dict[str, str]:
    known = {alias: codec for alias, codec in encodings.aliases.aliases.items() if codec not in _NOT_CHARSETS}
    known |= {codec: codec for codec in [*known.values(), *_WITHOUT_ALIASES.split()]}
    return {name: _MEANT.get(name, _MEANT.get(codec, codec)) for name, codec in known.items()} | _MEANT


_CODECS = _table()


@functools.lru_cache(maxsize=512)
def codec(charset: str) -> str | None:
    """The codec for a charset's name as mail writes it, None when there is none."""
    # RFC 2231 5: a language may follow the charset in an encoded word.
    name = _SEPARATORS.sub("_", charset[:64].partition("*")[0].strip().lower()).strip("_")
    return (
        _CODECS.get(name)
        or _CODECS.get(name.replace("_", ""))
        or _CODECS.get(name.removeprefix("x_"))
        or _CODECS.get(re.sub(r"^(?:windows|cp|ibm|microsoft_cp|ms)_?(?=[0-9])", "cp", name))
        or _CODECS.get(re.sub(r"^iso_?(?=[0-9])", "iso_", name))
    )


def is_known(charset: str) -> bool:
    """Whether SEARCH CHARSET can be served for it (RFC 3501 6.4.4)."""
    return codec(charset) is not None


def guess(data: bytes) -> str:
    """Text of which nobody said, or nobody said truly, in which charset it is."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def decode(data: bytes, charset: str) -> str:
    """The text; never fails."""
    name = codec(charset)
    if name is None or name == "ascii":
        return data.decode("ascii") if data.isascii() and name else guess(data)
    if name.startswith(("utf_16", "utf_32")):
        for mark, meant in _BYTE_ORDER_MARKS:
            if data.startswith(mark) and meant[:6] == name[:6]:
                data, name = data[len(mark) :], meant
                break
    text = data.decode(name, "replace")
    if name == "utf_7" and _SURROGATE.search(text):
        text = _SURROGATE.sub("\ufffd", text)
    return text
