import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.database import Database
from headwater.pipelines.records.filters import Operation, parse_query
from headwater.pipelines.records.lists import RUN_FIELDS, select_page
from headwater.pipelines.records.tables import metadata, runs

START = datetime(2026, 1, 1, tzinfo=UTC)


def row(number: int, **values) -> dict:
    return {
        "run_id": f"{number:05}", "namespace": "ns", "experiment_id": "e", "display_name": f"run {number}",
        "description": "", "state": "SUCCEEDED", "storage_state": "AVAILABLE", "state_history": [], "error": "",
        "pipeline_id": "", "pipeline_version_id": "", "pipeline_name": "p", "spec_hash": "", "parameters": {},
        "pipeline_root": "", "service_account": "", "recurring_run_id": "", "terminate": False,
        "created_at": START + timedelta(seconds=number), "scheduled_at": None, "started_at": None,
        "finished_at": None,
    } | values  # fmt: skip


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory):
    opened = Database.open(f"sqlite:///{tmp_path_factory.mktemp('lists') / 'records.db'}")
    metadata.create_all(opened.engine)
    yield opened
    opened.close_now()


@pytest.fixture
def fill(database: Database):
    def insert(rows: list[dict]) -> None:
        database.run_now(lambda connection: connection.execute(runs.delete()))
        if rows:
            database.run_now(lambda connection: connection.execute(runs.insert(), rows))

    return insert


def pages(database: Database, **query) -> list[list[str]]:
    found, token = [], ""
    while True:
        parsed = parse_query(RUN_FIELDS, **query, page_token=token)
        page = database.read_now(lambda c, q=parsed: select_page(c, runs, "run_id", q, [runs.c.namespace == "ns"]))
        found.append([one["run_id"] for one in page.rows])
        token = page.next_page_token
        if not token:
            return found


def only(database: Database, operation: Operation, key: str, **value) -> list[str]:
    predicates = {"predicates": [{"operation": operation.value, "key": key, **value}]}
    return pages(database, filter_text=json.dumps(predicates), page_size="200")[0]


def test_pages_end_where_the_rows_end(database: Database, fill) -> None:
    fill([row(number) for number in range(6)])
    assert pages(database, page_size="3") == [["00000", "00001", "00002"], ["00003", "00004", "00005"]]
    assert pages(database, page_size="4", sort_by="created_at desc")[1] == ["00001", "00000"]
    fill([])
    assert pages(database) == [[]]


values = st.lists(
    st.tuples(st.sampled_from(["a", "b", "C", "ß"]), st.one_of(st.none(), st.integers(0, 3))), max_size=12
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(values, st.sampled_from(["display_name", "finished_at", "created_at"]), st.booleans(), st.integers(1, 5))
def test_pages_put_together_are_the_whole_list_in_order(
    database: Database, fill, made: list, field: str, descending: bool, size: int
) -> None:
    rows = [
        row(number, display_name=name, finished_at=None if end is None else START + timedelta(days=end))
        for number, (name, end) in enumerate(made)
    ]
    fill(rows)
    order = sorted(rows, key=lambda one: ((one[field] is not None, one[field]), one["run_id"]), reverse=descending)
    found = pages(database, sort_by=f"{field} {'desc' if descending else 'asc'}", page_size=str(size))
    assert [key for page in found for key in page] == [one["run_id"] for one in order]
    assert all(len(page) == size for page in found[:-1])


def test_every_operation(database: Database, fill) -> None:
    fill([
        row(0, display_name="alpha"), row(1, display_name="Beta_1"), row(2, display_name="gamma%", state="FAILED"),
        row(3, display_name="elsewhere", namespace="other"),
    ])  # fmt: skip
    assert only(database, Operation.EQUALS, "name", stringValue="alpha") == ["00000"]
    assert only(database, Operation.NOT_EQUALS, "name", stringValue="alpha") == ["00001", "00002"]
    assert only(database, Operation.IN, "name", stringValues={"values": ["alpha", "gamma%"]}) == ["00000", "00002"]
    assert only(database, Operation.IN, "name", stringValues={"values": []}) == []
    assert only(database, Operation.IS_SUBSTRING, "name", stringValue="A") == ["00000", "00001", "00002"]
    assert only(database, Operation.IS_SUBSTRING, "name", stringValue="%") == ["00002"]
    assert only(database, Operation.IS_SUBSTRING, "name", stringValue="_") == ["00001"]
    assert only(database, Operation.EQUALS, "state", stringValue="failed") == ["00002"]
    second = (START + timedelta(seconds=1)).isoformat()
    assert only(database, Operation.GREATER_THAN, "created_at", timestampValue=second) == ["00002"]
    assert only(database, Operation.GREATER_THAN_EQUALS, "created_at", timestampValue=second) == ["00001", "00002"]
    assert only(database, Operation.LESS_THAN, "created_at", timestampValue=second) == ["00000"]
    assert only(database, Operation.LESS_THAN_EQUALS, "created_at", timestampValue=second) == ["00000", "00001"]
    assert only(database, Operation.NOT_EQUALS, "finished_at", timestampValue=second) == ["00000", "00001", "00002"]


def test_rows_that_come_meanwhile_move_no_page(database: Database, fill) -> None:
    fill([row(number) for number in range(10, 16)])
    first = parse_query(RUN_FIELDS, sort_by="created_at desc", page_size="3")
    scope = [runs.c.namespace == "ns"]
    page = database.read_now(lambda c: select_page(c, runs, "run_id", first, scope))
    assert page.total_size == 6
    database.run_now(lambda c: c.execute(runs.insert(), [row(99)]))
    second = parse_query(RUN_FIELDS, sort_by="created_at desc", page_size="3", page_token=page.next_page_token)
    after = database.read_now(lambda c: select_page(c, runs, "run_id", second, scope))
    assert [one["run_id"] for one in after.rows] == ["00012", "00011", "00010"]


@pytest.mark.parametrize("sort_by", ["created_at", "created_at desc", "display_name", "display_name desc"])
def test_lists_in_the_usual_orders_walk_an_index(database: Database, sort_by: str) -> None:
    statements: list[tuple[str, object]] = []
    from sqlalchemy import event

    def note(connection, cursor, statement, parameters, context, executemany) -> None:
        statements.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    query = parse_query(RUN_FIELDS, sort_by=sort_by)
    database.read_now(lambda c: select_page(c, runs, "run_id", query, [runs.c.namespace == "ns"]))
    event.remove(database.engine, "before_cursor_execute", note)
    statement, parameters = statements[-1]

    def plan(connection) -> str:
        return str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all())

    told = database.read_now(plan)
    assert "USING INDEX" in told
    assert "TEMP B-TREE" not in told


def test_the_fields_that_lists_know_are_columns() -> None:
    assert {field.column for field in RUN_FIELDS.values()} <= set(runs.c.keys())
