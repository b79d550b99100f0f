from django.db import migrations

from core.resources.search.operations import BuildSearchIndex


class Migration(migrations.Migration):

    # The rows that are there are indexed batch by batch, while others go on to write.
    atomic = False

    dependencies = [
        ("items", "0001_initial"),
    ]

    operations = [
        BuildSearchIndex("Item", ("name", "description")),
    ]
