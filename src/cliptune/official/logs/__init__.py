"""Logs of the research code (Dassl's `log.txt`, in the folders of its scripts): read as records, written from them."""
