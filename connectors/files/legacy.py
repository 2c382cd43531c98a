"""Which legacy encoding bytes are in, where they are none of Unicode: each candidate is judged by the words that it makes of them.

Three things tell one from another. The letters beyond ASCII are those of one language: Spanish has ñ and Á, no language has ń and Á. They stand as letters
do: no capital behind a small letter, no sign between two letters, no two scripts in a word. And chardet knows which pairs of them are common. None is enough
alone: chardet takes `Iñaki, Ángel` for Polish. Where words are few, or a candidate that reads them otherwise comes near, the answer is told as a guess.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

import chardet

_WORD: Final = re.compile(rb"[A-Za-z\x80-\xff]{1,40}+")
_FIELD: Final = re.compile(rb"""[^\r\n\t,;"<>]++""")
"""No letter of two bytes has one of these among them."""
_MOST_WORDS: Final = 400
_MOST_BYTES: Final = 8 * 1024
"""More of them make the answer no better, and it slower."""
ENOUGH: Final = 8
"""Different words beyond ASCII from which on an answer may be certain."""
NEAR: Final = 0.15
"""A candidate that is no farther behind might as well be right."""
_TRUST: Final = 0.5
"""What chardet's opinion is worth of many letters; of `_FEW` letters half of it."""
_FEW: Final = 8
_UNION: Final = 0.9
"""What letters of several languages together are worth against those of one."""
_NONSENSE: Final = 3
"""What a character costs that no text has, against one that is just not of the language."""

_WEST: Final = {
    "es": "áéíóúüñ", "fr": "àâæçéèêëîïôœùûüÿ", "de": "äöüß", "pt": "áâãàçéêíóôõú", "it": "àèéìòóù", "nl": "éèëïóöü", "sv": "åäöé", "da": "æøåé",
    "is": "áðéíóúýþæö", "ca": "àçèéíïòóúü", "sq": "çë", "et": "äöõüšž",
}  # fmt: skip
_MIDDLE: Final = {
    "pl": "ąćęłńóśźż", "cs": "áčďéěíňóřšťúůýž", "sk": "áäčďéíĺľňóôŕšťúýž", "hu": "áéíóöőúüű", "ro": "ăâîşţ", "hr": "čćđšž", "de": "äöüß",
}  # fmt: skip
_CYRILLIC: Final = {
    "ru": "абвгдеёжзийклмнопрстуфхцчшщъыьэюя", "uk": "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя", "bg": "абвгдежзийклмнопрстуфхцчшщъьюя",
    "sr": "абвгдђежзијклљмнњопрстћуфхцчџш", "be": "абвгдеёжзійклмнопрстуўфхцчшыьэюя",
}  # fmt: skip
_GREEK: Final = {"el": "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ"}
_HEBREW: Final = {"he": "".join(map(chr, range(0x5D0, 0x5EB)))}
_ARABIC: Final = {"ar": "".join(map(chr, [*range(0x621, 0x63B), *range(0x640, 0x653), 0x67E, 0x686, 0x698, 0x6AF]))}
_THAI: Final = {"th": "".join(map(chr, [*range(0xE01, 0xE3A), *range(0xE40, 0xE5A)]))}
_BALTIC: Final = {"lt": "ąčęėįšųūž", "lv": "āčēģīķļņšūž", "et": "äöõüšž"}
_TURKISH: Final = {"tr": "çğıöşüâîİ"}


class Candidate(NamedTuple):
    """An encoding that files are found in."""

    name: str
    """As Python and jobs have it."""
    theirs: str
    """As chardet has it."""
    languages: Mapping[str, str]
    """The letters beyond ASCII of each language that is written in it; none: it is one of two bytes a letter."""
    rare: float
    """How much worse it is than one that is seen every day."""


CANDIDATES: Final = (
    Candidate("cp1252", "cp1252", _WEST, 0.0),
    Candidate("cp1250", "cp1250", _MIDDLE, 0.022),
    Candidate("cp1251", "cp1251", _CYRILLIC, 0.022),
    Candidate("cp1253", "cp1253", _GREEK, 0.022),
    Candidate("cp1254", "cp1254", _TURKISH, 0.03),
    Candidate("cp1255", "cp1255", _HEBREW, 0.03),
    Candidate("cp1256", "cp1256", _ARABIC, 0.03),
    Candidate("cp1257", "cp1257", _BALTIC, 0.038),
    Candidate("cp874", "cp874", _THAI, 0.03),
    Candidate("iso8859-15", "iso8859-15", _WEST, 0.045),
    Candidate("iso8859-2", "iso8859-2", _MIDDLE, 0.045),
    Candidate("iso8859-5", "iso8859-5", _CYRILLIC, 0.06),
    Candidate("iso8859-7", "iso8859-7", _GREEK, 0.045),
    Candidate("iso8859-9", "iso8859-9", _TURKISH, 0.045),
    Candidate("koi8-r", "koi8-r", _CYRILLIC, 0.038),
    Candidate("koi8-u", "koi8-u", _CYRILLIC, 0.045),
    Candidate("cp866", "cp866", _CYRILLIC, 0.045),
    Candidate("cp850", "cp850", _WEST, 0.06),
    Candidate("cp852", "cp852", _MIDDLE, 0.075),
    Candidate("mac-roman", "mac-roman", _WEST, 0.06),
    Candidate("mac-cyrillic", "mac-cyrillic", _CYRILLIC, 0.09),
    Candidate("cp932", "cp932", {}, 0.03),
    Candidate("euc_jp", "euc_jis_2004", {}, 0.038),
    Candidate("gb18030", "gb18030", {}, 0.03),
    Candidate("big5", "big5hkscs", {}, 0.038),
    Candidate("cp949", "cp949", {}, 0.03),
)
_NAMES: Final = {one.theirs: one.name for one in CANDIDATES}
_LETTERS: Final = {one.name: [frozenset(low + low.upper()) for low in one.languages.values()] for one in CANDIDATES}
_SIGNS: Final = {
    sign: kind
    for kind, signs in (("b", "„‚¿¡©•µ"), ("e", "®™°ºª²³¹"), ("q", "“”«»‹›…‘"), ("j", "’·–—\xa0\xad´"), ("s", "€£¥§±½¼¾×÷№‰†‡،؛؟฿"))  # noqa: RUF001  what texts have
    for sign in signs
}
"""By where letters may stand next to them: behind, before, on one side, on both, on neither."""
_SCRIPTS: Final = ((0x250, "l"), (0x370, ""), (0x400, "g"), (0x530, "c"), (0x590, ""), (0x600, "h"), (0x700, "r"), (0xE00, ""), (0xE80, "t"))
_CAPITALS: Final = {"l": "L", "g": "G", "c": "C"}
_ANY: Final = "[aAlLncCgGhrtm]"
_FAULTS: Final = re.compile(
    "[al](?=L)|l(?=A)|c(?=C)|g(?=G)"  # a capital behind a small letter
    "|[aAlLn](?=[cCgGhrtm])|[cCgGhrtm](?=[aAlLn])"  # two scripts in a word
    f"|{_ANY}(?=[bs])|[es](?={_ANY})|(?<={_ANY})q(?={_ANY})"  # a sign where none stands
    "|(?<![tm])m"  # a vowel of Thai on nothing
)
_STRANGE: Final = re.compile("[lLn]{3,}")
"""Words of Latin letters have some of ASCII among them."""
_LONE: Final = re.compile(f"(?<!{_ANY})[cCgGhrt](?!{_ANY})")
"""Other scripts have few words of one letter."""
_ALONE: Final = re.compile(r"(?<=[A-Za-z])[^\x00-\x7f](?=[A-Za-z])")
_USUAL: Final = {"gb18030": range(0xB0, 0xD8), "big5": range(0xA4, 0xC7), "cp932": range(0x88, 0x98), "euc_jp": range(0xB0, 0xD0), "cp949": range(0xB0, 0xC9)}
"""The first bytes of the characters that most texts are made of."""
_KANA, _FULL_WIDTH = range(0x3000, 0x3100), range(0xFF00, 0xFF61)


class Guess(NamedTuple):
    """An encoding, as files are cut in it, and whether it is certain."""

    encoding: str
    certain: bool


def legacy(sample: bytes) -> Guess:
    """Return the encoding of bytes that are not all UTF-8; never raises, and takes some milliseconds for 64 KiB."""
    words = [word for word in dict.fromkeys(_WORD.findall(sample)) if not word.isascii()][:_MOST_WORDS]
    fields = [field for field in dict.fromkeys(_FIELD.findall(sample)) if not field.isascii()]
    text = b"\n".join(fields)[:_MOST_BYTES]
    letters = sum(len(word.translate(None, bytes(range(128)))) for word in words)
    theirs, trust = _theirs(text), _TRUST * letters / (letters + _FEW)
    apart = b"\n".join(words)[: _MOST_BYTES // 2]
    marks = {one.name: _mark(one, apart if one.languages else text) + trust * theirs.get(one.name, 0.0) - one.rare for one in CANDIDATES}
    best, *others = sorted(marks, key=lambda name: -marks[name])
    read = text.decode(best, "replace")
    near = next((name for name in others if text.decode(name, "replace") != read), best)
    return Guess(best, len(words) >= ENOUGH and marks[best] - marks[near] >= NEAR)


def _theirs(text: bytes) -> dict[str, float]:
    """Return what chardet thinks of each candidate, 1 for the best of them."""
    found = chardet.detect_all(text, ignore_threshold=True, include_encodings=_NAMES, compat_names=False) if text else []
    told = {_NAMES[one["encoding"]]: one["confidence"] for one in found if one["encoding"] in _NAMES}
    most = max(told.values(), default=0.0)
    return {name: value / most for name, value in told.items()} if most else {}


def _mark(one: Candidate, text: bytes) -> float:
    """Return how well words, each on its line, or the fields they stand in, read in an encoding: 1 at most."""
    read = text.decode(one.name, "replace")
    counts = Counter(sign for sign in read if not sign.isascii())
    return (_known(one, counts) - _faults(one, read, counts)) / max(1, counts.total())


def _known(one: Candidate, counts: Mapping[str, int]) -> float:
    """Return how many characters are of the language of which most are; signs are of any."""
    if not one.languages:
        return sum(count for sign, count in counts.items() if _usual(sign, one.name))
    signs = sum(count for sign, count in counts.items() if sign in _SIGNS)
    of_one = [sum(count for sign, count in counts.items() if sign in letters) for letters in _LETTERS[one.name]]
    of_any = sum(count for sign, count in counts.items() if any(sign in letters for letters in _LETTERS[one.name]))
    return signs + max(*of_one, _UNION * of_any)


def _faults(one: Candidate, read: str, counts: Mapping[str, int]) -> float:
    """Return how many characters stand where none of their kind does."""
    if not one.languages:
        return _NONSENSE * counts.get("\ufffd", 0) + len(_ALONE.findall(read))
    kinds = read.translate({ord(sign): _kind(sign) for sign in set(read)})
    return len(_FAULTS.findall(kinds)) + sum(map(len, _STRANGE.findall(kinds))) + len(_LONE.findall(kinds)) / 2 + _NONSENSE * kinds.count("x")


def _kind(sign: str) -> str:
    """Return a letter for what a character is: `x` for one that is not of words."""
    if sign.isascii():
        return "a" if sign.islower() else "A" if sign.isupper() else sign
    if sign in _SIGNS:
        return _SIGNS[sign]
    script = next((kind for end, kind in _SCRIPTS if ord(sign) < end), "")
    if not script or not (sign.isalpha() or script in "rt"):
        return "x"
    if script == "t" and not sign.isalnum():
        return "m"
    if sign == "ß":  # stands among capitals, too
        return "n"
    return _CAPITALS.get(script, script) if sign.isupper() else script


def _usual(sign: str, encoding: str) -> bool:
    """Tell whether a character of an encoding of two bytes is one that texts are made of."""
    if ord(sign) in _KANA or ord(sign) in _FULL_WIDTH:
        return True
    raw = sign.encode(encoding, "replace")
    return len(raw) == 2 and raw[0] in _USUAL[encoding] and (encoding in {"big5", "cp932"} or raw[1] > 0xA0)  # noqa: PLR2004  two bytes, the second beyond ASCII
