"""Kept texts use bounded memory, and are made once however many threads want them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.views.playlists.kept_texts import KeptTexts
from tests.polling import wait_for


def test_texts_used_last_are_kept_when_all_would_be_too_large() -> None:
    texts, made = KeptTexts(max_bytes=10), list[str]()

    def get(key: str, size_bytes: int) -> None:
        def make() -> bytes:
            made.append(key)
            return bytes(size_bytes)

        assert texts.get(key, make) == bytes(size_bytes)

    for key in ("a", "b", "a", "c", "a"):
        get(key, 4)
    assert made == ["a", "b", "c"], "a was used after b"
    get("b", 4)
    get("large", 11)
    get("b", 4)
    get("large", 11)
    assert made == ["a", "b", "c", "b", "large", "large"], "what is larger than the limit replaces nothing"


@pytest.mark.timeout(60)
def test_text_is_made_once_when_threads_want_it_at_the_same_time() -> None:
    texts, made, finish = KeptTexts(max_bytes=10), list[int](), threading.Event()

    def make() -> bytes:
        made.append(1)
        assert finish.wait(30)
        return b"text"

    with ThreadPoolExecutor(4) as threads:
        wanted = [threads.submit(texts.get, "key", make) for _ in range(4)]
        wait_for(lambda: made, what="a maker")
        assert texts.get("other", lambda: b"other") == b"other", "other texts do not wait"
        finish.set()
        assert {each.result() for each in wanted} == {b"text"}
    assert made == [1]


def test_text_is_made_again_when_it_could_not_be_made() -> None:
    texts = KeptTexts(max_bytes=10)

    def fail() -> bytes:
        raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        texts.get("key", fail)
    assert texts.get("key", lambda: b"text") == b"text"
