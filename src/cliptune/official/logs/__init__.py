"""Logs of the research code: `log.txt` as Dassl writes it, in the folders of its scripts, converted to records."""
