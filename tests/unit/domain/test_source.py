"""A list of URLs before it is sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esa_preload_operator.domain.source import (
    MAX_TEXT,
    MAX_URLS,
    BadUrls,
    Content,
    Kind,
    Urls,
    content_of,
    source_hash,
    url_list,
    url_text,
)
from esa_preload_operator.domain.spec import ConfigMapSource, OssSource, UrlSource

A, B = "https://www.example.com/a.js", "http://www.example.com:8080/b.js?v=1"
BUCKET = "https://bucket.oss-cn-hangzhou.aliyuncs.com/urls.txt"


def test_a_list_is_sent_as_one_url_per_line() -> None:
    assert url_list((A, B)) == Urls(f"{A}\n{B}", 2)


def test_comments_blank_lines_and_white_space_around_do_not_count() -> None:
    text = f"\ufeff# what the front page needs\r\n\r\n  {A}  \r\n\t# and\n{B}"
    assert url_text(text) == Urls(f"{A}\n{B}", 2)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "does not begin with http:// or https://"),
        ("www.example.com/a.js", "does not begin with http:// or https://"),
        ("ftp://www.example.com/a.js", "does not begin with http:// or https://"),
        ("https://", "has no host"),
        ("https:///a.js", "has no host"),
        ("https://:80/a.js", "has no host"),
        ("https://www.example.com:port/a.js", "has a host or a port that can't be read"),
        ("https://www.example.com:99999/a.js", "has a host or a port that can't be read"),
        ("https://[::1/a.js", "has a host or a port that can't be read"),
        ("https://me:secret@www.example.com/a.js", "holds a user name or a password"),
        ("https://www.example.com/a b.js", "holds white space"),
        ("https://www.example.com/a\tb.js", "holds white space"),
        ("https://www.example.com/a\u2028b.js", "holds white space"),
        ("https://www.example.com/a\x1bb.js", "holds a character that does not show"),
        ("https://www.example.com/\u202ea.js", "holds a character that does not show"),
        ("https://www.example.com/\ud800", "holds a character that does not show"),
        ("https://www.example.com/" + "a" * 2048, "has more than 2048 characters"),
    ],
)
def test_a_bad_url_is_named_by_its_place(url: str, problem: str) -> None:
    assert url_list((A, url)) == BadUrls(f"urls[1] {problem}", 1)


@pytest.mark.parametrize(
    "url", ["HTTPS://www.example.com", "https://[2001:db8::1]:8443/a", "https://www.example.com/图/a.js#part", B]
)
def test_a_good_url_is_sent_as_it_is(url: str) -> None:
    assert url_list((url,)) == Urls(url, 1)


def test_lines_are_counted_as_an_editor_does() -> None:
    assert url_text(f"# list\n\n{A}\nexample.com/b\n\n{A}\n") == BadUrls(
        "line 4 does not begin with http:// or https://; line 6 is the same as line 3", 2
    )


def test_a_message_about_many_bad_lines_is_short() -> None:
    found = url_text("\n".join(["nonsense"] * 9000))
    assert isinstance(found, BadUrls)
    assert found.count == 9000
    assert found.message.startswith("line 1 does not begin with")
    assert found.message.endswith("; 8995 more are wrong")
    assert len(found.message) < 400


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing but a comment"])
def test_a_list_without_a_url_is_refused(text: str) -> None:
    assert url_text(text) == BadUrls("the list has no URL", 1)


def test_a_list_that_is_too_long_is_refused() -> None:
    most = "\n".join(f"https://example.com/{number}" for number in range(MAX_URLS))
    assert url_text(most) == Urls(most, MAX_URLS)
    assert url_text(f"{most}\n{A}") == BadUrls("the list has 10001 URLs, and 10000 at most can be sent", 1)
    assert url_text("#" * (MAX_TEXT + 1)) == BadUrls("the list has more than 1048576 characters", 1)


def test_the_same_urls_are_the_same_content_wherever_they_stand() -> None:
    inline = content_of(UrlSource((A, B)))
    listed = content_of(ConfigMapSource("urls", "list.txt"), f"# comment\n{A}\n\n{B}\n")
    assert inline == listed == Content(Kind.URLS, f"{A}\n{B}", source_hash(Kind.URLS, f"{A}\n{B}", ""), 2)


def test_an_object_in_oss_is_named_and_never_read() -> None:
    assert content_of(OssSource(BUCKET)) == Content(Kind.OSS, BUCKET, source_hash(Kind.OSS, BUCKET, ""), None)
    assert content_of(OssSource("http://bucket/urls.txt")) == BadUrls("ossUrl does not begin with https://", 1)


def test_what_a_job_is_made_from_has_a_hash_that_stays() -> None:
    found = content_of(UrlSource((A,), "v42"))
    assert isinstance(found, Content)
    assert found.hash == "sha256:b820aae4de8af58917d6b7cc5f5d863d9b0b7fd7a2b0fac99b7fe16df430bfa0"


def test_kind_text_and_revision_tell_sources_apart() -> None:
    sources = [("urls", "", "ab"), ("urls", "b", "a"), ("urls", "ab", ""), ("urls", "a", "b"), ("oss", "ab", "")]
    hashes = {source_hash(Kind(kind), text, revision) for kind, text, revision in sources}
    assert len(hashes) == len(sources)
    assert source_hash(Kind.URLS, "1\nb", "") != source_hash(Kind.URLS, "b", "1\n")


secrets = st.text("abcdefghij0123456789", min_size=12, max_size=40)
lines = st.one_of(
    st.sampled_from([A, B, "", "#", "  ", "https://", "http://[", "x" * 3000]),
    st.text(max_size=30),
    secrets.map(lambda secret: f"https://example.com/a?Signature={secret}"),
    secrets.map(lambda secret: f"example.com/a?Signature={secret}"),
)


@given(st.lists(lines, max_size=12).map("\n".join))
def test_any_text_is_judged_and_what_is_sent_is_clean(text: str) -> None:
    found = url_text(text)
    if isinstance(found, BadUrls):
        assert found.count > 0
        assert len(found.message) < 600
        assert found.message.isprintable()
        return
    sent = found.text.split("\n")
    assert len(sent) == len(set(sent)) == found.count > 0
    assert all(url in text and url.lower().startswith(("http://", "https://")) for url in sent)
    assert url_text(found.text) == url_list(sent) == found


@given(st.lists(secrets, min_size=1, max_size=8))
def test_no_part_of_a_url_is_shown(found: list[str]) -> None:
    message = url_list([f"example.com/a?Signature={secret}" for secret in found])
    assert isinstance(message, BadUrls)
    assert not any(secret in message.message for secret in found)
    assert "Signature" not in message.message
