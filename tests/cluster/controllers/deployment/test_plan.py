"""The Deployment's plan: tables from the documented behaviour, and rolling updates that hypothesis makes up."""

import copy
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.cluster.controllers.deployment.plan import bounds, plan, size_of
from headwater.cluster.controllers.deployment.revisions import DESIRED, MAXIMUM, REVISION, template_hash
from headwater.kube.meta.conditions import find_condition
from headwater.kube.meta.objects import Object, name_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def template(image: str) -> Object:
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": image}]}}


def deployment(image: str = "v1", *, replicas: int = 3, surge: int | str = 1, unavailable: int | str = 0, **spec):
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "ns", "uid": "u1", "generation": 1},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(image),
            "strategy": rolling,
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 2,
            **spec,
        },
    }


class World:
    """A deployment and its sets, and replica set controllers that do what they are told."""

    def __init__(self, wanted: Object) -> None:
        self.deployment = wanted
        self.sets: dict[str, Object] = {}
        self.now = NOW
        self.broken: set[str] = set()

    def step(self, **options):
        todo = plan(self.deployment, [copy.deepcopy(one) for one in self.sets.values()], self.now, **options)
        if todo.revision:
            self.deployment["metadata"].setdefault("annotations", {})[REVISION] = todo.revision
        if todo.create is not None:
            self.now += timedelta(seconds=1)
            made = copy.deepcopy(todo.create)
            made["metadata"].update(uid=name_of(made), creationTimestamp=self.now.strftime("%Y-%m-%dT%H:%M:%SZ"))
            assert name_of(made) not in self.sets
            self.sets[name_of(made)] = made
        for change in todo.changes:
            one = self.sets[name_of(change.replica_set)]
            one["spec"]["replicas"] = change.replicas
            one["metadata"]["annotations"] = change.annotations
        for one in todo.remove:
            del self.sets[name_of(one)]
        self.deployment["status"] = todo.status
        return todo

    def act(self, only: int | None = None) -> None:
        """Let the sets' pods come, become available, and go."""
        for one in [*self.sets.values()][:only]:
            size = size_of(one)
            image = one["spec"]["template"]["spec"]["containers"][0]["image"]
            status = {"replicas": size, "readyReplicas": size, "availableReplicas": size, "observedGeneration": 1}
            if image in self.broken:
                status.update(readyReplicas=0, availableReplicas=0)
            one["status"] = status

    def settle(self, rounds: int = 100) -> None:
        for _ in range(rounds):
            self.act()
            todo = self.step()
            if todo.create is None and not todo.changes and not todo.remove:
                return
        raise AssertionError("does not come to rest")

    def sizes(self) -> dict[str, int]:
        return {one["spec"]["template"]["spec"]["containers"][0]["image"]: size_of(one) for one in self.sets.values()}


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "most", "least"),
    [
        (10, "25%", "25%", 13, 8),
        (3, "25%", "25%", 4, 3),
        (1, "25%", "25%", 2, 1),
        (4, 0, "10%", 4, 3),
        (2, 0, 5, 2, 0),
        (5, 2, 1, 7, 4),
    ],
)
def test_bounds(replicas, surge, unavailable, most, least):
    limits = bounds(deployment(replicas=replicas, surge=surge, unavailable=unavailable))
    assert (limits.most, limits.least_available) == (most, least)


def test_the_first_set():
    world = World(deployment())
    todo = world.step()
    assert todo.create is not None
    assert name_of(todo.create) == f"web-{template_hash(template('v1'))}"
    assert todo.create["metadata"]["annotations"] == {REVISION: "1", DESIRED: "3", MAXIMUM: "4"}
    assert find_condition(world.deployment, "Progressing")["reason"] == "NewReplicaSetCreated"
    world.act()
    world.settle()
    assert world.deployment["status"]["availableReplicas"] == 3
    assert find_condition(world.deployment, "Progressing")["reason"] == "NewReplicaSetAvailable"
    assert find_condition(world.deployment, "Available")["status"] == "True"


def test_a_roll_back_takes_the_old_set_and_a_new_revision():
    world = World(deployment())
    world.settle()
    world.deployment["spec"]["template"] = template("v2")
    world.settle()
    assert world.sizes() == {"v1": 0, "v2": 3}
    world.deployment["spec"]["template"] = template("v1")
    world.settle()
    assert world.sizes() == {"v1": 3, "v2": 0}
    (first,) = [one for one in world.sets.values() if size_of(one)]
    assert first["metadata"]["annotations"][REVISION] == "3"
    assert first["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"


def test_history_is_limited():
    world = World(deployment())
    for number in range(6):
        world.deployment["spec"]["template"] = template(f"v{number}")
        world.settle()
    assert world.sizes() == {"v3": 0, "v4": 0, "v5": 3}


def test_recreate_waits_for_the_old_pods():
    world = World(deployment(strategy={"type": "Recreate"}))
    world.settle()
    world.deployment["spec"]["template"] = template("v2")
    assert world.step(old_pods=True).create is None
    assert world.sizes() == {"v1": 0}
    assert world.step(old_pods=True).create is None
    assert world.step(old_pods=False).create is not None
    assert world.sizes() == {"v1": 0, "v2": 3}


def test_paused_is_resized_but_not_updated():
    world = World(deployment())
    world.settle()
    world.deployment["spec"].update(paused=True, template=template("v2"), replicas=5)
    world.settle()
    assert world.sizes() == {"v1": 5}
    assert find_condition(world.deployment, "Progressing")["reason"] == "DeploymentPaused"
    world.deployment["spec"]["paused"] = False
    world.settle()
    assert world.sizes() == {"v1": 0, "v2": 5}


def test_resized_in_the_middle_of_an_update_grows_in_proportion():
    # the example of Kubernetes' documentation: 10 replicas, maxSurge 3, maxUnavailable 2, a broken image, then 15
    world = World(deployment(replicas=10, surge=3, unavailable=2))
    world.settle()
    world.broken = {"v2"}
    world.deployment["spec"]["template"] = template("v2")
    world.settle()
    assert world.sizes() == {"v1": 8, "v2": 5}
    world.deployment["spec"]["replicas"] = 15
    world.step()
    assert world.sizes() == {"v1": 11, "v2": 7}


def test_no_progress_until_the_deadline():
    world = World(deployment(progressDeadlineSeconds=60))
    world.broken = {"v1"}
    world.settle()
    todo = world.step()
    assert 0 < (todo.requeue_after or 0) <= 60
    world.now += timedelta(seconds=61)
    world.step()
    condition = find_condition(world.deployment, "Progressing")
    assert (condition["status"], condition["reason"]) == ("False", "ProgressDeadlineExceeded")
    world.broken = set()
    world.act()
    world.step()
    assert find_condition(world.deployment, "Progressing")["reason"] == "NewReplicaSetAvailable"


@given(
    st.integers(1, 12),
    st.integers(0, 5),
    st.integers(0, 5),
    st.lists(st.tuples(st.sampled_from(["v1", "v2", "v3", "v4"]), st.integers(1, 12)), min_size=1, max_size=4),
)
def test_an_update_stays_within_its_bounds_and_comes_to_rest(replicas, surge, unavailable, updates):
    world = World(deployment("v1", replicas=replicas, surge=surge, unavailable=unavailable))
    world.settle()
    for image, _ in updates:
        world.deployment["spec"]["template"] = template(image)
        limits = bounds(world.deployment)
        for _ in range(4):
            world.step()
            assert sum(map(size_of, world.sets.values())) <= limits.most
            available = sum(
                min(one["status"]["availableReplicas"], size_of(one)) for one in world.sets.values() if "status" in one
            )
            assert available >= limits.least_available
            world.act()
    world.settle()
    assert sum(world.sizes().values()) == world.sizes()[updates[-1][0]] == replicas
    for image, size in updates:  # and when it is resized at the same time, it still comes to rest
        world.deployment["spec"].update(template=template(image), replicas=size)
        world.step()
    world.settle()
    assert sum(world.sizes().values()) == world.sizes()[updates[-1][0]] == updates[-1][1]


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
def test_the_hash_ignores_its_own_label_only(labels):
    one = template("v1")
    other = copy.deepcopy(one)
    one["metadata"]["labels"] |= labels
    other["metadata"]["labels"] |= labels | {"pod-template-hash": "x"}
    if "pod-template-hash" not in labels:
        assert template_hash(one) == template_hash(other)
    assert template_hash(one) != template_hash(one, 1)
    assert template_hash(one) != template_hash(template("v2"))
