"""One router, one viewset."""

from rest_framework import routers, serializers, viewsets

from roles.models import Role


class RoleSerializer(serializers.ModelSerializer[Role]):
    class Meta:
        model = Role
        fields = ("id", "name", "description", "gender", "age", "voice_type", "created_at")


class RoleViewSet(viewsets.ReadOnlyModelViewSet[Role]):
    queryset = Role.objects.all()
    serializer_class = RoleSerializer


router = routers.DefaultRouter()
router.register("roles", RoleViewSet)
urlpatterns = router.urls
