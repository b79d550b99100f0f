"""The form of a resource in the admin: it checks values as the API does, and never overwrites a newer version."""

import re
from typing import Any

import orjson
from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html
from pydantic import BaseModel
from pydantic import ValidationError as PydanticError

from core.http.json_body import parse_json
from core.http.problems import Problem
from core.http.validation import describe
from core.values import same_json

# Browsers send a line break of a textarea as CR LF, and drop it from an input.
_LINE_BREAK = re.compile(r"\r\n?|\n")
CONFLICT = (
    "Nothing was saved: the current version is {}, and you were editing version {}. "
    '<a href="">Open version {}</a> in another tab and repeat your changes there.'
)


class JSONTextArea(forms.Textarea):
    def __init__(self) -> None:
        super().__init__(attrs={"class": "vLargeTextField json", "rows": 16, "spellcheck": "false"})

    class Media:
        css = {"all": ("core/forms.css",)}


class JSONFormField(forms.CharField):
    """Indented JSON, parsed as strictly as a request body. Empty text is the field's default."""

    widget = JSONTextArea

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()

    def to_python(self, value: Any) -> Any:
        text = str(value or "").strip()
        try:
            return parse_json(text.encode()) if text else self._default()
        except Problem as problem:
            errors = [f"{error['pointer']} {error['detail']}" for error in problem.errors]
            raise ValidationError(errors or [problem.detail.replace("The body", "This")]) from None

    def _default(self) -> Any:
        return self.initial() if callable(self.initial) else self.initial

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return not same_json(orjson.dumps(initial).decode(), orjson.dumps(self.to_python(data)).decode())
        except ValidationError:
            return True


class ResourceForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form whose values are checked by the schema of the API's request bodies. `ResourceAdmin` adds the fields."""

    schema: type[BaseModel]
    seen_version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, data: Any = None, *arguments: Any, **options: Any) -> None:
        super().__init__(data, *arguments, **options)
        self.checked: BaseModel | None = None
        if not self.instance._state.adding:
            self.initial["seen_version"] = self.instance.version
        if data is not None:
            self.data = self._restore_line_breaks(data.copy())

    def _restore_line_breaks(self, data: Any) -> Any:
        """Restore line breaks that only the browser changed, so that they do not count as a change."""
        for name in self.schema.model_fields.keys() & data.keys():
            stored, sent = getattr(self.instance, name), data[name]
            if isinstance(stored, str) and sent in (_LINE_BREAK.sub("\r\n", stored), _LINE_BREAK.sub("", stored)):
                data[name] = stored
            else:
                data[name] = _LINE_BREAK.sub("\n", sent)
        return data

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        given = {name: cleaned[name] for name in self.schema.model_fields if name in cleaned}
        try:
            self.checked = self.schema.model_validate(given)
            cleaned |= self.checked.model_dump()
        except PydanticError as error:
            for fault in error.errors(include_url=False):
                name = str(fault["loc"][0])
                if name in given:  # the form has already reported errors of the other fields
                    self.add_error(name, f"This {describe(dict(fault))}.")
        seen, current = cleaned.get("seen_version"), self.instance.version
        if not self.instance._state.adding and seen != current:
            raise ValidationError(format_html(CONFLICT, current, seen or "?", current), code="newer")
        return cleaned
