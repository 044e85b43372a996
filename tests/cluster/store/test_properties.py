"""The store against a dictionary: whatever is written, compacted or reopened, both say the same."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.cluster.store.errors import HistoryGone
from headwater.cluster.store.store import HistoryLimits, Store

NAMES = [f"{namespace}/{name}" for namespace in ("a", "a-b", "b") for name in ("x", "y")]

steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(NAMES)),
        st.tuples(st.just("put"), st.sampled_from(NAMES)),
        st.tuples(st.just("remove"), st.sampled_from(NAMES)),
        st.tuples(st.just("reopen"), st.just("")),
        st.tuples(st.just("compact"), st.just("")),
    ),
    max_size=40,
)


async def _run(path: Path, actions: list[tuple[str, str]], kept: int) -> None:
    limits = HistoryLimits(changes=kept)
    store = await Store.open(path, limits=limits)
    model: dict[str, int] = {}
    states: dict[int, dict[str, int]] = {store.revision: {}}
    for number, (action, name) in enumerate(actions):
        current = store.get("things", name) if name else None
        match action:
            case "put":
                obj = {"metadata": {"name": name}, "number": number}
                await store.put("things", name, obj, current.revision if current else 0)
                model[name] = number
            case "remove" if current is not None:
                await store.remove("things", name, current.copy(), current.revision)
                del model[name]
            case "compact":
                store.compact(everything=True)
            case "reopen":
                await store.close()
                store = await Store.open(path, limits=limits)
        states[store.revision] = dict(model)

    assert _seen(list(store.scan("things"))) == model
    assert _seen(list(store.scan("things", "a/"))) == {k: v for k, v in model.items() if k.startswith("a/")}
    for revision, state in states.items():
        # Every earlier state can be read, and followed to the present one; or its history is gone, for both.
        try:
            changes = store.watch("things", revision=revision).read(store.revision)
        except HistoryGone:
            continue
        scanned = list(store.scan("things", revision=revision))
        assert _seen(scanned) == state
        assert [name for name, _ in scanned] == sorted(state)
        replayed = dict(state)
        for change in changes:
            assert (change.previous is not None) == (change.name in replayed)
            if change.removed:
                del replayed[change.name]
            else:
                replayed[change.name] = change.document.object["number"]
        assert replayed == model
    await store.close()


def _seen(found: list[tuple[str, object]]) -> dict[str, int]:
    return {name: document.object["number"] for name, document in found}  # type: ignore[attr-defined]


@settings(max_examples=40, deadline=None)
@given(steps, st.integers(min_value=0, max_value=12))
def test_the_store_is_a_dictionary_with_a_past(actions: list[tuple[str, str]], kept: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(_run(Path(directory) / "objects.db", actions, kept))
