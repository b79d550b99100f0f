"""Date formats of the admin: sortable and to the second, as in the log. All times are UTC."""

DATE_FORMAT = "Y-m-d"
DATETIME_FORMAT = "Y-m-d H:i:s"
