"""``/api/usage``: parse, call, render."""

from typing import cast

from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import quotas, selectors
from accounts.models import User
from accounts.serializers import UsageQuery, UsageSerializer


class UsageView(APIView):
    """The ledger of the one who asks."""

    @extend_schema(summary=gettext_lazy("用量"), parameters=[UsageQuery], responses=UsageSerializer)
    def get(self, request: Request) -> Response:
        """What one has used by day, provider, role or key, and what is left of the month."""
        query = UsageQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        user = cast(User, request.user)
        usage = selectors.usage_of(user=user, **asked)
        return Response(
            {
                "first": asked["first"],
                "last": asked["last"],
                "list": usage.items,
                "has_more": usage.has_more,
                "amounts": usage.amounts,
                "cost": usage.cost,
                "month": quotas.month_of(user),
            }
        )
