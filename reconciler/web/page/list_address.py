"""The addresses of the list: one for each query."""

from __future__ import annotations

from urllib.parse import urlencode

from reconciler.control.collector_query import Query


def list_address(query: Query, **other: str) -> str:
    """Return the address of the list for a query, with some parameters replaced."""
    return address_of(
        {
            "search": query.search,
            "state": ",".join(sorted(query.states)),
            "label": ",".join(one.text for one in query.labels),
            "host": query.host,
            "reason": query.reason,
            "destination": query.destination,
            "sort": f"-{query.sort}" if query.descending else query.sort,
            "after": query.after.text if query.after else "",
            **other,
        }
    )


def address_of(parameters: dict[str, str]) -> str:
    """Return the address of the list with these parameters, as far as they are given."""
    given = {key: value for key, value in parameters.items() if value}
    if given.get("sort") == "name":
        del given["sort"]
    return "/?" + urlencode(given) if given else "/"
