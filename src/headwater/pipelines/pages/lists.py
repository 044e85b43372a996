"""The pages of a list: what the address asks for, and the address of the next page."""

import json
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from headwater.kube.meta.errors import bad_request
from headwater.pipelines.pages.filter import CONTAINS
from headwater.pipelines.records.filters import Fields, ListQuery, QueryError, parse_query
from headwater.pipelines.records.lists import Page

PAGE_SIZE = 50


def page_query(request: web.Request, fields: Fields) -> ListQuery:
    """Read ``q`` (a part of the name), ``sort`` and ``page`` of the address. Raises ``StatusError`` 400."""
    text = request.query.get("q", "").strip()
    document = ""
    if text:
        document = json.dumps({"predicates": [{"operation": CONTAINS, "key": "display_name", "string_value": text}]})
    try:
        return parse_query(
            fields,
            filter_text=document,
            sort_by=request.query.get("sort", "created_at desc"),
            page_size=str(PAGE_SIZE),
            page_token=request.query.get("page", ""),
        )
    except QueryError as error:
        raise bad_request(str(error)) from None


def next_page(request: web.Request, page: Page[Any], **kept: str) -> str:
    """Return the address of the page after this one, which keeps what it was asked for; empty after the last."""
    return address(request, **kept, page=page.next_page_token) if page.next_page_token else ""


def address(request: web.Request, **values: str) -> str:
    """Return the address of this page with these query values, without the empty ones."""
    given = {key: value for key, value in values.items() if value}
    return f"{request.path}?{urlencode(given)}" if given else request.path
