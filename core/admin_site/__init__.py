"""Django's admin with its own front page. Models register with `@admin.register`, as in any Django project."""
