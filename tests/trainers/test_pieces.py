"""Where in the text each sampled token lies."""

from turnwise.trainers.tokenmodel import pieces_of


class Bytes:
    """A tokenizer of UTF-8 bytes; 256 is special."""

    def decode(self, ids: list[int], *, skip_special_tokens: bool) -> str:
        return bytes(i for i in ids if i < 256).decode("utf-8", "replace")


def test_pieces_spell_the_text_and_a_character_belongs_to_its_last_token() -> None:
    text = "aé 北京</information>"
    ids = [*text.encode(), 256]
    pieces = pieces_of(Bytes(), ids)
    assert b"".join(pieces) == text.encode()
    assert len(pieces) == len(ids)
    assert pieces[1:3] == [b"", "é".encode()]
    assert pieces[-1] == b""
