"""Prepared queries give what their querysets give, each time with the values of that time."""

import threading

import pytest
from django.db import connection
from django.db.models import OuterRef, Subquery
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from accounts.prepared import Prepared, argument
from roles.models import Role

pytestmark = pytest.mark.django_db


@pytest.fixture
def roles() -> list[Role]:
    owners = [User.objects.create_user(username=name, password="x") for name in ("ann", "bo")]
    return [
        Role.objects.create(
            owner=owners[number % 2],
            name=f"角色{number}",
            description="勇敢的冒险者，探索未知世界",
            age=number,
            lorebook={"entries": [{"keys": ["东风"], "content": str(number)}]},
        )
        for number in range(4)
    ]


COLUMNS = ("id", "name", "lorebook", "created_at", "deleted_at", "owner__username")


def test_rows_are_those_of_the_queryset(roles):
    prepared = Prepared(
        lambda: (
            Role.objects.filter(owner=argument("owner_id"), age__gte=argument("age"))
            .exclude(name="")
            .order_by("-id")
            .values_list(*COLUMNS)
        )
    )
    for owner in User.objects.all():
        for age in (0, 2, 9):
            plain = Role.objects.filter(owner=owner, age__gte=age).order_by("-id")
            expected = list(plain.values_list(*COLUMNS))
            assert prepared.rows(owner_id=owner.pk, age=age) == expected
            assert prepared.first(owner_id=owner.pk, age=age) == (expected or [None])[0]


def test_subqueries_and_slices(roles):
    newest = Role.objects.filter(owner=OuterRef("pk")).order_by("-id").values("lorebook")[:1]
    prepared = Prepared(
        lambda: User.objects.filter(pk=argument("pk")).values_list("username", Subquery(newest))[:1]
    )
    ann = User.objects.get(username="ann")
    assert prepared.rows(pk=ann.pk) == [("ann", roles[2].lorebook)]
    assert prepared.rows(pk=0) == []


def test_it_is_one_query_and_a_value_is_data_not_sql(roles):
    prepared = Prepared(lambda: Role.objects.filter(name=argument("name")).values_list("pk"))
    with CaptureQueriesContext(connection) as queries:
        assert prepared.rows(name="' OR 1=1 --") == []
        assert prepared.rows(name="角色1") == [(roles[1].pk,)]
    assert len(queries) == 2


def test_a_missing_value_is_an_error():
    prepared = Prepared(lambda: Role.objects.filter(pk=argument("pk")).values_list("pk"))
    with pytest.raises(KeyError, match="pk"):
        prepared.rows()


@pytest.mark.django_db(transaction=True)
def test_many_threads_use_one(roles):
    prepared = Prepared(
        lambda: Role.objects.filter(pk=argument("pk")).values_list("name", "created_at")
    )
    found, expected = {}, {role.pk: [(role.name, role.created_at)] for role in roles}

    def work(pk: int) -> None:
        try:
            found[pk] = prepared.rows(pk=pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(role.pk,)) for role in roles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected
