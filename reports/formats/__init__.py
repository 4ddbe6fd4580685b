"""The forms a table can take: terminal, Markdown, CSV, LaTeX, and one HTML page."""
