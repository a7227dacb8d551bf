"""Sites made of a few pages, for tests of the browser."""

from collections.abc import Mapping

from turnwise.envs.gui.engine import Site, SiteRequest, SiteResponse

HTML = {"content-type": "text/html; charset=utf-8"}


def site(pages: Mapping[str, str | SiteResponse]) -> Site:
    """Answer paths with pages, given as HTML or whole; what is not there is 404."""

    async def answer(request: SiteRequest) -> SiteResponse:
        page = pages.get(request.path, SiteResponse(404, HTML, b"nothing here"))
        return page if isinstance(page, SiteResponse) else SiteResponse(200, HTML, page.encode())

    return answer
