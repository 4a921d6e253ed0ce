"""The user of this platform: a custom model from the first migration on."""

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A person. Signs in by name and password; everything else hangs on the id."""
