"""From evidence to outcomes, from outcomes to a record and its reports."""
