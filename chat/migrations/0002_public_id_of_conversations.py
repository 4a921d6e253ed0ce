"""Each conversation gets a name that its user's realtime sessions may come back with."""

from django.conf import settings
from django.db import migrations, models

import chat.models

BATCH = 1000


def name_all(apps, schema_editor):
    conversations = apps.get_model("chat", "Conversation").objects.using(schema_editor.connection.alias)
    nameless = conversations.filter(public_id=None).order_by("pk")
    while batch := list(nameless.only("pk")[:BATCH]):
        for conversation in batch:
            conversation.public_id = chat.models.new_public_id()
        conversations.bulk_update(batch, ["public_id"])


class Migration(migrations.Migration):

    dependencies = [
        ('chat', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='conversation',
            name='public_id',
            field=models.CharField(default=None, editable=False, max_length=64, null=True),
        ),
        migrations.RunPython(name_all, migrations.RunPython.noop, elidable=True),
        migrations.AlterField(
            model_name='conversation',
            name='public_id',
            field=models.CharField(default=chat.models.new_public_id, editable=False, max_length=64),
        ),
        migrations.AddConstraint(
            model_name='conversation',
            constraint=models.UniqueConstraint(fields=('user', 'public_id'), name='chat_conversation_public_id_once'),
        ),
    ]
