"""What is on a page, as an HTML parser sees it."""

from __future__ import annotations

import base64
from html.parser import HTMLParser

TAGS = {
    *("html", "head", "meta", "link", "title", "style", "body", "header", "main", "footer", "nav"),
    *("section", "h1", "h2", "p", "ol", "ul", "li", "a", "dl", "div", "dt", "dd", "span", "sup"),
    *("figure", "figcaption", "img", "pre", "b", "small"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td"),
}
"""All that a report is made of: nothing that runs, is sent, or brings in another page."""

ATTRIBUTES = {
    *("charset", "http-equiv", "content", "name", "lang", "rel", "href", "class", "id", "scope"),
    *("src", "alt", "aria-label"),
}

VOID = {"meta", "link", "img"}


class Page(HTMLParser):
    """Tags, their attributes, and the text between them."""

    def __init__(self, content):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open = [], [], [], []
        self.unclosed = []
        self.feed(content.decode("utf-8"))
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open.pop() != tag:
            self.unclosed.append(tag)

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        """All that is read."""
        return " ".join(" ".join(self.texts).split())

    def values(self, tag, name):
        """Every value of an attribute."""
        return [value for own, key, value in self.attributes if (own, key) == (tag, name)]

    @property
    def pictures(self):
        """Every picture: its media type, and its bytes."""
        sources = self.values("img", "src")
        split = [source.removeprefix("data:").split(";base64,") for source in sources]
        return [(media_type, base64.b64decode(content)) for media_type, content in split]

    def check(self):
        """Every tag and attribute is one of a report's, and nothing leads out of the page."""
        assert set(self.tags) <= TAGS
        assert {name for _, name, _ in self.attributes} <= ATTRIBUTES
        assert self.unclosed == []
        assert self.open == []
        assert all(link.startswith("#") for link in self.values("a", "href"))
        assert self.values("link", "href") == ["data:,"]
        for source in self.values("img", "src"):
            assert source.startswith(("data:image/svg+xml;base64,", "data:image/png;base64,"))
        ids = [value for _, name, value in self.attributes if name == "id"]
        assert len(ids) == len(set(ids))
        assert {link[1:] for link in self.values("a", "href")} <= set(ids)
