"""The ASGI application: HTTP, sockets and the lifespan of the process."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django
from channels.routing import ProtocolTypeRouter, URLRouter

django.setup(set_prefix=False)

from accounts.sockets import TokenAuthMiddleware  # noqa: E402
from chat.routing import websocket_urlpatterns  # noqa: E402
from config.bodies import BodyLimit  # noqa: E402
from config.lifespan import Lifespan  # noqa: E402
from config.metrics.endpoint import MetricsEndpoint  # noqa: E402
from config.metrics.requests import Measured  # noqa: E402
from config.rest import Application  # noqa: E402
from config.sockets import Sockets  # noqa: E402

application = Measured(
    ProtocolTypeRouter(
        {
            "http": MetricsEndpoint(BodyLimit(Application())),
            "websocket": Sockets(TokenAuthMiddleware(URLRouter(websocket_urlpatterns))),
            "lifespan": Lifespan(),
        }
    )
)
