"""Rename LogInTries to Lockout, which keeps its table, and reword labels and help texts. The database does not change."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_logged_out_at'),
    ]

    operations = [
        migrations.AlterModelTable(name='logintries', table='accounts_logintries'),
        migrations.AlterModelOptions(name='logintries', options={}),
        migrations.RenameModel(old_name='LogInTries', new_name='Lockout'),
        migrations.AlterField(
            model_name='apikey',
            name='known_ips',
            field=models.TextField(blank=True, help_text='Recent client addresses, separated by spaces.', verbose_name='known IPs'),
        ),
        migrations.AlterField(
            model_name='auditevent',
            name='email_digest',
            field=models.CharField(blank=True, help_text='Stands for the address of a failed login.', max_length=64),
        ),
        migrations.AlterField(
            model_name='lockout',
            name='forgotten_at',
            field=models.DateTimeField(db_index=True, help_text='When the row becomes stale.'),
        ),
        migrations.AlterField(
            model_name='session',
            name='expires_at',
            field=models.DateTimeField(db_index=True, help_text='Each refresh extends it, up to the latest expiry.'),
        ),
        migrations.AlterField(
            model_name='session',
            name='last_expires_at',
            field=models.DateTimeField(verbose_name='latest expiry'),
        ),
        migrations.AlterField(
            model_name='session',
            name='last_used_at',
            field=models.DateTimeField(help_text='When the session began or was last refreshed.'),
        ),
        migrations.AlterField(
            model_name='user',
            name='email',
            field=models.EmailField(error_messages={'unique': 'A user with this e-mail already exists.'}, max_length=254, unique=True, verbose_name='e-mail'),
        ),
        migrations.AlterField(
            model_name='user',
            name='is_active',
            field=models.BooleanField(default=True, help_text='Untick this instead of deleting the account: all sessions and API keys end within a second.', verbose_name='active'),
        ),
        migrations.AlterField(
            model_name='user',
            name='is_staff',
            field=models.BooleanField(default=False, help_text='May log in to the admin, and sees every item.', verbose_name='staff'),
        ),
        migrations.AlterField(
            model_name='user',
            name='logged_out_at',
            field=models.DateTimeField(editable=False, help_text='When the user or staff last ended all sessions.', null=True),
        ),
    ]
