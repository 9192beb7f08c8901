"""HTML of objects in notebooks. Everything is escaped and inline: no scripts, no styles of the page, no network."""
