"""What is wrong with bytes that are no HTTP: the parser's reason, in a sentence. Nothing of the bytes is in it."""

from typing import Final

LENGTH: Final = "write one Content-Length in decimal digits, or none"
TWO_LENGTHS: Final = "it has both Content-Length and Transfer-Encoding, which say two things about where it ends: send one of them"
LAST_CODING: Final = "`chunked` has to be the last of its Transfer-Encoding: otherwise nobody can tell where it ends"
LINE: Final = "a line of its head does not end with CR LF"
FOLDED: Final = "a line of its head begins with a space: each header stands on one line"
CHUNK: Final = "a chunk is not as long as its size says, or a line of it does not end with CR LF"
PATH: Final = "its path begins with no /, or has a character that is to be written with % and two hexadecimal digits"
METHOD: Final = "it does not begin with a method and a space. (This port speaks plain HTTP: no TLS.)"
NO_HOST: Final = "not one Host"
"""Said where the parser has no word for it: it lets any number of them pass (RFC 9112, 3.2)."""
REASONS: Final = {
    NO_HOST: "a request of HTTP/1.1 has one header Host, and this one has none or several",
    "Duplicate Content-Length": f"it has more than one Content-Length: {LENGTH}",
    "Invalid character in Content-Length": f"its Content-Length is no whole number, or a negative one: {LENGTH}",
    "Empty Content-Length": f"its Content-Length is empty: {LENGTH}",
    "Content-Length overflow": f"its Content-Length is larger than any length there is: {LENGTH}",
    "Transfer-Encoding can't be present with Content-Length": TWO_LENGTHS,
    "Content-Length can't be present with Transfer-Encoding": TWO_LENGTHS,
    "Invalid `Transfer-Encoding` header value": LAST_CODING,
    "Request has invalid `Transfer-Encoding`": LAST_CODING,
    "Invalid header token": "a header has no name, a character that names do not have, or no colon behind its name",
    "Invalid header value char": "the value of a header holds a control character",
    "Missing expected CR after header value": LINE,
    "Missing expected LF after header value": LINE,
    "Expected CRLF after version": LINE,
    "Unexpected space after start line": FOLDED,
    "Unexpected whitespace after header value": FOLDED,
    "Invalid method encountered": METHOD,
    "Expected space after method": METHOD,
    "Expected HTTP/, RTSP/ or ICE/": "its first line is not a method, a path and HTTP/1.1, with one space between them",
    "Invalid HTTP version": "its first line names a version of HTTP that there is not",
    "Pause on PRI/Upgrade": "it is HTTP/2, which is not spoken here",
    "Invalid character in chunk size": "the size of a chunk is no hexadecimal number",
    "Chunk size overflow": "the size of a chunk is larger than any there is",
    "Expected LF after chunk data": CHUNK,
    "Missing expected CR after chunk data": CHUNK,
    "Missing expected CR after chunk size": CHUNK,
    "Data after `Connection: close`": "more came behind a request that said `Connection: close`",
}
"""What the parser says (llhttp's texts) to what we say behind "It is not valid HTTP/1.1: "."""
KINDS: Final = {
    "invalid char in url": PATH,
    "invalid characters in url": PATH,
    "invalid url": "what stands for its path cannot be read as one",
    "invalid character in chunk extensions": "an extension of a chunk has a character that extensions do not have",
}
"""The same by how a text of the parser begins, in small letters."""


def sentence(error: BaseException | None) -> str:
    """Say why a request is not valid; an error that nobody has met says no more than that it is not."""
    while error is not None:
        said = str(error)
        why = REASONS.get(said) or next((told for begin, told in KINDS.items() if said.lower().startswith(begin)), None)
        if why is not None:
            return f"The request is not valid HTTP/1.1: {why}" + ("" if why.endswith(")") else ".")
        error = error.__context__  # what went wrong in a call back is told by the error within
    return "The request is not valid HTTP/1.1."
