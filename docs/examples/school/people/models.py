import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A teacher or a student. The primary key is a UUID, which Batchreel's foreign keys follow."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
