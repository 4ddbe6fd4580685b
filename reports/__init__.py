"""From everything else to tables, figures, pages and the command line."""
