"""As ``django-admin startproject`` makes it."""

import os

from django.core.asgi import get_asgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.untuned"
application = get_asgi_application()
