"""The pages over HTTP: who may ask, what is escaped, what is paged."""

from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

import viewer_store
from turnwise.errors import StoreError
from turnwise.evals.viewer import create_app
from turnwise.evals.viewer.drawing import advantage_class, curves, first_difference, state_graph, timeline
from turnwise.trajectories import MetricRow, Store, Turn

HOST = {"host": "127.0.0.1:8321"}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return viewer_store.make(tmp_path_factory.mktemp("viewer") / "v.sqlite")


@pytest.fixture(scope="module")
def client(path: Path) -> Iterator[TestClient]:
    with TestClient(create_app(path), base_url="http://127.0.0.1:8321") as client:
        yield client


def first_episode(path: Path, run: str = "baseline") -> str:
    with Store.open(path) as store:
        return store.rows(run)[0].episode_id


def test_every_page_answers(client: TestClient, path: Path) -> None:
    episode = first_episode(path)
    with Store.open(path) as store:
        row = store.rows("baseline")[0]
        other = store.rows("baseline")[1].episode_id
    pages = [
        "/", "/run/baseline", f"/run/baseline/episode/{episode}", f"/run/baseline/episode/{episode}/export",
        f"/run/baseline/group/{row.group_uid}", f"/run/baseline/diff?a={episode}&b={other}", "/run/baseline/training",
        "/static/style.css", "/static/app.js", "/mark",
    ]  # fmt: skip
    for page in pages:
        answer = client.get(page)
        assert answer.status_code == 200, page
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_transcript_shows_status_reward_credit_and_image(client: TestClient, path: Path) -> None:
    page = client.get(f"/run/baseline/episode/{first_episode(path)}").text
    for words in ("Turn 1", "turn_rloo", "grpo", "counter:", "step", "/image/", "its group"):
        assert words in page
    digest = page.partition("/image/")[2][:64]
    assert client.get(f"/image/{digest}").headers["content-type"] == "image/png"


def test_hostile_text_is_text(client: TestClient) -> None:
    run = quote("evil " + viewer_store.EVIL, safe="")
    sides = f"/run/{run}/diff?a={'e' * 32}&b={'e' * 32}"
    for page in ("/", f"/run/{run}", f"/run/{run}/episode/{'e' * 32}", f"/run/{run}/episode/{'e' * 32}/tokens", sides):
        text = client.get(page).text
        assert "<script>document" not in text
        assert "<img src=x" not in text
        assert "<svg onload" not in text
        assert "\u202e" not in text
        assert "{{ 7 * 7 }}" in text


def test_the_frame_of_a_turn_is_tame_and_only_for_html(client: TestClient, path: Path) -> None:
    where = f"/run/{quote('evil ' + viewer_store.EVIL, safe='')}/episode/{'e' * 32}"
    link = unescape(client.get(where).text.partition('class="render" href="')[2].partition('"')[0])
    answer = client.get(link)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert "allow-" not in policy
    assert "script-src" not in policy
    assert "<h1>Checkout</h1>" in answer.text
    for word in ("<link", "<meta http", "<base", "<iframe", "<object", " href=", " action="):
        assert word not in answer.text.lower()
    for other in ("turn=0&part=", "turn=0&part=ffff", "turn=99&part=0", "", "turn=x"):
        assert client.get(f"{where}/frame?{other}").status_code == 404
    plain = client.get(f"/run/baseline/episode/{first_episode(path)}").text
    assert 'class="render"' not in plain


def test_an_exported_episode_stands_alone(client: TestClient, path: Path) -> None:
    page = client.get(f"/run/baseline/episode/{first_episode(path)}/export").text
    assert "default-src 'none'" in page
    assert "data:image/png;base64," in page
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", 32),
        ("outcome=failed", 0),
        ("stop=none", 0),
        ("q=count-3", 4),
        ("q=counter", 32),
        ("q=%25", 0),
        ("q=nowhere", 0),
        ("q=%00count-3", 4),
        ("q=%22count+3%22", 4),
    ],
)
def test_filters_and_search(client: TestClient, query: str, expected: int) -> None:
    plural = "episode" if expected == 1 else "episodes"
    assert f">{expected} {plural}<" in client.get(f"/run/baseline?{query}").text


@pytest.mark.parametrize("sort", ["task", "score", "reward", "turns", "newest", "nonsense"])
def test_sorting_is_from_a_list(client: TestClient, sort: str) -> None:
    assert client.get(f"/run/baseline?sort={sort}&q=count").status_code == 200


@pytest.mark.parametrize(
    "page",
    [
        "/run/nope", "/run/baseline/episode/nope", "/run/baseline/group/nope", "/run/baseline/diff?a=x&b=y",
        "/image/nope", "/image/..%2f..%2fetc%2fpasswd", "/static/..%2fapp.py", "/static/../app.py",
        "/run/baseline/episode/nope/tokens",
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_found(client: TestClient, page: str) -> None:
    answer = client.get(page)
    assert answer.status_code == 404
    assert "root:" not in answer.text


def test_a_page_number_beyond_the_end_is_empty_and_nonsense_is_the_first(client: TestClient) -> None:
    assert "Nothing fits" in client.get("/run/baseline?page=99").text
    assert "count-0" in client.get("/run/baseline?page=-1").text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8321", "127.0.0.1.evil.example", ""])
def test_a_foreign_host_is_refused(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"host": host}).status_code == 403


def test_a_foreign_origin_and_other_methods_are_refused(client: TestClient) -> None:
    assert client.get("/mark", headers={"origin": "https://evil.example"}).status_code == 403
    assert client.get("/mark", headers={"origin": "null"}).status_code == 403
    assert client.get("/mark", headers={"origin": "http://localhost:8321"}).status_code == 200
    assert client.post("/").status_code == 405


def test_a_token_is_asked_for_and_kept_in_a_cookie(path: Path) -> None:
    with TestClient(create_app(path, token="secret-é"), base_url="http://127.0.0.1:8321") as client:
        assert client.get("/").status_code == 401
        assert client.get("/?token=wrong").status_code == 401
    with TestClient(create_app(path, token="secret"), base_url="http://127.0.0.1:8321") as client:
        assert client.get("/?token=secret").status_code == 200
        assert client.get("/run/baseline").status_code == 200
        assert "secret" not in client.get("/").text


def test_the_store_is_only_read_and_a_missing_one_is_an_error(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    with TestClient(create_app(path), base_url="http://127.0.0.1:8321") as client:
        client.get("/run/baseline")
    assert path.read_bytes() == before
    with pytest.raises(StoreError, match="there is no store"):
        create_app(tmp_path / "none.sqlite")


def test_new_episodes_change_the_mark(tmp_path: Path) -> None:
    path = viewer_store.make(tmp_path / "v.sqlite", n=1, samples=1)
    with TestClient(create_app(path), base_url="http://127.0.0.1:8321") as client:
        before = client.get("/mark").json()
        with Store.open(path, "a") as store:
            store.put_metrics("baseline", 99, {"loss": 1.0})
        assert client.get("/mark").json() != before


def test_what_is_remembered_ends_with_the_next_episode(tmp_path: Path) -> None:
    path = viewer_store.make(tmp_path / "v.sqlite", n=2, samples=1)
    with TestClient(create_app(path), base_url="http://127.0.0.1:8321") as client:
        assert ">2 episodes<" in client.get("/run/baseline").text
        with Store.open(path, "a") as store:
            like = next(store.episodes("baseline"))
            store.append([like.model_copy(update={"episode_id": "d" * 32, "sample": 9})])
        assert ">3 episodes<" in client.get("/run/baseline").text


# Drawing.


def turn(index: int, start: str, end: str, **changes: object) -> Turn:
    return Turn(index=index, state_key=start, next_state_key=end, action_key=end, **changes)  # type: ignore[arg-type]


def test_the_graph_counts_an_episode_once_a_state_and_each_step() -> None:
    graph = state_graph([(True, [turn(0, "a", "b"), turn(1, "b", "a")]), (False, [turn(0, "a", "c")])])
    nodes = {node.key: (node.visits, node.wins) for node in graph.nodes}
    assert nodes == {"a": (2, 1), "b": (1, 1), "c": (1, 0)}
    assert {(e.start.key, e.end.key, e.rate) for e in graph.edges} == {
        ("a", "b", 1.0),
        ("b", "a", 1.0),
        ("a", "c", 0.0),
    }
    assert len({(node.x, node.y) for node in graph.nodes}) == 3


def test_steps_of_the_graph_do_not_lie_on_each_other() -> None:
    call = {"name": "look", "arguments": {}, "id": "c"}
    graph = state_graph(
        [
            (True, [turn(0, "a", "b"), turn(1, "b", "c")]),
            (False, [turn(0, "a", "b", calls=(call,)), turn(1, "b", "a")]),
            (False, [turn(0, "a", "c")]),
        ]
    )
    assert len({edge.path for edge in graph.edges}) == len(graph.edges) == 5
    assert len({edge.label_place for edge in graph.edges}) == 5
    assert all(0 < y < graph.height for edge in graph.edges for _, y in [edge.label_place])


def test_a_transcript_begins_with_where_to_look(client: TestClient, path: Path) -> None:
    with Store.open(path) as store:
        episode = next(e for e in store.episodes("baseline") if not e.success)
    page = client.get(f"/run/baseline/episode/{episode.episode_id}").text
    told = page.partition('<dl class="why">')[2].partition("</dl>")[0]
    assert f'href="#turn-{len(episode.turns)}"' in told
    assert "add(" in told
    assert "base=None" not in page


def test_a_graph_too_large_to_read_leaves_the_rare_states_out() -> None:
    graph = state_graph([(True, [turn(i, str(i), str(i + 1)) for i in range(300)])], most=50)
    assert (len(graph.nodes), graph.hidden) == (50, 251)


def test_the_first_difference() -> None:
    same = [turn(0, "a", "b"), turn(1, "b", "c")]
    assert first_difference(same, [turn(0, "a", "b"), turn(1, "b", "d")]) == 1
    assert first_difference(same, same[:1]) == 1
    assert first_difference(same, same) == 2


def test_colours_of_advantages() -> None:
    assert [advantage_class(v, 1.0) for v in (None, 0.0, 0.01, 0.2, 1.0, -0.6, -1.0)] == [
        *("zero", "zero", "zero", "pos1", "pos4", "neg3", "neg4"),
    ]
    assert advantage_class(0.0, 0.0) == "zero"


def test_curves_and_time_lines_of_nothing() -> None:
    assert curves([]) == []
    assert timeline([]) == ([], 0.0)
    one = curves(
        [MetricRow(run="r", step=3, name="x", value=2.0), MetricRow(run="r", step=4, name="x", value=float("nan"))]
    )
    assert (one[0].last, one[0].last_step) == (2.0, 3)
