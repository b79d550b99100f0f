"""The admin: Django's, with a front page of its own. Models register as ever: `@admin.register`."""
